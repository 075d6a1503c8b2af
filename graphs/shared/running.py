"""How a node runs: its settings, its events and seconds, deadlines, and the end of a run that was cancelled.

Knows LangGraph's runtime and threads, not what any node does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, set_config_context
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import get_runtime
from pydantic import BaseModel

from qwen_agentkit.errors import (
    MissingExtraError,
    ModelNotFoundError,
    ModelUnsupportedError,
    StoreMismatchError,
    StoreNotFoundError,
)
from qwen_agentkit.graphs.shared.usage import TokenCount, counted_tokens

__all__ = ["NEVER_HIDDEN", "Overdue", "RunCancelled", "Stage", "Update", "in_thread", "timed", "within"]

Update = dict[str, Any]
ContextT = TypeVar("ContextT", bound=BaseModel)
T = TypeVar("T")


class RunCancelled(BaseException):
    """Nobody waits for the run any more. A BaseException, so that no fall-back takes it for a failure."""


class Overdue(Exception):
    """Something took longer than it was given."""


# These stay until the user does something, or are no failures at all: no fall-back may hide them.
NEVER_HIDDEN = (
    MissingExtraError,
    ModelNotFoundError,
    ModelUnsupportedError,
    StoreMismatchError,
    StoreNotFoundError,
    GraphBubbleUp,
)


# Questions that run at once share the steps of one model: the few threads that asyncio has by itself (four
# more than cores) would keep most of them waiting.
_PLACES = threading.BoundedSemaphore(64)
_THREADS: WeakSet[threading.Thread] = WeakSet()
_FAREWELL = 2.0
"""Seconds that what still runs has at exit."""
_GLANCE = 0.05
"""Seconds between two looks at whether the run was cancelled."""
_cancelled: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar(
    "qwen_agentkit_cancelled", default=None
)


def in_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Work done in a daemon thread, which does not keep the process alive."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody can take it back
    context = contextvars.copy_context()  # with it the callbacks of the run

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # raised where the result is read
            future.set_exception(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    _THREADS.add(thread)
    thread.start()
    return future


@atexit.register
def _let_end() -> None:
    """Give what still runs a moment: native code should not run while the interpreter goes."""
    end = time.monotonic() + _FAREWELL
    for thread in list(_THREADS):
        thread.join(max(0.0, end - time.monotonic()))


class Stage:
    """What a node tells the custom stream about itself."""

    def __init__(
        self, name: str, write: Callable[[Any], None], cancelled: threading.Event | None = None
    ) -> None:
        self.name = name
        self.details: dict[str, Any] = {}
        """Joined to the event that ends the stage."""
        self.used = TokenCount()
        """What the calls of models in this stage have read, written and thought so far."""
        self._write = write
        self._cancelled = cancelled or threading.Event()

    def fall_back(self, to: str, error: Exception | str) -> None:
        """Announce at once that something failed and what is done instead."""
        what = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self._write({"stage": self.name, "fallback": to, "error": what})

    def progress(self, step: str, done: int, of: int) -> None:
        """Announce how far a step of the stage has come."""
        self._write({"stage": self.name, "step": step, "done": done, "of": of})

    def end(self, seconds: float) -> None:
        """Announce that the stage is over."""
        self._write({"stage": self.name, "seconds": seconds, **self.details})

    def check(self) -> None:
        """Stop here when the run was cancelled.

        Raises:
            RunCancelled: it was.
        """
        if self._cancelled.is_set():
            raise RunCancelled(self.name)


def timed(name: str, node: Callable[[Any, ContextT, Stage], Update], defaults: type[ContextT]) -> Any:
    """A node that runs `node` with the run's settings, notes its seconds and announces them and its tokens.

    A stage that runs several times notes their sum. The result is what `add_node` takes; its overloads
    cannot be named, hence Any.
    """
    return _Node(name, node, defaults)


class _Node(Runnable[Any, Update], Generic[ContextT]):
    """A plain function as a node that a server can cancel: LangGraph's own would run on in its thread."""

    def __init__(
        self, name: str, node: Callable[[Any, ContextT, Stage], Update], defaults: type[ContextT]
    ) -> None:
        self.name = name
        self._node = node
        self._defaults = defaults

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return self._run(input, threading.Event())

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        cancelled = threading.Event()

        def run() -> Update:
            # Python 3.10 gives a task no context of its own choice, so the thread gets the run's here.
            with _PLACES, set_config_context(ensure_config(config)) as context:
                return context.run(self._run, input, cancelled)

        try:
            return await asyncio.wrap_future(in_thread(run, "qwen-agentkit-node"))
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def _run(self, state: Any, cancelled: threading.Event) -> Update:
        start = time.perf_counter()
        runtime = get_runtime(self._defaults)
        name = str(self.name)
        stage = Stage(name, runtime.stream_writer, cancelled)
        stage.check()
        _cancelled.set(cancelled)
        # Outside a server a graph invoked without context has none.
        with counted_tokens() as stage.used:
            update = self._node(state, runtime.context or self._defaults(), stage)
        if stage.used.tokens:
            stage.details["tokens"] = stage.used.tokens
        stage.check()
        seconds = time.perf_counter() - start
        timings = update.get("timings", state.get("timings", {}))
        stage.end(seconds)
        return {**update, "timings": {**timings, name: timings.get(name, 0.0) + seconds}}


def within(seconds: float | None, work: Callable[[], T]) -> T:
    """What `work` returns, if it does so in time; None: however long it takes.

    What is late goes on in a thread that does not keep the process alive: Python cannot stop it.

    Raises:
        Overdue: it did not.
        RunCancelled: nobody waits for it any more.
    """
    if seconds is None:
        return work()
    cancelled = _cancelled.get() or threading.Event()
    end = time.monotonic() + seconds
    future = in_thread(work, "qwen-agentkit-within")
    while not wait([future], min(_GLANCE, max(0.0, end - time.monotonic()))).done:
        if cancelled.is_set():
            raise RunCancelled(threading.current_thread().name)
        if time.monotonic() >= end:
            raise Overdue(f"no result after {seconds:g} s")
    return future.result()
