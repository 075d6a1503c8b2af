"""Results that stay right until a collection changes, such as its number of points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["RememberedResults"]

T = TypeVar("T")

_MOST_RESULTS = 1000


class RememberedResults:
    """The latest results of a collection. Threads may share it: at worst they compute a result twice."""

    def __init__(self) -> None:
        self._results: dict[str, tuple[int, Any]] = {}

    def get(self, key: str, changes: int, compute: Callable[[], T]) -> T:
        """Return what was computed before, unless the collection has changed since.

        Args:
            key: Names the question.
            changes: The number of changes, counted before `compute` reads the collection, so that a change in
                between makes the result old.
            compute: Answers the question.
        """
        known = self._results.get(key)
        if known is None or known[0] != changes:
            if len(self._results) >= _MOST_RESULTS:
                self._results.clear()
            known = self._results[key] = (changes, compute())
        found: T = known[1]
        return found
