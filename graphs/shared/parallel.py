"""Branches of a graph that run side by side: how their updates are merged, and which errors end the run.

Knows LangGraph's reducers. Does not know what a branch does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwen_agentkit.errors import RetrievalError, StoreError
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED

__all__ = ["RAISED_BY_BRANCHES", "append_or_clear", "check_not_all_failed", "merge_timings"]

RAISED_BY_BRANCHES = (*ALWAYS_RAISED, StoreError)
"""Errors that end the run: every branch would meet them, and only the user can fix them."""


def append_or_clear(known: list[Any], new: list[Any]) -> list[Any]:
    """Reducer of a list that every branch adds to; an empty update clears the list."""
    return [*known, *new] if new else []


def merge_timings(known: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """Reducer of the seconds of stages; branches count with the longest. The node `prepare` starts anew."""
    if set(new) == {"prepare"}:
        return new
    return {**known, **{name: max(seconds, known.get(name, 0.0)) for name, seconds in new.items()}}


def check_not_all_failed(errors: Sequence[str]) -> None:
    """Refuse to go on when every search failed: an answer that nothing was found would not be true.

    Args:
        errors: One for each search; "" where it did not fail.

    Raises:
        RetrievalError: There were searches, and all of them failed.
    """
    if errors and all(errors):
        raise RetrievalError(
            f"All {len(errors)} searches failed, the first with {errors[0]}; expected documents of at least "
            "one search. Try the retriever alone, with retriever.invoke(...)."
        )
