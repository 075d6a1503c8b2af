"""The grammar of a turn: a thought, then text, tool calls or JSON. Knows Lark and tools, no tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwen_agentkit.chat.dialects import Dialect
from qwen_agentkit.chat.tags import CLOSE_CALL, CLOSE_THINK, OPEN_CALL, OPEN_FUNCTION, OPEN_THINK
from qwen_agentkit.engine.grammar.lark import Tags, json_rule
from qwen_agentkit.engine.grammar.tool_calls import call_rules

__all__ = ["Turn", "turn_grammar"]

# Models of the XML dialect sometimes forget the tag, and the parser reads this as a call, too.
_BARE_CALL = rf"{OPEN_FUNCTION}[^<>\n]+>\s*<"


@dataclass(frozen=True)
class Turn:
    """What a turn may contain.

    Attributes:
        tools: Tools that may be called, in the OpenAI form; if empty, no call is allowed.
        must_call: The turn has to be one or more calls and nothing else.
        parallel: There may be several calls.
        schema: JSON schema of the answer; None for free text.
        strict: A grammar has to hold all of that schema.
    """

    tools: Sequence[Mapping[str, Any]] = ()
    must_call: bool = False
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    strict: bool = False

    @property
    def free(self) -> bool:
        """Whether the answer may be any text."""
        return self.schema is None and not self.must_call


def turn_grammar(turn: Turn, tags: Tags, dialect: Dialect, *, thinking: bool, opened: bool) -> str:
    """Return the grammar of a turn, in llguidance's dialect of Lark.

    A thought is free text, and a call inside it is no call. What follows the thought is constrained.

    Args:
        turn: What it may contain; it needs no grammar if it has neither tools nor a schema.
        tags: The tags of the model's vocabulary.
        dialect: How the model writes calls; "auto" means JSON.
        thinking: Whether the model will think first.
        opened: Whether the prompt has opened the think block.

    Raises:
        InputError: A grammar cannot express a name, or all of a schema that is strict.
    """
    rules = [_start(tags, thinking=thinking, opened=opened, free=turn.free)]
    rules += tags.until("thought", CLOSE_THINK)
    if turn.tools:
        rules += call_rules(dialect, turn.tools, tags.tag(CLOSE_CALL))
        more = r' ("\n" calls?)?' if turn.parallel else r' "\n"?'  # some models end a turn with the newline
        rules.append(f"calls: {tags.tag(OPEN_CALL)} call{more}")
    if turn.must_call:
        rules.append("answer: calls")
    elif turn.schema is not None:
        rules += [
            "answer: json" + (" | calls" if turn.tools else ""),
            f"json: {json_rule('the answer', turn.schema, strict=turn.strict)}",
        ]
    else:
        forbidden = [_BARE_CALL] if dialect == "xml" else []
        rules += tags.text("rest", OPEN_CALL, *forbidden)
        if not turn.tools:
            rules.append("answer: rest?")
            return "\n".join(rules)
        rules.append("answer: " + ("(begin call)* rest?" if turn.parallel else "begin call | rest?"))
        rules += tags.until("begin", OPEN_CALL, *forbidden)
    return "\n".join(rules)


def _start(tags: Tags, *, thinking: bool, opened: bool, free: bool) -> str:
    # In a free turn the model may skip the thought; else the grammar has to know where the answer begins.
    answer = "answer" if free else r'"\n\n" answer'
    if opened:
        return f"start: thought {answer}"
    if free:
        return f"start: (/\\s+/? {tags.tag(OPEN_THINK)} thought)? {answer}"
    return f'start: {tags.tag(OPEN_THINK)} "\\n" thought {answer}' if thinking else "start: answer"
