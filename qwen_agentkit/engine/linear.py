"""Weights laid out for reading them one token at a time. Knows torch modules, nothing of language models.

torch multiplies a single bf16 row by a plain weight matrix at about half the speed of the memory. oneDNN's
own blocked layout is read at full speed, and prompts lose nothing by it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["pack_linears"]


class _PackedLinear(nn.Module):
    """A linear layer of a CPU whose weight is in oneDNN's blocked layout."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        # The layout is chosen for one row, and is as good for many.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), 1)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self._bias, "none", [], "")
        return out


def pack_linears(model: nn.Module) -> None:
    """Replace the plain linear layers of a model in place; where they were not shared, their memory is freed.

    Layers of other classes, such as quantised ones, stay as they are.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, _PackedLinear(child))
