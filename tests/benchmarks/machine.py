"""Timing side by side, and what the machine itself can do at that moment."""

from __future__ import annotations

import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, ParamSpec, TypeVar

import psutil
import torch

from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast

OURS = "qwen_agentkit"

# The rounds are for those who come near: who is this many times slower than ours has one round.
HOPELESS = 4

PACKAGES = (
    *("torch", "transformers", "tokenizers", "sentence-transformers"),
    *("langchain-huggingface", "langchain-qwen3", "flash-attn"),
)

# What the speed of a processor's products depends on, by torch's names.
FEATURES = (
    *("f16c", "avx2", "fma3", "avx_vnni", "avx512_f", "avx512_bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_bf16", "amx_int8"),
)

# Variables that keep torch, oneDNN, FBGEMM and MKL from instructions: the processor is simulated.
KEEPING = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "FBGEMM_ENABLE_INSTRUCTIONS", "MKL_ENABLE_INSTRUCTIONS"),
)

Run = Callable[[], Any]

P = ParamSpec("P")
T = TypeVar("T")


class Timed(NamedTuple):
    """What a run gave that times a part of itself, and the seconds of that part."""

    output: Any
    seconds: float


def computed(function: Callable[P, T]) -> Callable[P, T]:
    """Run a peer's work where ours is computed.

    Every thread that computes has workers of its own in torch, and two teams slow each other down: see
    `qwen_agentkit.engine.device_thread`.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_on_device("cpu", partial(function, *args, **kwargs))

    return run


def unequal(left: Any, right: Any) -> float:
    """How far two outputs are apart that have to be the same."""
    return float(left != right)


def interleaved(
    runs: dict[str, Run],
    rounds: int,
    *,
    apart: Callable[[Any, Any], float] = unequal,
    tolerance: float = 0.0,
    warm_up: bool = True,
    deadline: float = float("inf"),
) -> dict[str, Any]:
    """Run everyone in turn, `rounds` times; ratios are to ours.

    Args:
        runs: by name, ours among them; a run may return `Timed`. Names of ours begin with `OURS`: the work of
            others is `computed`.
        rounds: at most; those that would end after `deadline` are left out, but for the first.
        apart: how far two outputs are apart.
        tolerance: how far they may be.
        warm_up: with one more round before, which does not count.
        deadline: in the time of `time.perf_counter`.

    Raises:
        RuntimeError: the outputs differ.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    farthest = 0.0
    for turn in range(0 if warm_up else 1, rounds + 1):
        start = time.perf_counter()
        timed = {
            name: _timed(run if name.startswith(OURS) else computed(run))
            for name, run in runs.items()
            if _has_hope(seconds, name)
        }
        for name, (output, spent) in timed.items():
            difference = apart(output, timed[OURS].output)
            if not difference <= tolerance:
                raise RuntimeError(
                    f"The outputs differ by {difference}: no times to compare. {name}: {output}"
                )
            farthest = max(farthest, difference)
            if turn:
                seconds[name].append(spent)
        now = time.perf_counter()
        if turn and now + (now - start) > deadline:
            break
    return {**summary(seconds), "largest_difference": farthest}


def _timed(run: Run) -> Timed:
    start = time.perf_counter()
    output = run()
    return output if isinstance(output, Timed) else Timed(output, time.perf_counter() - start)


def _has_hope(seconds: dict[str, list[float]], name: str) -> bool:
    return not seconds[name] or min(seconds[name]) < HOPELESS * min(seconds[OURS])


def summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """The shortest and the median time of each, and ratios to ours."""
    fastest = {name: min(times) for name, times in seconds.items()}
    return {
        "seconds_min": {name: _rounded(value) for name, value in fastest.items()},
        "seconds_median": {name: _rounded(statistics.median(times)) for name, times in seconds.items()},
        "rounds": {name: len(times) for name, times in seconds.items()},
        "times_slower_than_ours": {
            name: round(value / fastest[OURS], 2) for name, value in fastest.items() if name != OURS
        },
    }


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")


