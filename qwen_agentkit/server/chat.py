"""One answer to a chat from a server, as the events that the engine gives. Knows the routes, no LangChain.

Body and stream: https://platform.openai.com/docs/api-reference/chat, with what `flavors` says of each server.
"""

from __future__ import annotations

import json
import reprlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

from qwen_agentkit.catalog import family_of
from qwen_agentkit.chat.dialects import read_call
from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Event,
    InvalidCallEvent,
    ReasoningEvent,
    StreamParser,
)
from qwen_agentkit.chat.request import Done, FinishReason, Request
from qwen_agentkit.chat.sampling import recommended_by_name
from qwen_agentkit.errors import ServerAnswerError, ServerFailedError, ServerUnsupportedError
from qwen_agentkit.server.flavors import Flavor, check_model, identify
from qwen_agentkit.server.http import Server

__all__ = ["ChatServer"]

T = TypeVar("T")


class ChatServer:
    """Chat with one model of a server.

    Args:
        server: Where it is.
        model: As the server names it.
        flavor: Kind of server, a name in `FLAVORS`; None asks the server.

    Raises:
        InputError: There is no such kind of server.
        ServerError: The server does not answer, or does not have the model.
    """

    def __init__(self, server: Server, model: str, flavor: str | None = None) -> None:
        models = server.models()
        self.flavor = identify(server, flavor, models)
        check_model(server, self.flavor, model, models)
        self._server, self._model = server, model

    def answer(
        self, request: Request, cancelled: threading.Event, *, streams: bool = True
    ) -> Iterator[Event | Done]:
        """Answer a chat: events while the server writes, then one `Done`.

        Args:
            request: What is asked, with messages in the OpenAI form.
            cancelled: Set it from another thread to close the connection at the next read.
            streams: Whether somebody wants the events while the server writes. If nobody does, a server that
                says more in one piece sends one.

        Raises:
            InputTooLongError: The chat does not fit the context.
            ServerUnsupportedError: The server cannot do what is asked, or did something else.
            ServerError: There was no whole answer.
        """
        body = chat_body(self._model, self.flavor, request)
        reader = _Reader(self._server.root, self._model, request)
        if streams or not self.flavor.quiet_streams:
            yield from self._read(body, reader, cancelled)
        # A quiet stream that ends before it has begun does not say why.
        if self.flavor.quiet_streams and not reader.begun and not cancelled.is_set():
            yield from self._read({**body, "stream": False}, reader, cancelled)
        if not cancelled.is_set():
            yield from reader.close()

    def _read(self, body: dict[str, Any], reader: _Reader, cancelled: threading.Event) -> Iterator[Event]:
        try:
            with self._server.stream("/v1/chat/completions", body, cancelled) as chunks:
                for chunk in chunks:
                    yield from reader.feed(chunk)
        except ServerFailedError as error:
            if not self.flavor.loads_models:
                raise
            raise ServerFailedError(
                f"{error} It loads what it is asked for: check that it can find the model {self._model!r}."
            ) from error
        except RecursionError as error:
            raise reader.failed("answered with JSON that is nested too deeply") from error


