"""The table of the embeddings, in the number type of its file. Knows torch modules.

A text reads a few rows of it, which are converted when they are looked up. No converted copy is made or kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from qwen_agentkit.engine.model_config import Model

__all__ = ["Table", "in_own_memory", "keep_table"]


class Table(nn.Module):
    """Embeddings of tokens, (tokens, hidden), looked up in another number type than they are kept in."""

    weight: Tensor

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self._dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Look up; (...) to (..., hidden)."""
        return self.weight[ids].to(self._dtype)


def keep_table(model: Model, dtype: torch.dtype) -> Tensor:
    """Let a model look up its embeddings in `dtype`, and keep them in a narrower type if they have one.

    Returns:
        Their weight. A head that is tied still has it, too.
    """
    table: Any = model.get_input_embeddings()
    weight: Tensor = table.weight
    narrow = weight.dtype.itemsize <= dtype.itemsize
    weight.data = in_own_memory(weight.data if narrow else weight.data.to(dtype))
    model.set_input_embeddings(Table(weight.data, dtype))
    return weight


def in_own_memory(weight: Tensor) -> Tensor:
    """Return a weight, or a copy of it where it is a part of something larger, such as a mapped file."""
    storage = weight.untyped_storage()
    whole = storage.resizable() and storage.nbytes() == weight.nbytes  # what is mapped cannot be resized
    return weight if whole else weight.clone()
