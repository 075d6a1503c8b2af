"""Weights laid out as oneDNN reads them. Knows torch modules, nothing of language models.

torch multiplies a single bf16 row by a plain weight matrix at about half the speed of the memory; oneDNN's
own blocked layout is read at full speed. Many rows gain a tenth in bf16, and on a processor of AMD they were
multiplied 2.4 times as fast in fp32 as by MKL, which torch asks otherwise. Where the CPU multiplies fp32
faster than bf16, many bf16 rows are multiplied in fp32: products and sums are the same, bf16 numbers added up
in fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qwen_agentkit.engine.weights.kernels import bf16_is_fast
from qwen_agentkit.engine.weights.replacing import biases, replace_linears

__all__ = ["pack_linears"]

# Rows from which undoing the layout, some milliseconds a weight, costs less than fp32 saves.
_MANY_ROWS = 192

# Numbers of an fp32 weight that oneDNN takes longer to begin with, 10 microseconds, than MKL to multiply.
_TINY = 2**15


class _PlainLinear(nn.Module):
    """A linear layer whose weight, (out, in), is as it was."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._weight = weight.clone()  # a small view would keep the whole file in memory
        self._bias = bias

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return linear(rows, self._weight, self._bias)


class _PackedLinear(nn.Module):
    """A linear layer of a CPU whose weight, (out, in), is in oneDNN's blocked layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        # The layout that oneDNN chooses for many rows is as good for one; in fp32 not the other way round.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, 512)
        self._bias = bias
        slow = weight.dtype == torch.bfloat16 and not bf16_is_fast()
        self._many_rows = _MANY_ROWS if slow else torch.inf

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        if rows.shape[:-1].numel() >= self._many_rows:
            bias = None if self._bias is None else self._bias.float()
            return linear(rows.float(), self._packed.to_dense(torch.float32), bias).to(rows.dtype)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self._bias, "none", [], "")
        return out


def pack_linears(model: nn.Module) -> None:
    """Replace the plain linear layers of a model in place; if they were not shared, their memory is freed."""
    replace_linears(model, _packed)
    for weight in model.parameters():
        # A copy, since one small view would keep the whole file of weights in memory.
        weight.data = weight.data.clone()


def _packed(layers: list[nn.Linear]) -> nn.Module:
    """One layer that gives what these give, one after the other."""
    weights = [layer.weight.detach() for layer in layers]
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    bias = biases(layers)
    if weight.dtype == torch.float32 and weight.numel() < _TINY:
        return _PlainLinear(weight, bias)
    return _PackedLinear(weight, bias)
