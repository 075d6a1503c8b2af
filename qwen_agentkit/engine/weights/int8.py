"""Layers with 8-bit weights. Knows torch modules, no language models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.rounding import Product, multiply

__all__ = ["Int8Embedding", "Int8Linear", "plain_product"]


class Int8Linear(nn.Module):
    """A linear layer of 8-bit weights.

    Args:
        weight: Whole numbers, int8 (out, in).
        scales: One for each row, fp32 (out,).
        bias: (out,), or None.
        fine: Round activations to 16 bits, not to 8.
        many_rows: Use the layout for many rows of activations, if this CPU has a fast one.
    """

    def __init__(
        self, weight: Tensor, scales: Tensor, bias: Tensor | None, *, fine: bool, many_rows: bool
    ) -> None:
        super().__init__()
        self._fine = fine
        self._bias = None if bias is None else bias.float()
        if many_rows and kernels.can_pack_int8():
            self._product = _packed_product(weight, scales)
        else:
            self.register_buffer("weight", weight)
            self._product = plain_product(weight.t(), scales)

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


def plain_product(weight: Tensor, scales: Tensor) -> Product:
    """Return the product with a weight in the usual layout, int8 (in, out): the fastest for one row."""

    def product(numbers: Tensor, _: torch.dtype) -> Tensor:
        return kernels.multiply_int8(numbers, weight).float().mul_(scales)

    return product


def _packed_product(weight: Tensor, scales: Tensor) -> Product:
    """Return the product with a weight, int8 (out, in), in oneDNN's layout: the fastest for many rows."""
    packed = kernels.pack_int8(weight)

    def product(numbers: Tensor, dtype: torch.dtype) -> Tensor:
        return kernels.multiply_packed_int8(numbers, packed, scales, dtype)

    return product
