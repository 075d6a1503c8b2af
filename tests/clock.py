"""Time in tests that a busy machine cannot break: an event loop's beat, and the processor's seconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Heartbeat", "processor_seconds"]

T = TypeVar("T")


class Heartbeat:
    """Shows that work does not block the event loop: the loop beats, and slow parts wait for a beat.

    A slow part on the loop would wait for a beat that cannot come, and fail after thirty seconds.
    """

    def __init__(self) -> None:
        self._beat = threading.Event()
        self.waits = 0

    def wait(self) -> None:
        """Stand for slow work: return with the next beat of the loop."""
        self._beat.clear()
        assert self._beat.wait(30), "the event loop is blocked"
        self.waits += 1

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on an event loop that beats until the work is done."""

        async def beating() -> T:
            task = asyncio.ensure_future(work)
            while not task.done():
                self._beat.set()
                await asyncio.sleep(0.002)
            return await task

        return asyncio.run(beating())


@contextmanager
def processor_seconds(most: float) -> Iterator[None]:
    """Fail when the block takes more than `most` seconds of this thread on a processor."""
    start = time.thread_time()
    yield
    assert time.thread_time() - start < most
