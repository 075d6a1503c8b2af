"""Timing side by side, and what the machine itself can do at that moment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

OURS = "qwen_agentkit"


def interleaved(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Run everyone in turn, one round to warm up and then `rounds`; ratios are to ours.

    A run that times a part of itself leaves that in its own attribute `seconds`.

    Raises:
        RuntimeError: their outputs differ.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        outputs = {}
        for name, run in runs.items():
            start = time.perf_counter()
            outputs[name] = run()
            spent = getattr(run, "seconds", time.perf_counter() - start)
            if turn:
                seconds[name].append(spent)
        if any(output != outputs[OURS] for output in outputs.values()):
            raise RuntimeError(f"The outputs differ, so the times cannot be compared: {outputs}")
    fastest = {name: min(times) for name, times in seconds.items()}
    return {
        "seconds_min": {name: round(value, 3) for name, value in fastest.items()},
        "seconds_median": {name: round(statistics.median(times), 3) for name, times in seconds.items()},
        "times_slower_than_ours": {
            name: round(value / fastest[OURS], 2) for name, value in fastest.items() if name != OURS
        },
    }


def gemm_gigaflops(dtype: torch.dtype, size: int = 2048) -> float:
    """Speed of one matrix product here and now: the machine's limit, and a test of its quiet."""
    left, right = (torch.randn(size, size).to(dtype) for _ in "lr")
    return round(2 * size**3 / _fastest(lambda: left @ right) / 1e9)


def read_gigabytes() -> float:
    """Speed of reading memory, from the sum of half a gigabyte, in GB/s."""
    numbers = torch.ones(2**27)
    return round(numbers.nbytes / _fastest(lambda: numbers.sum()) / 1e9, 1)


def _fastest(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
