"""Linear layers with fp16 weights, for processors that are slow with bf16. Knows torch modules.

FBGEMM reads the weights in fp16 and computes in fp32. A row takes half the time of fp32 weights, many rows
the same time. Weights that were trained in bf16 lose nothing: fp16 holds all their bits, as long as they are
neither very large nor very small. Whether it does is checked layer by layer.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qwen_agentkit.engine.device_thread import run_on_one_core
from qwen_agentkit.engine.model_config import Model
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.linear import packed_linear
from qwen_agentkit.engine.weights.machine_facts import remembered
from qwen_agentkit.engine.weights.replacing import join_biases, replace_linears
from qwen_agentkit.engine.weights.rounding import row_blocks
from qwen_agentkit.engine.weights.table import in_own_memory, keep_table
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = ["fits_fp16", "fp16_is_fast", "fp16_is_usable", "keep_in_fp16"]

# What rounding a number to the eleven bits of fp16 can cost, as a share of it.
_LARGEST_ERROR = 2.0**-11

# Many rows may take so many times as long as in fp32: one row, which is read from memory, takes half.
_SLOWER = 1.5


def fp16_is_usable() -> bool:
    """Whether layers with fp16 weights run on this CPU: x86 with AVX2 and F16C."""
    return kernels.can_pack_fp16(kernels.cpu_features())


@cache
def fp16_is_fast() -> bool:
    """Whether this CPU multiplies by fp16 weights about as fast as by fp32 ones, or faster; measured once."""
    return (
        fp16_is_usable() and remembered("fp16, times fp32", lambda: run_on_one_core(_times_fp32)) <= _SLOWER
    )


def _times_fp32() -> float:
    rows, weight = torch.ones(64, 1024), torch.ones(1024, 1024)
    packed = kernels.pack_fp16(weight, None)
    half = shortest_seconds(lambda: kernels.multiply_fp16(rows, packed))
    return half / shortest_seconds(lambda: linear(rows, weight))


def fits_fp16(weight: Tensor) -> bool:
    """Whether fp16 holds a weight, (out, in): no row changes by more than 2**-11 of its length."""
    for _, rows in row_blocks([weight]):
        changed = (rows.half().float() - rows).norm(dim=1)  # infinite where a number is too large
        if not bool((changed <= _LARGEST_ERROR * rows.norm(dim=1)).all()):
            return False
    return True


def keep_in_fp16(model: Model, *, with_head: bool) -> None:
    """Replace the linear layers of a model in place by layers with fp16 weights.

    Everything else is computed in fp32. The table of the embeddings keeps the number type of its files.

    Args:
        model: As it was loaded, in the number type of its files.
        with_head: Whether to replace the language model head, too; else its weight keeps its number type.

    Warns:
        UserWarning: Some layers have weights that fp16 does not hold; they stay in fp32.
    """
    total = wide = 0

    def make(layers: list[nn.Linear]) -> nn.Module:
        nonlocal total, wide
        weights = [layer.weight.detach() for layer in layers]
        bias = join_biases(layers)
        weight = (torch.cat(weights) if len(weights) > 1 else weights[0]).float()
        total += len(layers)
        if fits_fp16(weight):
            return _Fp16Linear(weight, bias)
        wide += len(layers)
        return packed_linear(weight, None if bias is None else bias.float())

    head: Any = model.get_output_embeddings()
    table = keep_table(model, torch.float32)
    replace_linears(model if with_head else model.base_model, make)
    kept: Any = None if with_head or head is None else head.weight
    for weight in model.parameters():
        if weight is not table:
            dtype = weight.dtype if weight is kept else torch.float32
            weight.data = in_own_memory(weight.data.to(dtype))
    if wide:
        warnings.warn(
            f"{wide} of {total} linear layers have weights that fp16 does not hold: too large, or rows of "
            "tiny numbers. They are kept in fp32, which is exact, but slower and takes more memory.",
            stacklevel=2,
        )


class _Fp16Linear(nn.Module):
    """A linear layer of fp32 activations whose weight, fp32 (out, in), is kept in fp16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._packed = kernels.pack_fp16(weight, None if bias is None else bias.float())

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return kernels.multiply_fp16(rows, self._packed)