def chat_body(model: str, flavor: Flavor, request: Request) -> dict[str, Any]:
    """Write a request as JSON.

    Raises:
        ServerUnsupportedError: This kind of server has no way to ask for it.
    """
    body: dict[str, Any] = {"model": model, "messages": list(request.messages), "stream": True}
    given = {name: value for name, value in request.sampling.items() if value is not None}
    optional = {
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "response_format": _response_format(request.schema, bare=flavor.bare_schema),
        "tools": list(request.tools) or None,
        "tool_choice": _tool_choice(request),
        **given,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    _refuse(flavor, body.keys() & flavor.ignores, body)
    body |= _thinking(flavor, request)
    _complete(body, model, flavor, request)
    return body


def _complete(body: dict[str, Any], model: str, flavor: Flavor, request: Request) -> None:
    """Add what nobody asked for, or what the reader checks anyway, where the server takes it."""
    unasked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if request.tools:
        unasked["parallel_tool_calls"] = request.parallel_calls  # llama.cpp allows one call if nobody says
    if row := recommended_by_name(model, request.thinking):
        unasked |= asdict(row)
    for name, value in unasked.items():
        if name not in flavor.ignores:
            body.setdefault(name, value)


def _thinking(flavor: Flavor, request: Request) -> dict[str, Any]:
    """Write what is said of thinking in the words of the server."""
    said = {
        "thinking": request.thinking,
        "reasoning_effort": request.reasoning_effort,
        "keep_thoughts": request.keep_thoughts,
    }
    said = {name: value for name, value in said.items() if value is not None}
    body: dict[str, Any] = {}
    if request.thinking_budget is not None:
        if flavor.budget is None:
            _refuse(flavor, ["thinking_budget"], {"thinking_budget": request.thinking_budget})
        else:
            body[flavor.budget] = request.thinking_budget
    if flavor.switch == "template":
        _refuse(flavor, said.keys() & flavor.ignores, said)
        variables = {_VARIABLES[name]: value for name, value in said.items()}
        return body | ({"chat_template_kwargs": variables} if variables else {})
    if flavor.switch == "effort":
        _refuse(flavor, said.keys() & {"keep_thoughts"}, said)
        effort = {True: "medium", False: "none", None: None}[request.thinking]
        if request.reasoning_effort is not None and request.thinking is not False:
            effort = request.reasoning_effort
        return body | ({"reasoning_effort": effort} if effort else {})
    _refuse(flavor, said, said)
    return body


# Settings by the names that chat templates have for them.
_VARIABLES = {
    "thinking": "enable_thinking",
    "reasoning_effort": "reasoning_effort",
    "keep_thoughts": "preserve_thinking",
}


# What to do without settings that structured output makes, and nobody can leave out there.
_INSTEAD = {
    "tool_choice": (
        "Leave it out, and structured output with method='function_calling', too: offer the tools with "
        "bind_tools, ask for the call in the prompt and read tool_calls"
    ),
    "response_format": (
        "Leave it out, and structured output, too: describe the JSON in the prompt and read the text"
    ),
}


def _refuse(flavor: Flavor, names: Any, values: Mapping[str, Any]) -> None:
    for name in sorted(names):
        hint = (
            "If it is one of the servers this package knows, name it: server='vllm' or another."
            if flavor.name == "openai"
            else f"{_INSTEAD.get(name, 'Leave it out')}, or use another server."
        )
        kind = "An unknown kind of server" if flavor.name == "openai" else f"The server ({flavor.name})"
        raise ServerUnsupportedError(
            f"{kind} cannot be asked for {name}={values[name]!r}: it would refuse it, or drop it without a "
            f"word. {hint}"
        )


def _response_format(schema: Mapping[str, Any] | None, *, bare: bool) -> dict[str, Any] | None:
    if schema is None:
        return None
    if schema == {"type": "object"}:
        return {"type": "json_object"}
    if bare:
        return {"type": "json_object", "schema": dict(schema)}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
    }


def _tool_choice(request: Request) -> str | dict[str, Any] | None:
    if not request.forced_call:
        return None
    if request.forced_tool is None:
        return "required"
    return {"type": "function", "function": {"name": request.forced_tool}}


