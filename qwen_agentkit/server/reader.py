"""The chunks of one answer, read and checked against what was asked. Knows their form, sends nothing.

Form: https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from qwen_agentkit.chat.parsing import CallEvent, ContentEvent, Event, InvalidCallEvent, ReasoningEvent
from qwen_agentkit.chat.request import Done, FinishReason, Request
from qwen_agentkit.chat.structured import is_json
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.errors import InputError, ServerAnswerError, ServerUnsupportedError
from qwen_agentkit.server.calls import StreamedCalls
from qwen_agentkit.server.content import ContentReader

__all__ = ["AnswerReader", "StoppedThoughtError"]

T = TypeVar("T")

# Other words of servers, in lower case, for the ends that this package looks at.
_FINISHES = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_length"), "length"),
}

# Ends that are no end of an answer.
_BROKEN = ("abort", "aborted", "canceled", "cancelled", "error")

# Ends that say more than that there are calls, of which the last may be cut short.
_TELLING = ("length", "content_filter")

# Names of the types of parts, for errors.
_TYPE_NAMES: Mapping[type, str] = {str: "text", list: "a list of objects", dict: "an object"}

_INSTEAD = (
    "Leave it out (for structured output, use method='json_schema'), or use a server that obeys it, such as "
    "vLLM."
)


class StoppedThoughtError(ServerUnsupportedError):
    """A stop string ended a thought, so that there is no answer."""


class AnswerReader:
    """Reads the chunks of one answer.

    Args:
        root: Address of the server, for errors.
        model: As the server names it.
        request: What was asked.
        streams: Whether the caller reads events while they come.

    Attributes:
        begun: Whether any part of an answer has come.
    """

    def __init__(self, root: str, model: str, request: Request, *, streams: bool) -> None:
        self._root, self._request = root, request
        self._content = ContentReader(model, request, streams=streams)
        self._streamed_calls = StreamedCalls()
        self._called: list[str | None] = []  # names of tools
        self._written: list[str] = []  # of an answer that has to be JSON
        self._finish: str | None = None
        self._ended = False
        self._usage: Mapping[str, Any] = {}
        self._ends_in_thought = False
        self._fault = ""
        self.begun = False

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """Take one chunk, or a whole completion, and yield what it settles.

        Raises:
            ServerAnswerError: The chunk reports an error, or is malformed.
            ServerUnsupportedError: The server did not do what was asked.
        """
        self._check_failure(chunk)
        self._ended |= bool(chunk.get("done"))
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage or self._usage
        for choice in self._objects("choices", chunk.get("choices"))[:1]:
            self.begun = True
            finish = self._part("finish_reason", choice.get("finish_reason"), str)
            self._finish = _FINISHES.get(finish.lower(), finish) or self._finish
            delta = choice.get("delta") or choice.get("message")
            for event in self._read_delta(self._part("delta", delta, dict)):
                yield self._checked(event)

    def close(self) -> Iterator[Event | Done]:
        """Yield what was still open, at the end of the connection.

        Raises:
            ServerAnswerError: The answer is not complete.
            ServerUnsupportedError: The server did not do what was asked.
        """
        if not self.begun:
            raise self.failure("ended its answer before it had begun")
        if self._finish is None and not self._ended:
            raise self.failure("ended its answer without saying that it was complete")
        if self._finish and self._finish.lower() in _BROKEN:
            raise self.failure(f"broke off its answer ({self._finish!r})")
        for event in (*self._content.close(), *self._streamed_calls.read()):
            yield self._checked(event)
        self._check_calls()
        self._fault = self._check_object()
        if self._request.stop and self._ends_in_thought and self._finish == "stop":
            raise StoppedThoughtError(
                f"A stop string ended the thought of the model at {self._root}, so there is no answer: the "
                "server looks for stop strings in thoughts, too. Pass thinking=True, and this package looks "
                "for them in the answer alone, thinking=False, or no stop strings."
            )
        yield self._done()

    def failure(self, what: str) -> ServerAnswerError:
        """Return the error for an answer that failed."""
        return ServerAnswerError(
            f"The server at {self._root} {what}. Ask again; if it happens again, look into the server's log."
        )

    def _check_failure(self, chunk: Mapping[str, Any]) -> None:
        """Refuse an error that comes in place of a chunk."""
        reason = chunk.get("message") or chunk.get("detail") or chunk.get("msg")
        if chunk.get("object") == "error" or (isinstance(reason, str) and not chunk.get("choices")):
            raise self.failure(f"failed while it answered: {reason or reprlib.repr(chunk)}")

    def _part(self, name: str, value: Any, kind: type[T]) -> T:
        """Return a part of a chunk, an empty one if there is none."""
        if not value:
            return kind()
        if not isinstance(value, kind):
            raise self._malformed(name, value, kind)
        return value

    def _objects(self, name: str, value: Any) -> list[dict[str, Any]]:
        items = self._part(name, value, list)
        if not all(isinstance(item, dict) for item in items):
            raise self._malformed(name, value, list)
        return items

    def _malformed(self, name: str, value: Any, kind: type) -> ServerAnswerError:
        return ServerAnswerError(
            f"The server at {self._root} answered with {name}={reprlib.repr(value)}; expected "
            f"{_TYPE_NAMES[kind]}, as in OpenAI's API. Check base_url, and update the server."
        )

    def _read_delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought := self._part("reasoning", thought, str):
            yield from self._content.feed_reasoning(thought)
        # OpenAI keeps the words of a refusal apart, and kept a call apart before there were several.
        for text in (self._text(delta.get("content")), self._part("refusal", delta.get("refusal"), str)):
            if text:
                yield from self._content.feed(text)
        parts = self._objects("tool_calls", delta.get("tool_calls"))
        if function := self._part("function_call", delta.get("function_call"), dict):
            parts = parts or [{"index": 0, "function": function}]
        for part in parts:
            yield from self._content.end_reasoning()
            function = self._part("function", part.get("function"), dict)
            name = self._part("name", function.get("name"), str)
            call_id = str(part.get("id") or "")
            self._streamed_calls.add(part.get("index"), call_id, name, function.get("arguments"))

    def _text(self, content: Any) -> str:
        if not isinstance(content, list):
            return self._part("content", content, str)
        blocks = self._objects("content", content)
        return "".join(self._part("text", block.get("text"), str) for block in blocks)

    def _checked(self, event: Event) -> Event:
        """Return an event, unless it is a thought that was not to come; note what it is."""
        if isinstance(event, ReasoningEvent):
            if self._request.thinking is False and event.text.strip():
                raise ServerUnsupportedError(
                    f"thinking=False, but the model at {self._root} thinks: it always does, or the server "
                    "ignores the switch. Leave thinking unset, or serve a model with a switch, such as "
                    "'Qwen/Qwen3-8B'."
                )
            self._ends_in_thought = True
        elif not isinstance(event, ContentEvent) or event.text.strip():
            self._ends_in_thought = False
        if isinstance(event, CallEvent | InvalidCallEvent):
            self._called.append(event.call["name"])
        elif isinstance(event, ContentEvent) and self._request.schema is not None:
            self._written.append(event.text)
        return event

    def _check_calls(self) -> None:
        """Refuse an answer without the calls that were asked for, or with others."""
        request, called = self._request, self._called
        wanted = f"a call of {request.forced_tool!r}" if request.forced_tool else "a tool call"
        if request.forced_call and not called and self._finish != "length":
            raise ServerUnsupportedError(
                f"The answer has to be {wanted}, but {self._root} answered without one: it ignores "
                f"tool_choice. {_INSTEAD}"
            )
        if request.forbids_calls and called:
            raise ServerUnsupportedError(
                f"tool_choice='none', but {self._root} answered with a call of {called[0]!r}. {_INSTEAD}"
            )
        offered = [tool["function"]["name"] for tool in request.tools]
        allowed = [request.forced_tool] if request.forced_tool else offered
        others = [name for name in called if name and request.forced_call and name not in allowed]
        if others:
            raise ServerUnsupportedError(
                f"The answer has to be {wanted}, but {self._root} answered with a call of {others[0]!r}: it "
                f"ignores tool_choice. {_INSTEAD}"
            )
        if not request.parallel_calls and len(called) > 1:
            raise ServerUnsupportedError(
                f"parallel_tool_calls=False, but {self._root} answered with {len(called)} calls. {_INSTEAD}"
            )

    def _check_object(self) -> str:
        """Return what of an object does not fit its schema, which no server holds wholly; "" if it fits.

        Raises:
            ServerUnsupportedError: It is prose, and no parser follows that would say so.
        """
        request, text = self._request, "".join(self._written)
        if request.schema is None or self._called or self._finish == "length":
            return ""
        if is_json(text):
            return _find_fault(request.schema, text)
        if request.parsed or request.stop:  # a stop string may leave half of it
            return ""
        raise ServerUnsupportedError(
            f"The answer has to be JSON, but {self._root} answered {reprlib.repr(text)}: it ignores "
            "response_format. Use method='function_calling', or a server that obeys it, such as vLLM."
        )

    def _done(self) -> Done:
        usage = self._usage
        finish = "tool_calls" if self._called and self._finish not in _TELLING else self._finish
        if finish in ("tool_calls", "function_call") and not self._called:
            finish = "stop"
        return Done(
            input_tokens=_count(usage, "prompt_tokens"),
            cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
            output_tokens=_count(usage, "completion_tokens"),
            reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
            finish_reason=cast("FinishReason", finish or "stop"),  # servers have more words for it
            thinking_truncated=self._finish == "length" and self._ends_in_thought,
            schema_fault=self._fault,
        )


def _find_fault(schema: Mapping[str, Any], text: str) -> str:
    try:
        return hold_schema("the answer", schema).find_fault(json.loads(text, strict=False))
    except InputError:  # a schema that only the server knows how to read
        return ""


def _count(counts: Any, name: str) -> int | None:
    """Return a number of tokens; None where there is none, or something else: no answer fails for that."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if type(value) is int and value >= 0 else None
