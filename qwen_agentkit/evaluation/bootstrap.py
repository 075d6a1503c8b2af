"""Intervals by resampling questions. Knows numbers only.

Percentile bootstrap, and the paired bootstrap for two systems that answered the same questions: Efron and
Tibshirani, 1993; Sakai, SIGIR 2006, https://doi.org/10.1145/1148170.1148261. The seed is fixed, so that the
same rows give the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "estimate_difference", "estimate_mean", "estimate_statistic"]

_RESAMPLES = 1000
_LEVEL = 0.95
_SEED = 20
_AT_A_TIME = 2_000_000
"""Numbers drawn at a time, which bounds the memory."""


class Estimate(NamedTuple):
    """A value, its 95 % interval, and the number of questions it comes from."""

    value: float
    low: float
    high: float
    size: int


def estimate_mean(values: Sequence[float]) -> Estimate:
    """Return the mean of the values with its interval; of no values, 0 with the interval 0 to 1."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return Estimate(0.0, 0.0, 1.0, 0)
    means = np.concatenate([array[rows].mean(axis=1) for rows in _draw(len(array))])
    return _summarize(float(array.mean()), means, len(array))


def estimate_difference(new: Sequence[float], old: Sequence[float]) -> Estimate:
    """Return the mean of new minus old, question by question, with its paired interval."""
    difference = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    found = estimate_mean(difference.tolist())
    return found if found.size else Estimate(0.0, 0.0, 0.0, 0)


def estimate_statistic(
    rows: NDArray[np.float64], compute: Callable[[NDArray[np.float64]], float]
) -> Estimate:
    """Return any statistic of rows, of shape (questions, values), with its interval from 200 resamples."""
    if not len(rows):
        return Estimate(0.0, 0.0, 1.0, 0)
    random = np.random.default_rng(_SEED)
    found = [compute(rows[random.integers(len(rows), size=len(rows))]) for _ in range(200)]
    return _summarize(compute(rows), np.array(found), len(rows))


def _draw(count: int) -> list[NDArray[np.int64]]:
    """Draw the rows of all resamples, in parts that fit the memory."""
    random = np.random.default_rng(_SEED)
    part = max(1, _AT_A_TIME // count)
    sizes = [min(part, _RESAMPLES - start) for start in range(0, _RESAMPLES, part)]
    return [random.integers(count, size=(size, count)) for size in sizes]


def _summarize(value: float, resampled: NDArray[np.float64], count: int) -> Estimate:
    tail = (1 - _LEVEL) / 2 * 100
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value, float(low), float(high), count)
