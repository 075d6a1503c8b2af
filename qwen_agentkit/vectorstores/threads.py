"""Code that computes or reads files, called from an event loop: it runs in threads of this package.

The event loop's own pool has few threads, and everything else needs them too.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

__all__ = ["run_in_thread"]

T = TypeVar("T")

_pool: ThreadPoolExecutor | None = None
_MOST_THREADS = 16


async def run_in_thread(work: Callable[[], T]) -> T:
    """Call a function in a thread.

    A cancellation is raised when the function has returned, so that nothing goes on behind the caller.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.run_in_executor(_threads(), context.run, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):  # a second one waits too
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not report it: the cancellation counts
        raise


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_MOST_THREADS, "qwen-agentkit-store")
    return _pool


def _forget_threads() -> None:
    """Leave the threads to the parent process."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
