"""Layers with 8-bit weights. Knows torch modules, no language models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qwen_agentkit.engine.weights.rounding import Product, multiply

__all__ = ["Int8Embedding", "Int8Linear"]


class Int8Linear(nn.Module):
    """A linear layer of 8-bit weights.

    Args:
        product: Multiplies by the weight, (out, in), and its scales.
        bias: (out,), or None.
        fine: Round activations to 16 bits, not to 8.
    """

    def __init__(self, product: Product, bias: Tensor | None, *, fine: bool) -> None:
        super().__init__()
        self._fine = fine
        self._bias = None if bias is None else bias.float()
        self._product = product

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return multiply(rows, self._product, self._bias, fine=self._fine)


class Int8Embedding(nn.Module):
    """Embeddings of tokens in 8 bits.

    Args:
        weight: Whole numbers, int8 (tokens, hidden).
        scales: One for each row, fp32 (tokens,).
        dtype: Type of the results.
    """

    weight: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)
        self._dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Look up; (...) to (..., hidden)."""
        return (self.weight[ids] * self.scales[ids, None]).to(self._dtype)