@dataclass
class _Call:
    """A tool call that is still being written."""

    index: Any
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class _Reader:
    """Reads the chunks of one answer.

    Attributes:
        begun: Whether there was any part of an answer.
    """

    def __init__(self, root: str, model: str, request: Request) -> None:
        self._root, self._request = root, request
        self._content = _Content(model, request)
        # All of them until the end: any may go on after the next has begun.
        self._open: list[_Call] = []
        self._finish: str | None = None
        self._ended = False
        self._usage: Mapping[str, Any] = {}
        self._calls = 0
        self._thought_last = False
        self.begun = False

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """Take one chunk, or a whole completion, and give what it settles."""
        self._check_failure(chunk)
        self._ended |= bool(chunk.get("done"))
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage or self._usage
        for choice in self._objects("choices", chunk.get("choices"))[:1]:
            self.begun = True
            self._finish = self._part("finish_reason", choice.get("finish_reason"), str) or self._finish
            delta = choice.get("delta") or choice.get("message")
            for event in self._delta(self._part("delta", delta, dict)):
                yield from self._checked(event)

    def close(self) -> Iterator[Event | Done]:
        """Say that the connection has ended, and give what was still open."""
        if not self.begun:
            raise self.failed("ended its answer before it had begun")
        if self._finish is None and not self._ended:
            raise self.failed("ended its answer without saying that it was complete")
        if self._finish in ("abort", "error"):
            raise self.failed(f"broke its answer off ({self._finish!r})")
        for event in (*map(_read_call, self._open), *self._content.close()):
            yield from self._checked(event)
        self._check_calls()
        yield self._done()

    def _check_failure(self, chunk: Mapping[str, Any]) -> None:
        """Refuse an error that came as if it were a part of the answer."""
        reason = chunk.get("message") or chunk.get("detail")
        if chunk.get("object") == "error" or (isinstance(reason, str) and not chunk.get("choices")):
            raise self.failed(f"failed while it answered: {reason or reprlib.repr(chunk)}")

    def failed(self, how: str) -> ServerAnswerError:
        """Say how an answer failed, and what to do."""
        return ServerAnswerError(
            f"The server at {self._root} {how}. Ask again; if it happens again, look into the server's log."
        )

    def _part(self, name: str, value: Any, kind: type[T]) -> T:
        """Return a part of a chunk, an empty one if there is none."""
        if not value:
            return kind()
        if not isinstance(value, kind):
            raise self._strange(name, value, kind)
        return value

    def _objects(self, name: str, value: Any) -> list[dict[str, Any]]:
        items = self._part(name, value, list)
        if not all(isinstance(item, dict) for item in items):
            raise self._strange(name, value, list)
        return items

    def _strange(self, name: str, value: Any, kind: type) -> ServerAnswerError:
        return ServerAnswerError(
            f"The server at {self._root} answered with {name}={reprlib.repr(value)}; expected "
            f"{_WORDS[kind]}, as OpenAI has it. Check base_url, and update the server."
        )

    def _text(self, content: Any) -> str:
        if not isinstance(content, list):
            return self._part("content", content, str)
        blocks = self._objects("content", content)
        return "".join(self._part("text", block.get("text"), str) for block in blocks)

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought := self._part("reasoning", thought, str):
            yield from self._content.think(thought)
        if text := self._text(delta.get("content")):
            yield from self._content.feed(text)
        for part in self._objects("tool_calls", delta.get("tool_calls")):
            yield from self._content.answer()
            self._call_part(part)

    def _call_part(self, part: Mapping[str, Any]) -> None:
        """Take a piece of a call."""
        function = self._part("function", part.get("function"), dict)
        name = self._part("name", function.get("name"), str)
        call = self._call(part.get("index"), str(part.get("id") or ""), name)
        call.name = call.name or name
        arguments = function.get("arguments")
        if arguments is not None:
            call.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def _call(self, index: Any, call_id: str, name: str) -> _Call:
        """Find the call that a piece belongs to, or open one; some servers number all of their calls 0."""
        same = [
            call
            for call in self._open
            if call.index == index and (not call_id or not call.id or call.id == call_id)
        ]
        unnumbered = index is None and name
        if not same or unnumbered:
            same = [_Call(index)]
            self._open += same
        same[-1].id = same[-1].id or call_id
        return same[-1]

    def _checked(self, event: Event) -> Iterator[Event]:
        """Pass an event on, unless it is what was asked not to come."""
        if isinstance(event, ReasoningEvent):
            if self._request.thinking is False and event.text.strip():
                raise ServerUnsupportedError(
                    f"thinking=False, but the model at {self._root} thinks: it always does, or the server "
                    "drops the switch. Leave thinking unset, or serve a model with a switch, such as "
                    "'Qwen/Qwen3-8B'."
                )
            self._thought_last = True
        elif not isinstance(event, ContentEvent) or event.text.strip():
            self._thought_last = False
        self._calls += isinstance(event, CallEvent | InvalidCallEvent)
        yield event

    def _check_calls(self) -> None:
        request = self._request
        if request.forced_call and not self._calls and self._finish != "length":
            wanted = f"a call of {request.forced_tool!r}" if request.forced_tool else "a tool call"
            raise ServerUnsupportedError(
                f"The answer has to be {wanted}, but {self._root} answered without one: it drops "
                "tool_choice. Leave it out (for structured output, use method='json_schema'), or use a "
                "server that keeps it, such as vLLM."
            )
        if not request.parallel_calls and self._calls > 1:
            raise ServerUnsupportedError(
                f"parallel_tool_calls=False, but {self._root} answered with {self._calls} calls. Leave it "
                "out (for structured output, use method='json_schema'), or use a server that keeps it, such "
                "as vLLM."
            )

    def _done(self) -> Done:
        usage = self._usage
        finish = "tool_calls" if self._calls and self._finish != "length" else self._finish
        if finish in ("tool_calls", "function_call") and not self._calls:
            finish = "stop"
        return Done(
            input_tokens=_count(usage, "prompt_tokens"),
            cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
            output_tokens=_count(usage, "completion_tokens"),
            reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
            finish_reason=cast("FinishReason", finish or "stop"),  # a server may have more words for it
            thinking_truncated=self._finish == "length" and self._thought_last,
        )


