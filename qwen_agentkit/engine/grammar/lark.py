"""Building blocks of grammars in llguidance's Lark: tags, text, JSON. Knows vocabularies, no tools."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from qwen_agentkit.chat.tags import OPEN_THINK
from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer
from qwen_agentkit.engine.grammar.holding import hold_schema

__all__ = ["Tags", "exclude", "json_rule", "quote", "warn_of"]


class Tags:
    """Rules for tags, and for text without them, in one vocabulary.

    A tag that is one token is only ever generated as this token, never letter by letter, so that grammar and
    parser agree on what is a tag.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        added = tokenizer.added_tokens_decoder.items()
        self._added = {token.content: number for number, token in added if not token.special}

    def tag(self, tag: str) -> str:
        """Return a tag as it is written in a rule."""
        return f"<[{self._added[tag]}]>" if tag in self._added else quote(tag)

    def until(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules that define `name` as any text up to and including the first such tag.

        Args:
            name: The name of the rule.
            tag: Ends the text.
            forbidden: Regular expressions that match nothing in the text.
        """
        if tag not in self._added:
            return [f"{name}[lazy]: {name.upper()}", f"{name.upper()}: /(?s:.*)/ {quote(tag)}"]
        return [f"{name}: {name}_text? {self.tag(tag)}", *self.text(f"{name}_text", tag, *forbidden)]

    def text(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules that define `name` as text, at least one character, without such a tag.

        Args:
            name: The name of the rule.
            tag: Does not occur in the text.
            forbidden: Regular expressions that match nothing in the text.
        """
        words = name.upper()
        others = ",".join(str(number) for content, number in self._added.items() if content != tag)
        mixed = f" | {words}? (<[{others}]> {words}?)+" if others else ""
        patterns = [re.escape(content) for content in self._added if content in (tag, OPEN_THINK)]
        excluded = "".join(map(exclude, [*patterns, *forbidden]))
        return [f"{name}: {words}{mixed}", f"{words}: /(?s:.+)/{excluded}"]


def json_rule(owner: str, schema: Mapping[str, Any], *, strict: bool = False) -> str:
    """Return the right side of a rule that matches JSON of a schema, as far as a grammar holds it.

    Args:
        owner: Names the owner of the schema in errors and warnings.
        schema: A JSON schema.
        strict: Whether all of it has to be held; otherwise a warning says what is not.

    Raises:
        InputError: Nothing fits it, it is no schema, or, if `strict`, a part of it cannot be held.
    """
    held = hold_schema(owner, schema, strict=strict)
    warn_of(owner, held.left)
    return f"%json {held.grammar}"


def warn_of(owner: str, left: Sequence[str]) -> None:
    """Warn of what a grammar does not hold, if there is anything."""
    if left:
        warnings.warn(
            f"A grammar cannot hold all of the schema of {owner}: {'; '.join(left)}. That is checked when "
            "the answer is there, which then may have to be asked for again.",
            stacklevel=2,
        )


def quote(text: str) -> str:
    """Return a text as a literal of a rule."""
    return json.dumps(text, ensure_ascii=False)


def exclude(pattern: str) -> str:
    """Return what to append to a terminal so that a regular expression matches nothing in it."""
    escaped = pattern.replace("/", r"\/")
    return f" & ~/(?s:.*){escaped}(?s:.*)/"
