"""Quantization of a model: what runs where, and which layers get 8 or 4 bits. Knows models, no prompts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from qwen_agentkit.engine.model_config import Config, Model
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.int4 import Int4Linear, fits_int4
from qwen_agentkit.engine.weights.int8 import Int8Embedding, Int8Linear
from qwen_agentkit.engine.weights.quantize_gpu import check_gpu_quantization
from qwen_agentkit.engine.weights.replacing import join_biases, replace_linears
from qwen_agentkit.engine.weights.rounding import to_int8
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["check_quantization", "cpu_quantizations", "quantize_model"]

# Layers of one or two rows a head, which decide how much of all others counts.
_NEVER = ["shared_expert_gate", "in_proj_ba", "in_proj_b", "in_proj_a"]


def check_quantization(wanted: str, config: Config, device: str) -> None:
    """Refuse a quantization that is unknown, or that this checkpoint or this device cannot run.

    Raises:
        InputError: It is unknown, or the device cannot run it.
        ModelUnsupportedError: The checkpoint is quantized already, or is a mixture of experts on a GPU.
        MissingExtraError: The package that it needs on a GPU is not installed.
    """
    if wanted not in ("int8", "int4", "fp8"):
        raise InputError(f"Unknown quantize={wanted!r}; expected 'int8', 'int4' or 'fp8', or None for none.")
    if getattr(config, "quantization_config", None) is not None:
        raise ModelUnsupportedError(
            f"quantize={wanted!r}, but the weights of this checkpoint are quantized already. "
            "Leave quantize out, or take the checkpoint that it was made from."
        )
    kind = torch.device(device).type
    experts = "moe" in config.model_type or getattr(config.get_text_config(), "num_experts", None)
    if experts and kind != "cpu":
        raise ModelUnsupportedError(
            f"quantize={wanted!r} on {device!r} does not reach the experts of {config.model_type!r}, which "
            "are most of its weights. Leave quantize out, pass device='cpu', or take a dense checkpoint such "
            "as 'Qwen/Qwen3-8B'."
        )
    if kind == "cpu":
        _check_cpu(wanted)
    elif kind == "cuda":
        check_gpu_quantization(wanted, device)
    else:
        raise InputError(
            f"quantize={wanted!r} runs on CPUs and NVIDIA GPUs, not on {device!r}. Leave it out, or pass "
            "device='cpu'."
        )


def cpu_quantizations() -> tuple[str, ...]:
    """Return the values of `quantize` that this processor runs: int8 and int4, int8 alone, or none."""
    if not kernels.can_multiply_int8():
        return ()
    return ("int8", "int4") if kernels.can_multiply_int4() else ("int8",)


def _check_cpu(wanted: str) -> None:
    if wanted == "fp8":
        raise InputError(
            "quantize='fp8' needs an NVIDIA GPU of compute capability 8.9 or newer. On a CPU pass 'int8', or "
            "'int4' for a chat model."
        )
    available = cpu_quantizations()
    if not available:
        raise InputError(
            f"quantize={wanted!r} needs a CPU on which torch multiplies 8-bit numbers exactly and fast "
            "(VNNI); this one does not. Leave quantize out."
        )
    if wanted not in available:
        missing = "its 4-bit kernel does not work here" if kernels.has_avx512() else "this CPU has no AVX-512"
        raise InputError(
            f"quantize='int4' needs a CPU with AVX-512 and torch's 4-bit kernel; {missing}. "
            "Pass quantize='int8'."
        )


def quantize_model(
    model: Model, quantization: str, dtype: torch.dtype, *, with_tables: bool, fine: bool
) -> None:
    """Replace the linear layers of a model in place, one after the other, so that memory does not peak.

    Layers that do not fit 4 bits (rows that are no multiple of 64, or columns of 32) get 8. Each expert is a
    layer of its own. What chooses experts, and the fades and strengths of linear attention, stay as they are.

    Args:
        model: As it was loaded, in the number type of its files.
        quantization: "int8" or "int4".
        dtype: Number type of all that is not quantized, and of the results of layers.
        with_tables: Round the embeddings and the language model head, too, to 8 bits.
        fine: Round activations to 16 bits, not to 8: as exact as without quantization, and up to half as
            fast. In "int8" the weights that make keys, which are few, stay as they are: all attention
            depends on them.
    """
    int4 = quantization == "int4"
    make = partial(quantized_linear, int4=int4, fine=fine, many_rows=not with_tables)
    if with_tables:
        _quantize_tables(model, dtype)
    replace_linears(model.base_model, make, keep=[*_NEVER, *(["k_proj"] if fine and not int4 else [])])
    for weight in model.parameters():
        # A copy, because a view would keep the whole file of weights in memory.
        weight.data = weight.data.to(dtype, copy=True)


def quantized_linear(layers: list[nn.Linear], *, int4: bool, fine: bool, many_rows: bool) -> nn.Module:
    """Return one layer whose result is the results of these layers, one after the other.

    Args:
        layers: With the same input.
        int4: Round to 4 bits if the shapes fit, else to 8.
        fine: For 8 bits, see `quantize_model`.
        many_rows: For 8 bits, see `Int8Linear`.
    """
    weights = [layer.weight.detach() for layer in layers]
    bias = join_biases(layers)
    if int4 and all(fits_int4(weight) for weight in weights):
        return Int4Linear(weights, bias)
    return Int8Linear(*to_int8(weights), bias, fine=fine, many_rows=many_rows)


def _quantize_tables(model: Model, dtype: torch.dtype) -> None:
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    numbers, scales = to_int8([embedding.weight.detach()])
    model.set_input_embeddings(Int8Embedding(numbers, scales, dtype))
    if head is not None:
        if head.weight is not embedding.weight:
            numbers, scales = to_int8([head.weight.detach()])
        rounded = Int8Linear(numbers, scales, head.bias, fine=False, many_rows=False)
        model.set_output_embeddings(rounded)
