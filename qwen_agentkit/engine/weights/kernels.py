"""What this processor multiplies fast, measured once and remembered. Knows torch's kernels, no models."""

from __future__ import annotations

import json
import platform
import time
from functools import cache
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HOME

from qwen_agentkit.engine.computing import compute

__all__ = ["bf16_is_fast", "has_layouts"]


def has_layouts(dtype: torch.dtype) -> bool:
    """Whether oneDNN has layouts for weights of this type on this CPU: see `linear`."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # has no types
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # Elsewhere torch has other kernels for fp32, and this was measured on x86 only.
    return dtype == torch.float32 and platform.machine().lower() in ("x86_64", "amd64")


@cache
def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 matrices at least as fast as fp32 ones.

    Measured, because CPUs that have the instructions were seen to be slower with them. Takes a tenth of a
    second, once a machine: another answer another day would be another number type, and cached vectors would
    not be found again.
    """
    memory = Path(HF_HOME) / "qwen-agentkit" / "bf16.json"
    machine = f"{platform.node()} {platform.machine()} torch {torch.__version__}"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(known, dict) and isinstance(known.get(machine), bool):
            return bool(known[machine])
    except (OSError, ValueError):
        pass  # not measured yet, or unreadable: measured again
    fast = compute("cpu", lambda: _seconds(torch.bfloat16) <= _seconds(torch.float32))
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({machine: fast}), encoding="utf-8")
    except OSError:
        pass  # a read-only home: measured again next time
    return fast


def _seconds(dtype: torch.dtype) -> float:
    """Time of a matrix product, the best of four."""
    left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return min(times)
