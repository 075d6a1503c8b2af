"""Work in threads: a stream for an event loop, and several calls at once. Knows nothing about the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["side_by_side", "stream_from_thread"]

T = TypeVar("T")

_END = object()


async def stream_from_thread(make: Callable[[threading.Event], Iterator[T]]) -> AsyncIterator[T]:
    """Run an iterator in a thread and yield its items on the event loop.

    Each stream has a thread of its own: the pool of the event loop has few threads, and streams last long.

    Args:
        make: Makes the iterator from an event, which is set when the items are no longer read.
    """
    cancelled = threading.Event()
    queue: asyncio.Queue[T | object] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    errors: list[BaseException] = []

    def put(item: T | object) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, item)
        except RuntimeError:  # the loop is closed
            cancelled.set()

    def work() -> None:
        try:
            for item in make(cancelled):
                put(item)
        except BaseException as error:  # raised again by the reader
            errors.append(error)
        finally:
            put(_END)

    threading.Thread(target=work, name="qwen-agentkit-stream", daemon=True).start()
    try:
        while (item := await queue.get()) is not _END:
            yield item  # type: ignore[misc]  # the only object that is no T is _END
        if errors:
            raise errors[0]
    finally:
        cancelled.set()


def side_by_side(works: list[Callable[[threading.Event], T]]) -> list[T]:
    """Call functions at the same time, each in a thread, and return their results in order.

    Args:
        works: Called with an event that is set when one of them has failed.
    """
    cancelled = threading.Event()
    with ThreadPoolExecutor(len(works), "qwen-agentkit") as pool:
        futures = [pool.submit(work, cancelled) for work in works]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            cancelled.set()
        for future in done:  # raises the first failure, before those that it cancelled
            future.result()
        return [future.result() for future in futures]
