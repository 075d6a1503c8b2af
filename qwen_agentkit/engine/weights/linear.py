"""Linear layers whose weights are in oneDNN's layout. Knows torch modules, no language models.

torch multiplies a single bf16 row by a weight in the usual layout at about half the speed of the memory;
oneDNN's blocked layout is read at full speed. Many bf16 rows gain a tenth. On an AMD processor many fp32 rows
were multiplied 2.4 times as fast as by MKL, which torch uses otherwise. Where the CPU multiplies fp32 faster
than bf16, many bf16 rows are multiplied in fp32: bf16 kernels add up their products in fp32, too, so the
result is the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from qwen_agentkit.engine.weights.kernels import can_pack, multiply_packed, pack, unpack
from qwen_agentkit.engine.weights.replacing import join_biases, replace_linears
from qwen_agentkit.engine.weights.table import in_own_memory

__all__ = ["pack_linears", "packed_linear"]

# From so many rows on, undoing the layout (some milliseconds for a weight) takes less time than fp32 saves.
_MANY_ROWS = 192

# Numbers of an fp32 weight that MKL multiplies in less time than oneDNN takes to begin, 10 microseconds.
_TINY = 2**15


class _PlainLinear(nn.Module):
    """A linear layer whose weight, (out, in), is in the usual layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._weight = in_own_memory(weight)
        self._bias = bias

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return linear(rows, self._weight, self._bias)


class _PackedLinear(nn.Module):
    """A linear layer of a CPU whose weight, (out, in), is in oneDNN's layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._packed = pack(weight)
        self._bias = bias
        slow = weight.dtype == torch.bfloat16 and not bf16_is_fast()
        self._many_rows = _MANY_ROWS if slow else torch.inf

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        if rows.shape[:-1].numel() >= self._many_rows:
            bias = None if self._bias is None else self._bias.float()
            return linear(rows.float(), unpack(self._packed), bias).to(rows.dtype)
        return multiply_packed(rows, self._packed, self._bias)


def pack_linears(model: nn.Module) -> None:
    """Replace the plain linear layers of a model in place; the memory of weights that nobody shares is freed.

    Ask `kernels.can_pack` first.
    """
    replace_linears(model, _pack_layers)
    for weight in model.parameters():
        weight.data = in_own_memory(weight.data)


def packed_linear(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Return a linear layer in oneDNN's layout, or in the usual one where that is faster or the only one."""
    tiny = weight.dtype == torch.float32 and weight.numel() < _TINY
    if tiny or not can_pack(weight.dtype):
        return _PlainLinear(weight, bias)
    return _PackedLinear(weight, bias)


def _pack_layers(layers: list[nn.Linear]) -> nn.Module:
    """Return one layer whose result is the results of these layers, one after the other."""
    weights = [layer.weight.detach() for layer in layers]
    return packed_linear(torch.cat(weights) if len(weights) > 1 else weights[0], join_biases(layers))