class _Content:
    """Reads thoughts and content, in which a server without the right parser leaves thoughts and calls."""

    def __init__(self, model: str, request: Request) -> None:
        self._tools, self._json = request.tools, request.schema is not None
        self._parser: StreamParser | None = None
        self._apart = False  # the parser is in a thought that the server keeps apart from the content
        # Templates of these models open the think block, so that the content may begin inside of it.
        family = family_of(model)
        opens = "thinking" in model.lower() or (family is not None and family.opens_thought)
        self._inside = opens and request.thinking is not False
        self._held = ""

    def think(self, text: str) -> Iterator[Event]:
        """Take a piece of a thought that the server keeps apart, with the newlines around it."""
        if self._parser is None and not self._held:
            self._parser, self._apart = self._read(thinking=True), True
        if self._parser is not None and self._apart:
            yield from self._parser.feed(text)
        else:
            yield ReasoningEvent(text)

    def answer(self) -> Iterator[Event]:
        """Say that what comes next is no thought."""
        if self._parser is not None and self._apart:
            self._apart = False
            yield from self._parser.feed("</think>")
            if self._json:
                self._parser = None  # what the content is has to be seen
                self._inside = False

    def feed(self, text: str) -> Iterator[Event]:
        """Take a piece of content and give what it settles."""
        yield from self.answer()
        self._held += text
        if self._parser is None:
            self._parser = self._choose()
        if self._parser is not None:
            held, self._held = self._held, ""
            yield from self._parser.feed(held)

    def close(self) -> Iterator[Event]:
        """Give what was still held."""
        parser = self._parser or self._plain()
        yield from parser.feed(self._held)
        yield from parser.close()

    def _choose(self) -> StreamParser | None:
        """Return the parser for the content held; None while it may still be either."""
        start = self._held.lstrip()
        if self._inside and "<think>" not in start:
            return self._read(thinking=True) if "</think>" in start else None
        if not start or "<think>".startswith(start):
            return None
        return self._plain()

    def _plain(self) -> StreamParser:
        # Text that has to be JSON holds no tags, whatever its strings say.
        if self._json and not self._held.lstrip().startswith("<"):
            return _NoTags()
        return self._read(thinking=False)

    def _read(self, *, thinking: bool) -> StreamParser:
        return StreamParser(thinking=thinking, tools=self._tools, dialect="auto" if self._tools else "none")


class _NoTags(StreamParser):
    """Text as it is."""

    def feed(self, piece: str) -> list[Event]:
        """Give the piece."""
        return [ContentEvent(piece)] if piece else []

    def close(self) -> list[Event]:
        """Give nothing: nothing was held."""
        return []


# How to call the kinds of parts in a message.
_WORDS: Mapping[type, str] = {str: "text", list: "a list of objects", dict: "an object"}


def _count(counts: Any, name: str) -> int | None:
    """Return a number of tokens; None where there is none, or something else: no answer fails for that."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if type(value) is int and value >= 0 else None


def _read_call(call: _Call) -> CallEvent | InvalidCallEvent:
    """Read a call as those in the content are read."""
    text = "".join(call.arguments)
    # Invalid calls are kept as a model writes them.
    raw = f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {text}}}\n</tool_call>'
    body = json.dumps({"name": call.name, "arguments": text if text.strip() else {}})
    try:
        name, arguments = read_call(body, "json", ())
    except ValueError as error:
        return InvalidCallEvent({"name": call.name or None, "args": raw, "id": call.id, "error": str(error)})
    return CallEvent({"name": name, "args": arguments, "id": call.id}, raw)
