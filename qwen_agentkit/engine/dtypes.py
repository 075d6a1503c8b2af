"""Which number type a checkpoint is loaded in. Knows sizes and this machine's processor."""

from __future__ import annotations

import json
import platform
import time
from functools import cache
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HOME
from transformers import PretrainedConfig

from qwen_agentkit.engine.computing import compute
from qwen_agentkit.errors import InputError

__all__ = ["bf16_is_fast", "choose_dtype", "has_layouts"]

_DTYPES = ("bfloat16", "float16", "float32")

# Under this size of weights a forward is bound by overhead, not arithmetic: fp32 is as fast, and exact.
_SMALL_BYTES = 200e6

# Over this size fp32, which takes twice the memory, is not chosen for its speed.
_LARGE_BYTES = 4e9


def choose_dtype(
    wanted: str | None, config: PretrainedConfig, device: str, size: int, *, chat: bool
) -> torch.dtype:
    """Return the number type to load weights in.

    Args:
        wanted: such as "bfloat16"; None for the checkpoint's own on a GPU, and on a CPU the fastest.
        config: the checkpoint's.
        device: such as "cpu".
        size: of the weights on disk, in bytes.
        chat: whether it will write token by token, which takes as long as reading the weights.

    Raises:
        InputError: an unknown type.
    """
    if wanted is not None:
        if wanted not in _DTYPES:
            raise InputError(f"Unknown dtype {wanted!r}; expected one of {', '.join(_DTYPES)}.")
        chosen: torch.dtype = getattr(torch, wanted)
        return chosen
    kinds = (getattr(part, "dtype", None) for part in (config, config.get_text_config()))
    stored: torch.dtype = next(filter(None, kinds), torch.bfloat16)
    if device != "cpu":
        return stored
    if size < _SMALL_BYTES:
        return torch.float32
    if size > _LARGE_BYTES or (chat and has_layouts(torch.bfloat16)) or bf16_is_fast():
        return stored
    return torch.float32


def has_layouts(dtype: torch.dtype) -> bool:
    """Whether oneDNN has layouts for weights of this type on this CPU: see `qwen_agentkit.engine.linear`."""
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
