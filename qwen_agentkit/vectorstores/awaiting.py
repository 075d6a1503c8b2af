"""Code that waits for a Qdrant server, called from an event loop: its requests are awaited.

This is SQLAlchemy's way: the code runs in a greenlet, and where it would wait for an answer,
the greenlet hands the request to the coroutine that started it, which awaits the answer. So there is one
implementation of everything, no thread per call, and cancelling the coroutine cancels the request.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from greenlet import greenlet
from qdrant_client.http.exceptions import ResponseHandlingException

__all__ = ["Requests", "await_requests"]

T = TypeVar("T")


class _Worker(greenlet):
    """A greenlet that may hand awaitables to its parent."""


async def await_requests(work: Callable[[], T]) -> T:
    """Call a function on the event loop, and await what it passes to `Requests.send`."""
    worker = _Worker(work)
    worker.gr_context = contextvars.copy_context()
    found: Any = worker.switch()
    while not worker.dead:
        try:
            answer = await found
        except BaseException as error:  # a cancellation too: the function cleans up, and raises it again
            found = worker.throw(error)
        else:
            found = worker.switch(answer)
    result: T = found
    return result


class Requests:
    """Sends the requests of a client, and awaits the answers where `await_requests` has called the client.

    Connections belong to an event loop, so each loop has its own.
    """

    def __init__(self) -> None:
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    def send(
        self, request: httpx.Request, block: Callable[[httpx.Request], httpx.Response]
    ) -> httpx.Response:
        """Return the answer to a request; `block` waits for it, where nothing can be awaited."""
        worker = greenlet.getcurrent()
        if not isinstance(worker, _Worker) or worker.parent is None:
            return block(request)
        response: httpx.Response = worker.parent.switch(self._send(request))
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client().send(request)
        except Exception as error:  # as qdrant-client does with its own requests
            raise ResponseHandlingException(error) from error

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        self._clients = {one: client for one, client in self._clients.items() if not one.is_closed()}
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient()
        return self._clients[loop]

    def close(self) -> None:
        """Close the connections of all loops that still run."""
        for loop, client in self._clients.items():
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)
        self._clients = {}
