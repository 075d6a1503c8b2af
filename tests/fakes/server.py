"""Servers without a socket: bodies as the documentation of real ones shows them; what they were asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.server import connections

URL = "http://server.test/v1"

Reply = httpx.Response | Exception
Handler = Callable[[httpx.Request], Reply]


class FakeServer:
    """Answers by route; a list of answers is given one by one, and the last one again and again."""

    def __init__(self, routes: dict[str, Any], owner: str | None, model: str) -> None:
        self.routes: dict[str, Any] = {"/v1/models": listed(model, owner), **routes}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        body = json.loads(request.content) if request.content else {}
        self.asked.append((path, body))
        self.headers.append(request.headers)
        reply = self.routes.get(path, httpx.Response(404, json={"detail": "Not Found"}))
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            reply = reply(body)
        if isinstance(reply, Exception):
            raise reply
        if not isinstance(reply, httpx.Response):
            reply = httpx.Response(200, json=reply)
        # A response is read once; tests may want it again.
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.read())

    def bodies(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]


Serve = Callable[..., FakeServer]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Put a server at `URL`; waits between retries are written down instead of waited for."""

    def start(routes: dict[str, Any], owner: str | None = "vllm", model: str = "Qwen/Qwen3-8B") -> FakeServer:
        server = FakeServer(routes, owner, model)
        client = httpx.Client(transport=httpx.MockTransport(server))
        monkeypatch.setitem(connections._clients, "http://server.test", client)
        return server

    return start


def listed(model: str, owner: str | None) -> dict[str, Any]:
    row = {"id": model, "object": "model", "created": 1700000000}
    return {"object": "list", "data": [row if owner is None else {**row, "owned_by": owner}]}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "served",
        "choices": [{"index": 0, "delta": fields, "finish_reason": finish}],
    }


def usage(prompt: int = 9, completion: int = 5, **details: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": {**counts, **details}}


def sse(chunks: Iterable[dict[str, Any] | str], *, done: bool = True) -> httpx.Response:
    """Write a stream; strings are lines of their own."""
    lines = [chunk if isinstance(chunk, str) else f"data: {json.dumps(chunk)}" for chunk in chunks]
    text = "".join(f"{line}\n\n" for line in (*lines, *(["data: [DONE]"] if done else [])))
    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, text=text)


def call(index: int | None, name: str | None, arguments: Any, call_id: str | None = None) -> dict[str, Any]:
    """Write a piece of a tool call."""
    function = {"name": name, "arguments": arguments}
    part = {"index": index, "id": call_id, "type": "function", "function": function}
    return {key: value for key, value in part.items() if value is not None}


CHAT = "/v1/chat/completions"


HELLO = sse([delta(role="assistant", content=""), delta(content="Hel"), delta("stop", content="lo"), usage()])


def search(query: str) -> str:
    """Search the handbook."""
    return query


def chat(**settings: Any) -> ChatQwen:
    return ChatQwen(**{"model": "Qwen/Qwen3-8B", "base_url": URL, **settings})


ARGUMENTS = '{"query": "opening hours"}'


PIECES = [ARGUMENTS[:3], ARGUMENTS[3:9], ARGUMENTS[9:]]


CALLS = {
    "vllm: deltas by index": [
        delta(tool_calls=[call(0, "search", "", "call-a")]),
        *(delta(tool_calls=[call(0, None, piece)]) for piece in PIECES),
        delta(tool_calls=[call(1, "search", "{}", "call-b")]),
        delta("tool_calls"),
    ],
    "ollama: whole, all numbered 0": [
        delta(tool_calls=[call(0, "search", ARGUMENTS, "call-a")]),
        delta(tool_calls=[call(0, "search", "{}", "call-b")]),
        delta("stop"),
    ],
    "vllm: both at the same time": [
        delta(tool_calls=[call(0, "search", ARGUMENTS[:5], "call-a"), call(1, "search", "{", "call-b")]),
        delta(tool_calls=[call(0, None, ARGUMENTS[5:]), call(1, None, "}")]),
        delta("tool_calls"),
    ],
    "both at the same time, told apart by their ids": [
        delta(tool_calls=[call(0, "search", ARGUMENTS[:5], "call-a"), call(0, "search", "{", "call-b")]),
        delta(tool_calls=[call(0, None, ARGUMENTS[5:], "call-a"), call(0, None, "}", "call-b")]),
        delta("tool_calls"),
    ],
    "no numbers, arguments as an object": [
        delta(tool_calls=[call(None, "search", {"query": "opening hours"}), call(None, "search", "")]),
        delta("tool_calls"),
    ],
    "left in the content": [
        delta(content=f'<tool_call>\n{{"name": "search", "arguments": {ARGUMENTS}}}\n</tool_call>\n'),
        delta(content='<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>'),
        delta("stop"),
    ],
    "inside a thought that never ends": [
        delta(reasoning=f'Hm.\n<tool_call>\n{{"name": "search", "arguments": {ARGUMENTS}}}\n</tool_call>\n'),
        delta(reasoning='<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>'),
        delta("stop"),
    ],
}
