"""Servers without a socket: bodies as the documentation of real ones shows them; what they were asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

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
