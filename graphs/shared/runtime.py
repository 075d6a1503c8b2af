"""How a node runs: settings, events, seconds, tokens, deadlines and cancellation.

Knows LangGraph's runtime, LangChain's callbacks and threads. Does not know what a node does.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, set_config_context
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphBubbleUp
from langgraph.graph import StateGraph
from langgraph.runtime import get_runtime
from pydantic import BaseModel

from qwen_agentkit.errors import (
    MissingExtraError,
    ModelNotFoundError,
    ModelUnsupportedError,
    StoreMismatchError,
    StoreNotFoundError,
)
from qwen_agentkit.graphs.shared.threads import start_in_thread

__all__ = [
    "ALWAYS_RAISED",
    "DeadlineExceeded",
    "RunCancelled",
    "Stage",
    "TokenCount",
    "Update",
    "add_nodes",
    "count_thought",
    "run_with_deadline",
]

Update = dict[str, Any]
ContextT = TypeVar("ContextT", bound=BaseModel)
T = TypeVar("T")

ALWAYS_RAISED = (
    MissingExtraError,
    ModelNotFoundError,
    ModelUnsupportedError,
    StoreMismatchError,
    StoreNotFoundError,
    GraphBubbleUp,
)
"""Errors that only the user can fix, and LangGraph's own signals: no fallback may hide them."""

# One slot per running async node. asyncio's default pool has four threads more than cores, and most questions
# would wait for one although they can share the steps of one model.
_SLOTS = threading.BoundedSemaphore(64)
_POLL_SECONDS = 0.05
"""How often a wait looks whether the run was cancelled."""
_cancelled: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar(
    "qwen_agentkit_cancelled", default=None
)


class RunCancelled(BaseException):
    """The caller has cancelled the run. A BaseException, so that no fallback handles it as a failure."""


class DeadlineExceeded(Exception):
    """A call took longer than its deadline."""


class Stage:
    """What a node reports about itself in the custom stream."""

    def __init__(
        self, name: str, write: Callable[[Any], None], cancelled: threading.Event | None = None
    ) -> None:
        self.name = name
        self.details: dict[str, Any] = {}
        """Added to the event that ends the stage."""
        self.usage = TokenCount()
        """What the model calls of this stage have used so far."""
        self._write = write
        self._cancelled = cancelled or threading.Event()

    def announce_fallback(self, instead: str, error: Exception | str) -> None:
        """Announce at once what failed and what is done instead."""
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self._write({"stage": self.name, "fallback": instead, "error": reason})

    def announce_progress(self, step: str, done: int, of: int) -> None:
        """Announce how far a step of the stage has come."""
        self._write({"stage": self.name, "step": step, "done": done, "of": of})

    def announce_end(self, seconds: float) -> None:
        """Announce that the stage is over."""
        self._write({"stage": self.name, "seconds": seconds, **self.details})

    def check_cancelled(self) -> None:
        """Stop the stage if the run was cancelled.

        Raises:
            RunCancelled: The run was cancelled.
        """
        if self._cancelled.is_set():
            raise RunCancelled(self.name)

    def total_thought(self, state: Mapping[str, Any]) -> int:
        """Tokens of thought of the run: those of the stages before, and those of this stage so far."""
        return int(state.get("thought", 0)) + self.usage.thought


class TokenCount(BaseCallbackHandler):
    """Sums the tokens of model calls, which may come from several threads."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        """"input" and "output"; empty when no call reported its usage."""
        self.thought = 0
        """Tokens of thought."""
        self._lock = threading.Lock()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add what a call used, if it reports its usage."""
        for generation in response.generations[0]:
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if not isinstance(message, AIMessage):
                continue
            usage = message.usage_metadata
            with self._lock:
                self.thought += count_thought(message)
                if usage:
                    self._add("input", usage["input_tokens"])
                    self._add("output", usage["output_tokens"])

    def _add(self, kind: str, tokens: int) -> None:
        self.tokens[kind] = self.tokens.get(kind, 0) + tokens


