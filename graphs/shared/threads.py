"""Daemon threads for nodes and tools, used again and again. Knows nothing about the work.

Starting a thread blocks its caller until the thread runs, which takes milliseconds while others compute. An
event loop that starts one for every node of every graph does little else. A `ThreadPoolExecutor`, as stores
use it, would keep a process alive until late work ends.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

__all__ = ["start_in_thread"]

T = TypeVar("T")

_Inbox: TypeAlias = SimpleQueue[Callable[[], None]]

# Seconds that a thread waits for more work, and that the process waits at its end for work to end.
_IDLE_SECONDS, _EXIT_SECONDS = 30.0, 2.0

_IDLE_NAME = "qwen-agentkit-node, idle"

_idle: deque[_Inbox] = deque()  # of the threads that wait; its methods are atomic
_running: set[Future[object]] = set()


def start_in_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Start `work` in a daemon thread, which does not keep the process alive.

    Args:
        work: Sees the context variables of the caller.
        name: The name of the thread while it works.

    Returns:
        The result to come. It cannot be canceled.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on the future cannot be cancelled
    _running.add(future)  # type: ignore[arg-type]  # a set of futures of any kind
    future.add_done_callback(_running.discard)
    context = contextvars.copy_context()  # holds the callbacks of the run

    def run() -> None:
        threading.current_thread().name = name
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # raised where the result is read
            future.set_exception(error)

    try:
        inbox = _idle.pop()  # the one that worked last: those that are not needed end
    except IndexError:
        inbox = SimpleQueue()
        threading.Thread(target=_work, args=(inbox,), name=name, daemon=True).start()
    inbox.put(run)
    return future


def _work(inbox: _Inbox) -> None:
    """Run what comes, until nothing comes for a while."""
    while run := _next_work(inbox):
        run()
        del run  # it holds the result
        threading.current_thread().name = _IDLE_NAME
        _idle.append(inbox)


def _next_work(inbox: _Inbox) -> Callable[[], None] | None:
    """Wait for work; None if none came, and the thread is no longer among the idle ones."""
    try:
        return inbox.get(timeout=_IDLE_SECONDS)
    except Empty:
        pass
    try:
        _idle.remove(inbox)
    except ValueError:  # somebody has taken it, and work is on its way
        return inbox.get()
    return None


@atexit.register
def _wait_for_work() -> None:
    """Give work a moment to end: native code should not run while the interpreter shuts down."""
    wait(list(_running), _EXIT_SECONDS)


def _forget_threads() -> None:
    """Leave the threads to the parent process."""
    _idle.clear()
    _running.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_threads)
