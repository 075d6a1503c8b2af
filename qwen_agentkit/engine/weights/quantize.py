"""Quantization of a model: what runs where, and which layers get 8 or 4 bits. Knows models, no prompts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from qwen_agentkit.engine.model_config import Config, Model, has_experts
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.int4 import Int4Linear, fits_int4
from qwen_agentkit.engine.weights.int8 import Int8Embedding, Int8Linear
from qwen_agentkit.engine.weights.products import (
    Int8Product,
    head_product,
    int8_product,
    times_of_none,
)
from qwen_agentkit.engine.weights.quantize_gpu import check_gpu_quantization
from qwen_agentkit.engine.weights.replacing import join_biases, replace_linears
from qwen_agentkit.engine.weights.rounding import to_int8
from qwen_agentkit.engine.weights.table import in_own_memory, keep_table
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["check_quantization", "cpu_quantizations", "int8_bits", "quantize_model", "quantized_linear"]

# Layers of one or two rows a head, which decide how much of all others counts.
_NEVER = ["shared_expert_gate", "in_proj_ba", "in_proj_b", "in_proj_a"]


def check_quantization(wanted: str, config: Config, device: str, *, chat: bool) -> None:
    """Refuse a quantization that is unknown, or that this checkpoint or this device cannot run.

    Args:
        wanted: Such as "int8".
        config: Settings of the checkpoint.
        device: Such as "cpu".
        chat: Whether the model will write, one row of activations at a time.

    Raises:
        InputError: It is unknown, or the device cannot run it, or only slower than without it.
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
    if has_experts(config) and kind != "cpu":
        raise ModelUnsupportedError(
            f"quantize={wanted!r} on {device!r} does not reach the experts of {config.model_type!r}, which "
            "are most of its weights. Leave quantize out, pass device='cpu', or take a dense checkpoint such "
            "as 'Qwen/Qwen3-8B'."
        )
    if kind == "cpu":
        _check_cpu(wanted, chat)
    elif kind == "cuda":
        check_gpu_quantization(wanted, device)
    else:
        raise InputError(
            f"quantize={wanted!r} runs on CPUs and NVIDIA GPUs, not on {device!r}. Leave it out, or pass "
            "device='cpu'."
        )


def cpu_quantizations(*, chat: bool = True) -> tuple[str, ...]:
    """Return the values of `quantize` that this processor runs exactly, and not slower than without."""
    if not _int8_is_fast(chat):
        return ()
    four = kernels.can_multiply_int4() and kernels.can_multiply_int8()
    return ("int8", "int4") if four else ("int8",)


def int8_bits() -> int:
    """Return the bits that weights in "int8" have on this processor, for many rows: 8, or 7 without VNNI."""
    product = int8_product(many_rows=True)
    return 7 if product and product.largest <= 64 else 8


def _int8_is_fast(chat: bool) -> bool:
    product = int8_product(many_rows=not chat)
    return product is not None and times_of_none(product, many_rows=not chat) <= 1


_INSTEAD = "Leave quantize out, or take a GGUF file (pip install 'qwen-agentkit[gguf]')."


def _check_cpu(wanted: str, chat: bool) -> None:
    if wanted == "fp8":
        raise InputError(
            "quantize='fp8' needs an NVIDIA GPU of compute capability 8.9 or newer. On a CPU pass 'int8', or "
            "'int4' for a chat model."
        )
    available = cpu_quantizations(chat=chat)
    if not available:
        raise InputError(f"quantize={wanted!r} {_why_not_int8(chat)} {_INSTEAD}")
    if wanted not in available:
        missing = "its 4-bit kernel does not work here" if kernels.has_avx512() else "this CPU has no AVX-512"
        raise InputError(
            f"quantize='int4' needs a CPU with AVX-512 and torch's 4-bit kernel; {missing}. "
            "Pass quantize='int8'. With 4-bit weights, take a GGUF file (pip install 'qwen-agentkit[gguf]')."
        )


def _why_not_int8(chat: bool) -> str:
    product = int8_product(many_rows=not chat)
    if product is None:
        return (
            "needs a CPU on which torch multiplies 8-bit numbers exactly and fast (AVX2 or VNNI); this one "
            "does not."
        )
    times = times_of_none(product, many_rows=not chat)
    return (
        f"would be slower than no quantization on this CPU: the fastest exact product of 8-bit numbers "
        f"({product.name}) takes {times:.2g} times as long as that of whole weights."
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
    table = None
    if with_tables:
        _quantize_tables(model, dtype)
    else:
        table = keep_table(model, dtype)
    replace_linears(model.base_model, make, keep=[*_NEVER, *(["k_proj"] if fine and not int4 else [])])
    for weight in model.parameters():
        if weight is not table:
            weight.data = in_own_memory(weight.data.to(dtype))


def quantized_linear(layers: list[nn.Linear], *, int4: bool, fine: bool, many_rows: bool) -> nn.Module:
    """Return one layer whose result is the results of these layers, one after the other.

    Args:
        layers: With the same input.
        int4: Round to 4 bits if the shapes fit, else to 8.
        fine: For 8 bits, see `quantize_model`.
        many_rows: For 8 bits, take the product that is the fastest for many rows, not for one.
    """
    weights = [layer.weight.detach() for layer in layers]
    bias = join_biases(layers)
    if int4 and all(fits_int4(weight) for weight in weights):
        return Int4Linear(weights, bias)
    product = _chosen_product(many_rows)
    return Int8Linear(product.prepare(*to_int8(weights, product.largest)), bias, fine=fine)


def _chosen_product(many_rows: bool) -> Int8Product:
    return _exact(int8_product(many_rows=many_rows))


def _exact(product: Int8Product | None) -> Int8Product:
    if product is None:
        raise InputError("No product of 8-bit numbers is exact on this CPU. Leave quantize out.")
    return product


def _quantize_tables(model: Model, dtype: torch.dtype) -> None:
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    numbers, scales = to_int8([embedding.weight.detach()])
    model.set_input_embeddings(Int8Embedding(numbers, scales, dtype))
    if head is not None:
        product = _exact(head_product())
        if head.weight is not embedding.weight or product.largest < 127:
            numbers, scales = to_int8([head.weight.detach()], product.largest)
        model.set_output_embeddings(Int8Linear(product.prepare(numbers, scales), head.bias, fine=False))