# Registered once: LangChain keeps every hook for the life of the process.
_current_count: contextvars.ContextVar[TokenCount | None] = contextvars.ContextVar(
    "qwen_agentkit_tokens", default=None
)
register_configure_hook(_current_count, inheritable=True)


@contextmanager
def _count_tokens() -> Iterator[TokenCount]:
    """Count the tokens of all model calls in this thread and in threads that copy its context."""
    count = TokenCount()
    token = _current_count.set(count)
    try:
        yield count
    finally:
        _current_count.reset(token)


def count_thought(message: AIMessage) -> int:
    """Tokens of thought in a message: from its usage, or else estimated from the length of the thought."""
    usage = message.usage_metadata
    if usage and "reasoning" in usage.get("output_token_details", {}):
        return usage["output_token_details"]["reasoning"]
    return len(str(message.additional_kwargs.get("reasoning_content", "")).encode()) // 4


def add_nodes(
    graph: StateGraph[Any, Any, Any, Any], nodes: object, names: Sequence[str], defaults: type[BaseModel]
) -> None:
    """Add the named methods of `nodes` to a graph.

    Each method takes (state, settings, stage) and returns an update. Its seconds and tokens are announced in
    the custom stream, and its seconds are added to the state's `timings`.

    Args:
        graph: The builder.
        nodes: The object with the methods.
        names: Names of the methods, which become the names of the nodes.
        defaults: Makes the settings when the caller passes no context.
    """
    for name in names:
        node: Any = _Node(name, getattr(nodes, name), defaults)  # add_node's overloads cannot be named
        graph.add_node(name, node)


class _Node(Runnable[Any, Update], Generic[ContextT]):
    """A plain function as a node that can be cancelled: LangGraph's own would run on in its thread."""

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
            # A task of Python 3.10 takes no context, so the thread sets the run's context here.
            with _SLOTS, set_config_context(ensure_config(config)) as context:
                return context.run(self._run, input, cancelled)

        try:
            return await asyncio.wrap_future(start_in_thread(run, "qwen-agentkit-node"))
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def _run(self, state: Any, cancelled: threading.Event) -> Update:
        start = time.perf_counter()
        runtime = get_runtime(self._defaults)
        name = str(self.name)
        stage = Stage(name, runtime.stream_writer, cancelled)
        stage.check_cancelled()
        _cancelled.set(cancelled)
        # Outside a server a graph invoked without context has none.
        settings = runtime.context or self._defaults()
        with _count_tokens() as stage.usage:
            update = self._node(state, settings, stage)
        if stage.usage.tokens:
            stage.details["tokens"] = stage.usage.tokens
        stage.check_cancelled()
        seconds = time.perf_counter() - start
        timings = update.get("timings", state.get("timings", {}))
        stage.announce_end(seconds)
        return {**update, "timings": {**timings, name: timings.get(name, 0.0) + seconds}}


def run_with_deadline(seconds: float | None, work: Callable[[], T]) -> T:
    """Run `work` and return its result, or give up after `seconds`; None: wait as long as it takes.

    Work that is late goes on in its daemon thread: Python cannot stop it.

    Raises:
        DeadlineExceeded: The work was not done in time.
        RunCancelled: The run was cancelled meanwhile.
    """
    if seconds is None:
        return work()
    cancelled = _cancelled.get() or threading.Event()
    end = time.monotonic() + seconds
    future = start_in_thread(work, "qwen-agentkit-deadline")
    while not wait([future], min(_POLL_SECONDS, max(0.0, end - time.monotonic()))).done:
        if cancelled.is_set():
            raise RunCancelled(threading.current_thread().name)
        if time.monotonic() >= end:
            raise DeadlineExceeded(f"no result after {seconds:g} s")
    return future.result()
