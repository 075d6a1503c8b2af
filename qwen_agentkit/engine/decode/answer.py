"""One answer to a chat, from messages to parsed events. Knows the engine and the parser, no LangChain."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from qwen_agentkit.chat.parsing import Event
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.chat.sampling import recommended
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import ChatTemplate, Prompt, chat_template
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.token_reader import TokenReader
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.matcher import Matcher, compile_grammar
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar
from qwen_agentkit.engine.grammar.turn_guide import TurnGuide
from qwen_agentkit.errors import InputError

__all__ = ["Asked", "Tokens", "answer", "ask", "prompt_length", "read_answer"]


@dataclass(frozen=True)
class Asked:
    """A request as tokens.

    Attributes:
        template: The chat template of the checkpoint.
        prompt: The rendered messages.
        turn: What the answer may contain.
        sampling: How its tokens are chosen.
        limit: Most tokens of the answer.
        constrained: Whether a grammar has to hold it.
    """

    template: ChatTemplate
    prompt: Prompt
    turn: Turn
    sampling: Sampling
    limit: int
    constrained: bool


class Tokens(Protocol):
    """The tokens of an answer as they are generated. Closing it stops the work."""

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that did not have to be computed; None before the first token."""

    def __iter__(self) -> Iterator[int]:
        """Yield the tokens."""

    def close(self) -> None:
        """Stop the work."""


class Shortened(Protocol):
    """A guide that knows whether a thought was closed because it was too long."""

    @property
    def truncated(self) -> bool:
        """Whether one was."""


def answer(loaded: Loaded, request: Request, cancelled: threading.Event) -> Iterator[Event | Done]:
    """Answer a chat: yield events while the model generates, then one `Done`.

    Args:
        loaded: A chat checkpoint.
        request: The messages, tools and settings.
        cancelled: Set it from another thread to stop within one forward.

    Raises:
        InputError: The messages do not fit the template or the context, or no grammar fits a schema.
        ModelUnsupportedError: The checkpoint cannot do what is asked.
    """
    asked = ask(loaded, request)
    guide = TurnGuide(
        loaded,
        asked.prompt,
        limit=asked.limit,
        budget=request.thinking_budget,
        matcher=_compile_matcher(loaded, asked),
    )
    tokens = generate(
        loaded,
        asked.prompt.tokens,
        asked.sampling,
        max_tokens=request.max_tokens,
        guide=guide,
        cancelled=cancelled,
    )
    yield from read_answer(loaded, request, asked, tokens, guide)


def ask(loaded: Vocabulary, request: Request) -> Asked:
    """Render a request for a checkpoint.

    Raises:
        InputError: The messages do not fit the template.
        ModelUnsupportedError: The checkpoint cannot do what is asked.
    """
    template = chat_template(loaded)
    prompt = _render_prompt(template, request)
    turn = _turn(request)
    room = max(0, loaded.context - len(prompt.tokens))
    return Asked(
        template=template,
        prompt=prompt,
        turn=turn,
        sampling=_choose_sampling(loaded, request, template, thinking=prompt.thinking),
        limit=room if request.max_tokens is None else min(request.max_tokens, room),
        constrained=not turn.free or bool(turn.tools) or request.forbids_calls,
    )


def read_answer(
    loaded: Vocabulary, request: Request, asked: Asked, tokens: Tokens, guide: Shortened
) -> Iterator[Event | Done]:
    """Yield the events of the tokens of an answer, then one `Done`, and close the tokens."""
    dialect = asked.template.dialect
    check = AnswerCheck(asked.turn, dialect)
    reader = TokenReader(loaded, request, asked.prompt, dialect if request.tools else "none", check)
    with closing(tokens):
        for token in tokens:
            yield from reader.feed(token)
            if reader.ended:
                break
    yield from reader.close()
    yield Done(
        input_tokens=len(asked.prompt.tokens),
        cached_tokens=tokens.cached_tokens,
        output_tokens=reader.tokens,
        reasoning_tokens=reader.reasoning_tokens,
        finish_reason="length" if not reader.ended else "tool_calls" if reader.calls else "stop",
        thinking_truncated=guide.truncated or reader.thought_is_cut,
        schema_fault=check.find_answer_fault(reader.content) if request.schema is not None else "",
    )


def prompt_length(loaded: Vocabulary, request: Request) -> int:
    """Return the number of tokens that the model reads before it answers.

    What the template refuses, such as a part of a chat, is counted message by message.
    """
    if not request.messages:
        return 0
    try:
        return len(_render_prompt(chat_template(loaded), request).tokens)
    except InputError:
        turns = [f"<|im_start|>{turn['role']}\n{_all_text(turn)}<|im_end|>\n" for turn in request.messages]
        tools = json.dumps(list(request.tools), ensure_ascii=False) if request.tools else ""
        return len(loaded.encode_prompt("".join([*turns, tools])))


def _all_text(turn: Mapping[str, Any]) -> str:
    calls = json.dumps(turn["tool_calls"], ensure_ascii=False) if "tool_calls" in turn else ""
    return f"{turn.get('reasoning_content', '')}{turn['content']}{calls}"


def _render_prompt(template: ChatTemplate, request: Request) -> Prompt:
    return template.prompt(
        request.messages,
        request.tools,
        thinking=request.thinking,
        reasoning_effort=request.reasoning_effort,
        keep_thoughts=request.keep_thoughts,
    )


def _turn(request: Request) -> Turn:
    """Return what the answer may contain."""
    names = {request.forced_tool} if request.forced_tool else {_name(tool) for tool in request.tools}
    return Turn(
        tools=[tool for tool in request.tools if _name(tool) in names],
        must_call=request.forced_call,
        parallel=request.parallel_calls,
        schema=request.schema,
        strict=request.strict_schema,
    )


def _compile_matcher(loaded: Loaded, asked: Asked) -> Matcher | None:
    """Return what holds the answer to the tools and the schema of the request; None if it has neither."""
    if not asked.constrained:
        return None
    prompt, tags = asked.prompt, Tags(loaded.tokenizer)
    dialect = asked.template.dialect
    lark = turn_grammar(asked.turn, tags, dialect, thinking=prompt.thinking, opened=prompt.opened)
    return compile_grammar(loaded, lark)


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool)["name"])


def _choose_sampling(
    loaded: Vocabulary, request: Request, template: ChatTemplate, *, thinking: bool
) -> Sampling:
    """Return the settings of the request, and for the rest those recommended for the checkpoint."""
    row = recommended(
        loaded.model_type,
        thinking=thinking,
        usual=thinking == template.thinks,
        generation_config=loaded.generation,
        replays=template.replays,
    )
    given = {name: value for name, value in request.sampling.items() if value is not None}
    return Sampling(**{**asdict(row), **given})