def machine(device: str = "cpu") -> dict[str, Any]:
    """What ran here."""
    gpu = torch.device(device).type == "cuda"
    has = torch.cpu.get_capabilities()
    name = str(has.get("cpu_name") or platform.processor() or platform.machine())
    return {
        "device": torch.cuda.get_device_name(device) if gpu else name,
        "features": sorted(feature for feature in FEATURES if has.get(feature) is True),
        "torch_uses": torch.backends.cpu.get_cpu_capability(),
        "kept_from": {name: os.environ[name] for name in KEEPING if name in os.environ},
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class Limits:
    """What this machine can do, measured before the work and after it.

    Args:
        device: where.
        quick: with small matrices, whose figures mean nothing.
    """

    def __init__(self, device: str = "cpu", *, quick: bool = False) -> None:
        self._device = device
        self._size = 128 if quick else 8192 if torch.device(device).type == "cuda" else 2048
        self._before = self._measure()

    def _measure(self) -> dict[str, float]:
        dtypes = {"float32": torch.float32}
        if torch.device(self._device).type == "cuda" or bf16_is_fast():  # else one product takes minutes
            dtypes["bfloat16"] = torch.bfloat16
        return {
            name: gemm_gigaflops(
                dtype,
                self._size,
                self._device,
            )
            for name, dtype in dtypes.items()
        }

    def after(self) -> dict[str, Any]:
        """The figures, and the limit: the faster type at its best, of both times."""
        after = self._measure()
        drift = max(
            max(self._before[name], after[name]) / min(self._before[name], after[name]) for name in after
        )
        return {
            "gemm_gigaflops_before": self._before,
            "gemm_gigaflops_after": after,
            "limit_gigaflops": max(*self._before.values(), *after.values()),
            "quiet": drift < 1.1,  # else the machine had other work: trust the ratios less
        }


def add_shares(cases: dict[str, Any], limit_gigaflops: float) -> None:
    """Say of each case what share of the limit everyone reached, counting only work that has to be done.

    Padding, and a prompt computed again for each document, are no work: one numerator for everyone.
    """
    for case in cases.values():
        if operations := case.get("gigaflop"):
            case["share_of_limit"] = {
                name: round(operations / limit_gigaflops / spent, 3)
                for name, spent in case["seconds_min"].items()
            }


@computed
def gemm_gigaflops(dtype: torch.dtype, size: int = 2048, device: str = "cpu") -> float:
    """Speed of one matrix product here and now: the machine's limit, and a test of its quiet."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in "lr")

    def multiply() -> None:
        left @ right
        if left.is_cuda:
            torch.cuda.synchronize()

    return round(2 * size**3 / _fastest(multiply) / 1e9)


@computed
def read_gigabytes() -> float:
    """Speed of reading memory, from the sum of half a gigabyte, in GB/s."""
    numbers = torch.ones(2**27)
    return round(numbers.nbytes / _fastest(lambda: numbers.sum()) / 1e9, 1)


def _fastest(run: Run) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


class Peak:
    """The most memory of this process while it was watched, in bytes above the start."""

    bytes = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Watch the memory of this process, every two milliseconds."""
    process, peak, done = psutil.Process(), Peak(), threading.Event()
    start = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.002):
            peak.bytes = max(peak.bytes, process.memory_info().rss - start)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def share_of_memory(result: dict[str, Any], gigabytes: dict[str, float], limit: float) -> dict[str, float]:
    """The share of the memory's speed at which each read its weights, from one result of `interleaved`.

    Args:
        result: What `interleaved` gave.
        gigabytes: What each reads in a run.
        limit: Of the machine, in GB/s.
    """
    return {
        name: round(size / result["seconds_min"][name] / limit, 2)
        for name, size in gigabytes.items()
        if name in result["seconds_min"]
    }


def say(line: str) -> None:
    """Print at once: a benchmark is long, and its reader wants to know."""
    print(line, flush=True)
