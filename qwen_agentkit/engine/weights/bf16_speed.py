"""Whether this processor is fast with bf16, measured once. Knows no models."""

from __future__ import annotations

from functools import cache

import torch

from qwen_agentkit.engine.device_thread import run_on_one_core
from qwen_agentkit.engine.weights.machine_facts import remembered
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = ["bf16_is_fast"]


@cache
def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 matrices at least as fast as fp32 ones.

    It is measured, because some CPUs that have bf16 instructions are slower with them.
    """
    return remembered("bf16, times fp32", lambda: run_on_one_core(_times_fp32)) <= 1


def _times_fp32() -> float:
    return _product_seconds(torch.bfloat16) / _product_seconds(torch.float32)


def _product_seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    return shortest_seconds(lambda: left @ right)
