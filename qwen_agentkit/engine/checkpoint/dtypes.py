"""Which number type a checkpoint is loaded in. Knows sizes and this machine's processor."""

from __future__ import annotations

import torch
from transformers import PretrainedConfig

from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from qwen_agentkit.engine.weights.kernels import can_pack
from qwen_agentkit.errors import InputError

__all__ = [
    "choose_dtype",
]

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
    if size > _LARGE_BYTES or (chat and can_pack(torch.bfloat16)) or bf16_is_fast():
        return stored
    return torch.float32
