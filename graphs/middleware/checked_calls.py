"""Shows what a model call writes only when it has been checked. Knows callbacks, not what is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph.message import push_message

from qwen_agentkit.graphs.shared.checked_stream import CheckedStream

__all__ = ["check_calls"]

# Calls with tags of their own, such as a summary that stays hidden, lack it, and are left as they are.
_CHECKED = "qwen-agentkit:checked"


@contextmanager
def check_calls(make: Callable[[], CheckedStream]) -> Iterator[None]:
    """Pass what models write in this block to LangGraph's message stream through a checked stream.

    Only calls that a node makes itself are checked: one inside a chain, such as the choice of tools, is
    another's question, and its text is passed on as it is.

    Args:
        make: Makes the checked stream of one call.
    """
    config = ensure_config()
    callbacks = config.get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager):  # outside a graph nobody reads a message stream
        yield
        return
    watched = callbacks.copy()
    watched.add_handler(_Watcher(make, callbacks.parent_run_id), inherit=True)
    tags = [*config.get("tags", ()), TAG_NOSTREAM, _CHECKED]
    token = var_child_runnable_config.set({**config, "callbacks": watched, "tags": tags})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


class _Watcher(BaseCallbackHandler):
    """Feeds the checked stream of each call.

    Args:
        make: Makes the checked stream of one call.
        node: Id of the node's run; None if it has none.
    """

    def __init__(self, make: Callable[[], CheckedStream], node: UUID | None) -> None:
        self._make, self._node = make, node
        self._streams: dict[UUID, CheckedStream | None] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a stream if the call is to be checked."""
        if _CHECKED in (tags or ()):
            self._streams[run_id] = self._make() if parent_run_id == self._node else None

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """Pass a chunk on, checked or as it is."""
        message = getattr(chunk, "message", None)
        if run_id not in self._streams or not isinstance(message, AIMessage):
            return
        stream = self._streams[run_id]
        if stream is not None:
            stream.feed(message)
        elif message.id is not None:
            push_message(message, state_key=None)

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Pass on what the stream still holds."""
        stream = self._streams.pop(run_id, None)
        if stream is not None:
            stream.end()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget what was held: the answer is not whole."""
        self._streams.pop(run_id, None)
