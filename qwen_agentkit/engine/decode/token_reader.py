"""The tokens of one answer, read as events. Knows the parser and the request, no weights and no LangChain."""

from __future__ import annotations

from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Dialect,
    Event,
    InvalidCallEvent,
    StreamParser,
)
from qwen_agentkit.chat.request import Request
from qwen_agentkit.chat.stops import StopStrings
from qwen_agentkit.chat.tags import OPEN_THINK
from qwen_agentkit.engine.checkpoint.template import Prompt
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.engine.decode.detokenize import Detokenizer
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck

__all__ = ["TokenReader"]


class TokenReader:
    """Turns the tokens of an answer into events.

    Attributes:
        tokens: How many were read.
        reasoning_tokens: How many of them belong to thoughts.
        calls: Tool calls so far.
        ended: Whether the answer came to its end: the model ended its turn, or a stop string came.
        thought_is_cut: Whether the answer ends inside a thought; known after `close`.
    """

    def __init__(
        self, loaded: Vocabulary, request: Request, prompt: Prompt, dialect: Dialect, check: AnswerCheck
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
