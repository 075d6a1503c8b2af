"""One answer to a chat from a server, as the events that the engine gives. Knows the routes, no LangChain.

Body and stream: https://platform.openai.com/docs/api-reference/chat, with what `flavors` says of each server.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from qwen_agentkit.engine.request import Done, FinishReason, Request
from qwen_agentkit.errors import ServerAnswerError, ServerUnsupportedError
from qwen_agentkit.parsing import (
    CallEvent,
    ContentEvent,
    Event,
    InvalidCallEvent,
    ReasoningEvent,
    StreamParser,
)
from qwen_agentkit.sampling import recommended_by_name
from qwen_agentkit.server.flavors import Flavor, check_model, identify
from qwen_agentkit.server.http import Server

__all__ = ["ChatServer"]


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

    def answer(self, request: Request, cancelled: threading.Event) -> Iterator[Event | Done]:
        """Answer a chat: events while the server writes, then one `Done`.

        Args:
            request: What is asked, with messages in the OpenAI form.
            cancelled: Set it from another thread to close the connection at the next read.

        Raises:
            InputTooLongError: The chat does not fit the context.
            ServerUnsupportedError: The server cannot do what is asked, or did something else.
            ServerError: There was no whole answer.
        """
        body = chat_body(self._model, self.flavor, request)
        reader = _Reader(self._server.root, self._model, request)
        with self._server.stream("/v1/chat/completions", body, cancelled) as chunks:
            for chunk in chunks:
                yield from reader.feed(chunk)
        if not cancelled.is_set():
            yield from reader.close()


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
    if request.tools and not request.parallel_calls:
        body["parallel_tool_calls"] = False
    _refuse(flavor, body.keys() & flavor.ignores, body)
    body |= _thinking(flavor, request)
    _complete(body, model, flavor, request)
    return body


def _complete(body: dict[str, Any], model: str, flavor: Flavor, request: Request) -> None:
    """Add what nobody asked for, where the server takes it."""
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


def _refuse(flavor: Flavor, names: Any, values: Mapping[str, Any]) -> None:
    for name in sorted(names):
        hint = (
            "If it is one of the servers this package knows, name it: server='vllm' or another."
            if flavor.name == "openai"
            else "Leave it out, or use another server."
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
    """Reads the chunks of one answer."""

    def __init__(self, root: str, model: str, request: Request) -> None:
        self._root, self._request = root, request
        self._content = _Content(model, request)
        self._call: _Call | None = None
        self._finish: str | None = None
        self._ended = False
        self._usage: Mapping[str, Any] = {}
        self._calls = 0
        self._thought_last = False

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """Take one chunk, or a whole completion, and give what it settles."""
        self._ended |= bool(chunk.get("done"))
        self._usage = chunk.get("usage") or self._usage
        for choice in (chunk.get("choices") or ())[:1]:
            self._finish = choice.get("finish_reason") or self._finish
            for event in self._delta(choice.get("delta") or choice.get("message") or {}):
                yield from self._checked(event)

    def close(self) -> Iterator[Event | Done]:
        """Say that the connection has ended, and give what was still open."""
        if self._finish is None and not self._ended:
            raise ServerAnswerError(
                f"The server at {self._root} ended its answer without saying that it was complete. Ask "
                "again; if it happens again, look into the server's log."
            )
        if self._finish in ("abort", "error"):
            raise ServerAnswerError(
                f"The server at {self._root} broke its answer off ({self._finish!r}). Ask again; if it "
                "happens again, look into the server's log."
            )
        for event in (*self._end_call(), *self._content.close()):
            yield from self._checked(event)
        self._check_calls()
        yield self._done()

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            yield from self._content.think(str(thought))
        if text := _text(delta.get("content")):
            yield from self._content.feed(text)
        for part in delta.get("tool_calls") or ():
            yield from self._content.answer()
            yield from self._call_part(part)

    def _call_part(self, part: Mapping[str, Any]) -> Iterator[Event]:
        """Take a piece of a call; some servers number all of their calls 0."""
        function = part.get("function") or {}
        call, index, call_id = self._call, part.get("index"), str(part.get("id") or "")
        new_id = call is not None and call_id and call.id and call_id != call.id
        unnumbered = index is None and function.get("name")
        if call is None or call.index != index or new_id or unnumbered:
            yield from self._end_call()
            call = self._call = _Call(index)
        call.id = call.id or call_id
        call.name = call.name or str(function.get("name") or "")
        arguments = function.get("arguments")
        if arguments is not None:
            call.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def _end_call(self) -> Iterator[Event]:
        call, self._call = self._call, None
        if call is not None:
            yield _read_call(call)

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
                "tool_choice. Leave tool_choice out, or use a server that keeps it, such as vLLM."
            )
        if not request.parallel_calls and self._calls > 1:
            raise ServerUnsupportedError(
                f"parallel_tool_calls=False, but {self._root} answered with {self._calls} calls. Leave it "
                "out, or use a server that keeps it, such as vLLM."
            )

    def _done(self) -> Done:
        usage = self._usage
        finish = "tool_calls" if self._calls and self._finish != "length" else self._finish
        if finish in ("tool_calls", "function_call") and not self._calls:
            finish = "stop"
        return Done(
            input_tokens=usage.get("prompt_tokens"),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            output_tokens=usage.get("completion_tokens"),
            reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
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
        name = model.lower()
        opens = "thinking" in name or any(f"qwen3.{edition}" in name for edition in "5678")
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


def _text(content: str | Sequence[Any] | None) -> str:
    if isinstance(content, list):
        return "".join(str(block.get("text") or "") for block in content if isinstance(block, dict))
    return content if isinstance(content, str) else ""


def _read_call(call: _Call) -> CallEvent | InvalidCallEvent:
    text = "".join(call.arguments)
    # Invalid calls are kept as a model writes them.
    raw = f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {text}}}\n</tool_call>'
    try:
        arguments = json.loads(text, strict=False) if text.strip() else {}
        if not isinstance(arguments, dict) or not call.name:
            raise ValueError("expected a name, and arguments that are a JSON object")
    except ValueError as error:
        return InvalidCallEvent({"name": call.name or None, "args": raw, "id": call.id, "error": str(error)})
    return CallEvent({"name": call.name, "args": arguments, "id": call.id}, raw)
