"""Thoughts and content of an answer, in which servers without the right parser leave thoughts and calls.

Knows the tags and which models begin inside a thought, no routes and no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qwen_agentkit.catalog import family_of
from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Event,
    InvalidCallEvent,
    ReasoningEvent,
    StreamParser,
)
from qwen_agentkit.chat.request import Request
from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_THINK

__all__ = ["ContentReader"]

# How a model ends a thought; an answer that speaks of the tag has more text in the line.
_CLOSING_LINE = re.compile(rf"{CLOSE_THINK}[ \t]*(?:\r?\n|\Z)")


class ContentReader:
    """Takes thoughts and content apart while they come.

    A thought without its opening tag shows only by the closing one. Content of a model that may begin so is
    held until that tag or the end. Of other models it is held only if it is not streamed; in a stream its
    text is passed on, and calls are held: those before a closing tag are drafts. That holds for models that
    are told not to think, too: some do.

    Args:
        model: As the server names it.
        request: What was asked.
        streams: Whether the caller reads events while they come.
    """

    def __init__(self, model: str, request: Request, *, streams: bool) -> None:
        self._tools, self._json = request.tools, request.schema is not None
        self._may_think = True  # as long as no thought has come
        self._begins_inside = bool(request.thinking or (request.thinking is None and _opens_thought(model)))
        self._streams = streams
        self._parser: StreamParser | None = None
        self._in_reasoning = False  # the parser is in a thought that the server sends as a field of its own
        self._drafts: _DraftFilter | None = None
        self._held = ""
        self._may_close_again = False  # the server has closed a thought, and some models do so once more

    def feed_reasoning(self, text: str) -> Iterator[Event]:
        """Take a piece of a thought that the server sends as a field of its own."""
        if self._parser is None and not self._held:
            self._parser, self._in_reasoning = self._new_parser(thinking=True), True
        if self._parser is not None and self._in_reasoning:
            yield from self._parser.feed(text)
        else:
            yield ReasoningEvent(text)

    def end_reasoning(self) -> Iterator[Event]:
        """Say that no more of such a thought comes."""
        if self._parser is not None and self._in_reasoning:
            self._in_reasoning = self._begins_inside = self._may_think = False
            self._may_close_again = True
            yield from self._parser.feed(CLOSE_THINK)
            if self._json:
                self._parser = None  # the content may be JSON or a call

    def feed(self, text: str) -> Iterator[Event]:
        """Take a piece of content and yield what it settles."""
        yield from self.end_reasoning()
        self._held += text
        if self._may_close_again:
            start = self._held.lstrip()
            if CLOSE_THINK.startswith(start):
                return
            self._may_close_again = False
            if start.startswith(CLOSE_THINK):
                self._held = start.removeprefix(CLOSE_THINK)
        if self._parser is None:
            self._parser = self._choose_parser()
        if self._parser is not None:
            held, self._held = self._held, ""
            yield from self._pass(self._parser.feed(held))

    def close(self) -> Iterator[Event]:
        """Yield what was still held."""
        if self._parser is None:
            thought = self._may_think and (_has_closing_line(self._held) or self._has_drafts())
            self._parser = self._new_parser(thinking=True) if thought else self._plain_parser()
        yield from self._pass([*self._parser.feed(self._held), *self._parser.close()])
        if self._drafts:
            yield from self._drafts.close()

    def _choose_parser(self) -> StreamParser | None:
        """Return the parser for the content so far; None while it may still be a thought."""
        start = self._held.lstrip()
        if not start or OPEN_THINK.startswith(start):
            return None
        if start.startswith(OPEN_THINK):
            return self._new_parser(thinking=False)
        if self._begins_inside:
            return self._new_parser(thinking=True) if CLOSE_THINK in start else None
        if self._may_think and not self._streams:
            return None
        if self._may_think and not self._json:
            self._drafts = _DraftFilter()
        return self._plain_parser()

    def _has_drafts(self) -> bool:
        """Whether what is held has calls before a closing tag."""
        parser, drafts = self._plain_parser(), _DraftFilter()
        for event in [*parser.feed(self._held), *parser.close()]:
            list(drafts.feed(event))
        return drafts.end is not None

    def _pass(self, events: list[Event]) -> Iterator[Event]:
        if self._drafts is None:
            yield from events
        else:
            for event in events:
                yield from self._drafts.feed(event)

    def _plain_parser(self) -> StreamParser:
        # Text that has to be JSON holds no tags, whatever its strings say.
        if self._json and not self._held.lstrip().startswith("<"):
            return _NoTags()
        return self._new_parser(thinking=False)

    def _new_parser(self, *, thinking: bool) -> StreamParser:
        return StreamParser(thinking=thinking, tools=self._tools, dialect="auto" if self._tools else "none")


class _DraftFilter:
    """Holds the calls of a stream to its end: those before a closing tag were drafts of a thought."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, CallEvent | InvalidCallEvent]] = []  # with the length of the text before
        self._text = ""  # from the first call on

    @property
    def end(self) -> int | None:
        """Where a thought with calls in it ends in the text after the first of them; None if there is none.

        A call is not made if there is doubt: any closing tag ends a thought here.
        """
        end = self._text.find(CLOSE_THINK)
        return end if end >= 0 and OPEN_THINK not in self._text[:end] else None

    def feed(self, event: Event) -> Iterator[Event]:
        """Take an event and pass it on if it is not a call."""
        if isinstance(event, CallEvent | InvalidCallEvent):
            self._calls.append((len(self._text), event))
            return
        if isinstance(event, ContentEvent) and self._calls:
            self._text += event.text
        yield event

    def close(self) -> Iterator[Event]:
        """Yield the calls; drafts come as the reasoning that they were a part of."""
        end = self.end
        for place, event in self._calls:
            if end is not None and place <= end:
                yield ReasoningEvent(_raw(event))
            elif isinstance(event, InvalidCallEvent) and _has_closing_line(_raw(event)):
                draft, _, answer = _raw(event).partition(CLOSE_THINK)  # a draft that was never closed
                yield ReasoningEvent(draft)
                yield ContentEvent(answer.lstrip("\n"))
            else:
                yield event


class _NoTags(StreamParser):
    """Passes text on as it is."""

    def feed(self, piece: str) -> list[Event]:
        """Return the piece."""
        return [ContentEvent(piece)] if piece else []

    def close(self) -> list[Event]:
        """Return nothing: nothing was held."""
        return []


def _raw(event: CallEvent | InvalidCallEvent) -> str:
    return event.raw if isinstance(event, CallEvent) else event.call["args"]


def _has_closing_line(text: str) -> bool:
    """Whether a line ends with the end of a thought that has no opening tag."""
    end = _CLOSING_LINE.search(text)
    return end is not None and OPEN_THINK not in text[: end.start()]


def _opens_thought(model: str) -> bool:
    """Whether the chat template of the model opens the thought, so that the content may begin in it."""
    family = family_of(model)
    return "thinking" in model.lower() or (family is not None and family.opens_thought)
