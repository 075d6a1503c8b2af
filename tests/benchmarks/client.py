"""What a server's client costs: a call, a token, many calls at once; against httpx, which only reads.

The server is the one of the tests, in a process of its own on this machine. Its time is in all figures; what
a client adds is the difference to httpx.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

import httpx

from qwen_agentkit import ChatQwen
from qwen_agentkit.server.connections import close_connections
from tests.benchmarks.machine import OURS, interleaved, machine, say
from tests.benchmarks.work import Effort
from tests.fakes.loopback import Handler

CALLS, TOKENS, AT_ONCE = 200, 2000, 64


class Listening(ThreadingHTTPServer):
    """Takes all connections that come at once; the usual five would cost the others a second."""

    request_queue_size = 2 * AT_ONCE
    daemon_threads = True


def measure(effort: Effort) -> dict[str, Any]:
    """Milliseconds of a call and of a streamed token, and of each of 64 calls at once."""
    calls, tokens = effort.few(CALLS), effort.few(TOKENS)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
    with _server() as address, httpx.Client(limits=limits) as client:
        ours = ChatQwen(model="served", base_url=address, server="vllm", max_retries=0)
        loop, async_client = asyncio.new_event_loop(), httpx.AsyncClient(limits=limits)
        cases = {
            "call": (calls, _call(address, ours, client, calls)),
            "token": (tokens, _token(address, ours, client, tokens)),
            "threads": (AT_ONCE, _threads(address, ours, client)),
            "async": (AT_ONCE, _async(address, ours, async_client, loop)),
        }
        found = {}
        for name, (parts, runs) in cases.items():
            found[name] = _milliseconds(interleaved(runs, effort.rounds), parts)
            say(f"  {name}: {found[name]['milliseconds_each']}")
        loop.run_until_complete(async_client.aclose())
        loop.close()
        close_connections()
    return {**machine(), "at_once": AT_ONCE, "cases": found}


def _milliseconds(found: dict[str, Any], parts: int) -> dict[str, Any]:
    """Add what each call or token takes, and what of it is neither httpx nor the server."""
    each = {name: round(1000 * seconds / parts, 3) for name, seconds in found["seconds_min"].items()}
    over = round(each[OURS] - each["httpx"], 3)
    return {**found, "milliseconds_each": each, "milliseconds_over_httpx": over}


@contextmanager
def _server() -> Iterator[str]:
    """Give the address of a server in another process, whose work is not that of the client."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_listen, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def _listen(pipe: Connection) -> None:
    server = Listening(("127.0.0.1", 0), Handler)
    pipe.send(server.server_address[1])
    server.serve_forever()


Runs = dict[str, Callable[[], Any]]


def _call(address: str, ours: ChatQwen, client: httpx.Client, calls: int) -> Runs:
    words = _words(calls)
    return {
        OURS: lambda: [ours.invoke(word).text for word in words],
        "httpx": lambda: [_read(client, address, word) for word in words],
    }


def _token(address: str, ours: ChatQwen, client: httpx.Client, tokens: int) -> Runs:
    text = "word " * tokens
    return {
        OURS: lambda: "".join(chunk.text for chunk in ours.stream(text)),
        "httpx": lambda: _read(client, address, text),
    }


def _threads(address: str, ours: ChatQwen, client: httpx.Client) -> Runs:
    def all_at_once(ask: Callable[[str], str]) -> list[str]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(ask, _words(AT_ONCE)))

    return {
        OURS: lambda: all_at_once(lambda word: str(ours.invoke(word).text)),
        "httpx": lambda: all_at_once(lambda word: _read(client, address, word)),
    }


def _async(address: str, ours: ChatQwen, client: httpx.AsyncClient, loop: asyncio.AbstractEventLoop) -> Runs:
    async def ask(word: str) -> str:
        return str((await ours.ainvoke(word)).text)

    async def all_at_once(ask: Callable[[str], Awaitable[str]]) -> list[str]:
        return await asyncio.gather(*map(ask, _words(AT_ONCE)))

    return {
        OURS: lambda: loop.run_until_complete(all_at_once(ask)),
        "httpx": lambda: loop.run_until_complete(
            all_at_once(lambda word: _read_async(client, address, word))
        ),
    }


def _words(count: int) -> list[str]:
    return [f"word {n}" for n in range(count)]


def _asked(address: str, text: str) -> dict[str, Any]:
    body = {"model": "served", "messages": [{"role": "user", "content": text}], "stream": True}
    return {"method": "POST", "url": f"{address}/chat/completions", "json": body, "timeout": 60}


def _read(client: httpx.Client, address: str, text: str) -> str:
    with client.stream(**_asked(address, text)) as response:
        return "".join(map(_content, response.iter_lines()))


async def _read_async(client: httpx.AsyncClient, address: str, text: str) -> str:
    async with client.stream(**_asked(address, text)) as response:
        return "".join([_content(line) async for line in response.aiter_lines()])


def _content(line: str) -> str:
    """The least that anybody does with a line."""
    if not line.startswith("data: {"):
        return ""
    return str(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
