"""One answer to a chat, from messages to parsed events. Knows the engine and the parser, no LangChain."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Dialect,
    Event,
    InvalidCallEvent,
    StreamParser,
)
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.chat.sampling import recommended
from qwen_agentkit.chat.stops import StopStrings
from qwen_agentkit.chat.tags import OPEN_THINK
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import ChatTemplate, Prompt, chat_template
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode.detokenize import Detokenizer
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.matcher import Matcher, compile_grammar
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar
from qwen_agentkit.engine.grammar.turn_guide import TurnGuide
from qwen_agentkit.errors import InputError

__all__ = ["answer", "prompt_length"]


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
    template = chat_template(loaded)
    prompt = _render_prompt(template, request)
    turn = _turn(request)
    room = max(0, loaded.context - len(prompt.tokens))
    guide = TurnGuide(
        loaded,
        prompt,
        limit=room if request.max_tokens is None else min(request.max_tokens, room),
        budget=request.thinking_budget,
        matcher=_compile_matcher(loaded, request, turn, template, prompt),
    )
    tokens = generate(
        loaded,
        prompt.tokens,
        _choose_sampling(loaded, request, template, thinking=prompt.thinking),
        max_tokens=request.max_tokens,
        guide=guide,
        cancelled=cancelled,
    )
    check = AnswerCheck(turn, template.dialect)
    reader = _TokenReader(loaded, request, prompt, template.dialect if request.tools else "none", check)
    with closing(tokens):
        for token in tokens:
            yield from reader.feed(token)
            if reader.ended:
                break
    yield from reader.close()
    yield Done(
        input_tokens=len(prompt.tokens),
        cached_tokens=tokens.cached_tokens,
        output_tokens=reader.tokens,
        reasoning_tokens=reader.reasoning_tokens,
        finish_reason="length" if not reader.ended else "tool_calls" if reader.calls else "stop",
        thinking_truncated=guide.truncated or reader.thought_is_cut,
        schema_fault=check.find_answer_fault(reader.content) if request.schema is not None else "",
    )


def prompt_length(loaded: Loaded, request: Request) -> int:
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


def _compile_matcher(
    loaded: Loaded, request: Request, turn: Turn, template: ChatTemplate, prompt: Prompt
) -> Matcher | None:
    """Return what holds the answer to the tools and the schema of the request; None if it has neither."""
    if turn.free and not turn.tools and not request.forbids_calls:
        return None
    tags = Tags(loaded.tokenizer)
    lark = turn_grammar(turn, tags, template.dialect, thinking=prompt.thinking, opened=prompt.opened)
    return compile_grammar(loaded, lark)


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool)["name"])


class _TokenReader:
    """Turns the tokens of an answer into events.

    Attributes:
        tokens: How many were read.
        reasoning_tokens: How many of them belong to thoughts.
        calls: Tool calls so far.
        ended: Whether the answer came to its end: the model ended its turn, or a stop string came.
        thought_is_cut: Whether the answer ends inside a thought; known after `close`.
    """

    def __init__(
        self, loaded: Loaded, request: Request, prompt: Prompt, dialect: Dialect, check: AnswerCheck
    ) -> None:
        self._written: list[str] = []
        self._check, self._keeps = check, request.schema is not None
        self.tokens = self.reasoning_tokens = self.calls = 0
        self.ended = self.thought_is_cut = False
        self._ends = end_ids(loaded)
        self._detokenizer = Detokenizer(loaded.tokenizer)
        self._stops = StopStrings(request.stop)
        self._text = _TextReader(request, prompt, dialect)

    @property
    def content(self) -> str:
        """The text so far of an answer that has to be JSON."""
        return "".join(self._written)

    def feed(self, token: int) -> list[Event]:
        """Take the next token and return the events that it completes."""
        self.tokens += 1
        if token in self._ends:
            self.ended = True
            return []
        stops, was_thought = self._stops, self._text.in_thought
        piece = self._detokenizer.feed(token)
        # Stop strings do not count in thoughts.
        events = self._text.feed(stops.release() + piece if was_thought else stops.feed(piece))
        self.reasoning_tokens += was_thought or self._text.in_thought
        if was_thought and not self._text.in_thought:
            stops.pass_newlines()
        self.ended = stops.reached
        return self._count(events)

    def close(self) -> list[Event]:
        """Take the end of the answer and return the events that were still open."""
        self.thought_is_cut = self._text.in_thought and not self.ended
        return self._count([*self._text.feed(self._stops.release()), *self._text.close()])

    def _count(self, events: list[Event]) -> list[Event]:
        events = [self._checked(event) if isinstance(event, CallEvent) else event for event in events]
        self.calls += sum(isinstance(event, CallEvent) for event in events)
        if self._keeps:
            self._written += [event.text for event in events if isinstance(event, ContentEvent)]
        return events

    def _checked(self, event: CallEvent) -> CallEvent | InvalidCallEvent:
        """Return a call, as an invalid one if its arguments do not fit the tool."""
        call = event.call
        if fault := self._check.find_call_fault(call["name"], call["args"]):
            return InvalidCallEvent(
                {"name": call["name"], "args": event.raw, "id": call["id"], "error": fault}
            )
        return event


class _TextReader:
    """Parses the text of an answer. Text that has to be JSON holds no tags, whatever its strings contain."""

    def __init__(self, request: Request, prompt: Prompt, dialect: Dialect) -> None:
        self._parser = StreamParser(thinking=prompt.opened, tools=request.tools, dialect=dialect)
        self._undecided = request.schema is not None
        self._json = False

    @property
    def in_thought(self) -> bool:
        """Whether the text so far ends inside a think block."""
        return self._parser.in_thought and not self._json

    def feed(self, piece: str) -> list[Event]:
        """Take the next piece of text and return the events that it completes."""
        if self._undecided and not self.in_thought and (text := piece.strip()) not in ("", OPEN_THINK):
            self._undecided = False
            self._json = not text.startswith("<")  # otherwise it is a call
        if not self._json:
            return self._parser.feed(piece)
        return [ContentEvent(piece)] if piece else []

    def close(self) -> list[Event]:
        """Take the end of the text and return the events that were still open."""
        return self._parser.close()


def _choose_sampling(loaded: Loaded, request: Request, template: ChatTemplate, *, thinking: bool) -> Sampling:
    """Return the settings of the request, and for the rest those recommended for the checkpoint."""
    row = recommended(
        loaded.model.config.model_type,
        thinking=thinking,
        usual=thinking == template.thinks,
        generation_config=loaded.generation,
        replays=template.replays,
    )
    given = {name: value for name, value in request.sampling.items() if value is not None}
    return Sampling(**{**asdict(row), **given})
