"""The number type that a checkpoint is loaded in. Knows sizes and this machine's processor."""

from __future__ import annotations

import torch

from qwen_agentkit.engine.model_config import Config, has_experts
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from qwen_agentkit.engine.weights.fp16 import fp16_is_fast, fp16_is_usable
from qwen_agentkit.engine.weights.kernels import can_pack
from qwen_agentkit.errors import InputError

__all__ = ["choose_dtype", "keeps_fp16"]

_DTYPES = ("bfloat16", "float16", "float32")

# Models smaller than this spend their time on overhead, not arithmetic: fp32 is as fast, and exact.
_SMALL_BYTES = 200e6

# Above this size the speed of fp32 is not worth twice the memory.
_LARGE_BYTES = 4e9


def choose_dtype(
    wanted: str | None, config: Config, device: str, size: int, *, chat: bool, quantized: bool = False
) -> torch.dtype:
    """Return the number type to load weights in.

    On a CPU that is fast with bf16 that is the checkpoint's own. On others with AVX2 it is fp16, which
    `weights.fp16` multiplies in fp32; a quantized model then computes everything else in fp32.

    Args:
        wanted: Such as "bfloat16"; None for the checkpoint's own on a GPU and for the fastest on a CPU.
        config: Settings of the checkpoint.
        device: Such as "cpu".
        size: Size of the weight files, in bytes.
        chat: Whether the model will write token by token, which is as slow as reading the weights.
        quantized: Whether the weights will be rounded to fewer bits.

    Raises:
        InputError: The type is unknown.
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
    if bf16_is_fast():
        return stored
    if fp16_is_fast() and not has_experts(config):
        return torch.float32 if quantized else torch.float16
    if size > _LARGE_BYTES or (chat and can_pack(torch.bfloat16)):
        return stored
    return torch.float32


def keeps_fp16(dtype: torch.dtype, config: Config, device: str) -> bool:
    """Whether a model of this number type has fp16 weights beside fp32 activations, by `weights.fp16`.

    Elsewhere, and in mixtures of experts, everything is computed in fp16.
    """
    return dtype == torch.float16 and device == "cpu" and not has_experts(config) and fp16_is_usable()
