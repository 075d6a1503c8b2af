"""How long an operation takes on this machine, at its best. Knows clocks, no models."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["shortest_seconds"]

# A busy machine interrupts some runs, seldom all of so many.
_RUNS = 8

# Seconds after which no more runs are made: what takes so long is slow in any case.
_ENOUGH = 0.2


def shortest_seconds(function: Callable[[], object], *, before: Callable[[], object] = lambda: None) -> float:
    """Return the seconds of the shortest of eight runs, or of fewer if they are long.

    Args:
        function: What is timed.
        before: Runs before each, and is not timed.
    """
    times: list[float] = []
    while len(times) < _RUNS and sum(times) < _ENOUGH:
        before()
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
