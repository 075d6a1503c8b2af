"""The output of a Qwen model, parsed into reasoning, content and tool calls.

A state machine over pieces of text: it knows the tags, no tokens, models or LangChain. It never raises
because of what a model wrote: a call that cannot be read becomes an invalid tool call with the raw text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from qwen_agentkit.chat.dialects import (
    CallEnd,
    Dialect,
    find_call,
    guess_name,
    is_readable,
    partial_call,
    read_calls,
)
from qwen_agentkit.chat.stops import overlap
from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_THINK, json_call

__all__ = [
    "CallEvent",
    "ContentEvent",
    "Dialect",
    "Event",
    "InvalidCallEvent",
    "InvalidToolCall",
    "Parsed",
    "ReasoningEvent",
    "StreamParser",
    "ToolCall",
    "parse",
]

_THINK_TAG = re.compile(f"{OPEN_THINK}|{CLOSE_THINK}")


class ToolCall(TypedDict):
    """A call that could be read; the tool may be unknown."""

    name: str
    args: dict[str, Any]
    id: str


class InvalidToolCall(TypedDict):
    """A call that could not be read: `args` is its raw text with the tags, `error` what is wrong with it."""

    name: str | None
    args: str
    id: str
    error: str


@dataclass(frozen=True)
class ReasoningEvent:
    """A piece of the think block."""

    text: str


@dataclass(frozen=True)
class ContentEvent:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class CallEvent:
    """A whole tool call, and the text it was read from, with the tags."""

    call: ToolCall
    raw: str


@dataclass(frozen=True)
class InvalidCallEvent:
    """A whole tool call that could not be read."""

    call: InvalidToolCall


Event = ReasoningEvent | ContentEvent | CallEvent | InvalidCallEvent


@dataclass(frozen=True)
class Parsed:
    """The parts of a whole message."""

    reasoning: str = ""
    content: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    invalid_tool_calls: list[InvalidToolCall] = field(default_factory=list)

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> Parsed:
        """Join the events of a stream."""
        events = list(events)
        return cls(
            reasoning="".join(event.text for event in events if isinstance(event, ReasoningEvent)),
            content="".join(event.text for event in events if isinstance(event, ContentEvent)),
            tool_calls=[event.call for event in events if isinstance(event, CallEvent)],
            invalid_tool_calls=[event.call for event in events if isinstance(event, InvalidCallEvent)],
        )


def parse(
    text: str,
    *,
    thinking: bool = False,
    tools: Iterable[Mapping[str, Any]] | None = None,
    dialect: Dialect = "auto",
) -> Parsed:
    r"""Parse a whole output.

    Args:
        text: What the model wrote after the prompt.
        thinking: Whether the prompt already opened a think block.
        tools: Tool schemas in the OpenAI form; they type the values of the XML dialect.
        dialect: How tool calls are written; "auto" looks at each call, "none" takes them for text.

    Returns:
        The parts. Calls are numbered: `call_0`, `call_1`, ...

    Example:
        >>> parse("<think>\nEasy.\n</think>\n\nFour.")
        Parsed(reasoning='Easy.', content='Four.', tool_calls=[], invalid_tool_calls=[])
    """
    parser = StreamParser(thinking=thinking, tools=tools, dialect=dialect)
    return Parsed.from_events([*parser.feed(text), *parser.close()])


class StreamParser:
    """Parses an output while it is being written.

    The events together equal `parse` of the whole text, however the text is cut. A tool call is one event. A
    call drafted inside a think block is held until it is known whether the block is closed after it. A think
    block later in the answer is content, and a call in it is no call either.

    Args:
        thinking: Whether the prompt already opened a think block.
        tools: Tool schemas in the OpenAI form; they type the values of the XML dialect.
        dialect: How tool calls are written; "auto" looks at each call, "none" takes them for text.
    """

    def __init__(
        self,
        *,
        thinking: bool = False,
        tools: Iterable[Mapping[str, Any]] | None = None,
        dialect: Dialect = "auto",
    ) -> None:
        self._thinking = thinking
        self._tools = list(tools or ())
        self._dialect: Dialect = dialect
        self._buffer = ""  # text whose meaning is still open
        self._state = self._start
        self._opening = ""  # of the call that is being written
        self._end = CallEnd(dialect)
        self._reasoning = _Trimmed(strip_start=True)
        self._content = _Trimmed(strip_start=False)
        self._calls = 0
        self._opens = False  # the content ends inside a think block
        self._tail = ""  # of the content; may be the beginning of a tag

    @property
    def in_thought(self) -> bool:
        """Whether the text so far ends inside a think block."""
        return self._state in (self._think, self._draft) or (self._state == self._start and self._thinking)

    def feed(self, piece: str) -> list[Event]:
        """Take the next piece of text and return what it settles."""
        self._buffer += piece
        return list(self._run(final=False))

    def close(self) -> list[Event]:
        """End the text and return what was still open."""
        events = list(self._run(final=True))
        if rest := self._content.end():
            events.append(ContentEvent(rest))
        return events

    def _run(self, *, final: bool) -> Iterator[Event]:
        state = None
        while state != self._state:  # a state that stays has used all the text it can
            state = self._state
            yield from state(final)

    def _start(self, final: bool) -> Iterator[Event]:
        text = self._buffer.lstrip()
        if text.startswith(OPEN_THINK):
            self._buffer = text.removeprefix(OPEN_THINK)
            self._state = self._think
        elif final or not OPEN_THINK.startswith(text):
            self._state = self._think if self._thinking else self._text
        yield from ()

    def _think(self, final: bool) -> Iterator[Event]:
        end = self._buffer.find(CLOSE_THINK)
        call = find_call(self._buffer, self._dialect)
        if call and (end < 0 or call[0] < end):
            yield from self._reason(self._buffer[: call[0]])
            self._buffer = self._buffer[call[0] :]
            self._state = self._draft
        elif end >= 0:
            yield from self._end_thought(end)
        else:
            yield from self._reason(self._take(final, overlap(self._buffer, CLOSE_THINK)))

    def _draft(self, final: bool) -> Iterator[Event]:
        end = self._buffer.find(CLOSE_THINK)
        if end >= 0:
            yield from self._end_thought(end)
        elif final:
            draft, self._buffer = self._buffer, ""
            yield from self._promote(draft)

    def _promote(self, draft: str) -> Iterator[Event]:
        """Yield the readable calls of a think block that was never closed; the rest is reasoning."""
        while call := find_call(draft, self._dialect):
            start, body = call
            body_end, end = (body + length for length in CallEnd(self._dialect).close(draft[body:]))
            if is_readable(draft[body:body_end], self._dialect):
                yield from self._reason(draft[:start])
                self._reasoning.drop()
                yield from self._read(draft[body:body_end], draft[start:end])
            else:
                yield from self._reason(draft[:end])
            draft = draft[end:]
        yield from self._reason(draft)

    def _text(self, final: bool) -> Iterator[Event]:
        if call := find_call(self._buffer, self._dialect):
            start, body = call
            self._note_tags(text := self._buffer[:start])
            if self._opens:
                self._buffer = self._buffer[start:]
                self._state = self._later_draft
            else:
                self._opening = self._buffer[start:body]
                self._buffer = self._buffer[body:]
                self._end = CallEnd(self._dialect)
                self._state = self._call
        else:
            self._note_tags(text := self._take(final, 0))
        if text := self._content.push(text):
            yield ContentEvent(text)

    def _later_draft(self, final: bool) -> Iterator[Event]:
        end = self._buffer.find(CLOSE_THINK)
        if end >= 0:
            text, self._buffer = self._buffer[:end], self._buffer[end:]
            if text := self._content.push(text):
                yield ContentEvent(text)
        if end >= 0 or final:
            self._opens = False
            self._state = self._text

    def _note_tags(self, text: str) -> None:
        """Note whether the content ends inside a think block."""
        seen = self._tail + text
        end = 0
        for tag in _THINK_TAG.finditer(seen):
            self._opens, end = tag.group() == OPEN_THINK, tag.end()
        self._tail = seen[max(end, len(seen) - len(CLOSE_THINK) + 1) :]

    def _call(self, final: bool) -> Iterator[Event]:
        cut = self._end.close(self._buffer) if final else self._end.find(self._buffer)
        if cut is None:
            return
        body_end, end = cut
        yield from self._read(self._buffer[:body_end], self._opening + self._buffer[:end])
        self._buffer = self._buffer[end:]
        self._content.drop()
        self._state = self._text

    def _read(self, body: str, raw: str) -> Iterator[CallEvent | InvalidCallEvent]:
        try:
            calls = read_calls(body, self._dialect, self._tools)
        except ValueError as error:
            guess = guess_name(body)
            yield InvalidCallEvent({"name": guess, "args": raw, "id": self._number(), "error": str(error)})
            return
        for name, args in calls:
            own = raw if len(calls) == 1 else json_call(json.dumps(name), json.dumps(args))
            yield CallEvent({"name": name, "args": args, "id": self._number()}, own)

    def _number(self) -> str:
        self._calls += 1
        return f"call_{self._calls - 1}"

    def _reason(self, text: str) -> Iterator[Event]:
        if text := self._reasoning.push(text):
            yield ReasoningEvent(text)

    def _end_thought(self, end: int) -> Iterator[Event]:
        yield from self._reason(self._buffer[:end])
        self._buffer = self._buffer[end + len(CLOSE_THINK) :]
        self._content.drop()
        self._state = self._text

    def _take(self, final: bool, held: int) -> str:
        """Take the buffer except its last `held` characters, or more if they may begin a call."""
        held = 0 if final else max(held, partial_call(self._buffer, self._dialect))
        cut = len(self._buffer) - held
        taken, self._buffer = self._buffer[:cut], self._buffer[cut:]
        return taken


class _Trimmed:
    """One channel of text, without the newlines that the template puts around it.

    Args:
        strip_start: Whether newlines at the start belong to the template.
    """

    def __init__(self, *, strip_start: bool) -> None:
        self._strip_start = strip_start
        self._dropped = False  # the newlines held now follow a tag, so they only count between two texts
        self._started = False
        self._newlines = ""

    def push(self, text: str) -> str:
        """Add text and return what is certain; newlines at its end are held back."""
        if self._strip_start and not self._started:
            text = text.lstrip("\n")
        body = text.rstrip("\n")
        if not body:
            self._newlines += text
            return ""
        certain = self._newlines + body
        self._newlines = text[len(body) :]
        self._started, self._dropped = True, False
        return certain

    def drop(self) -> None:
        """Forget the newlines before a tag; those after it belong to the template, too."""
        self._newlines = ""
        self._strip_start = self._dropped = True

    def end(self) -> str:
        """Return the newlines at the end of the text that belong to the model."""
        return "" if self._dropped else self._newlines
