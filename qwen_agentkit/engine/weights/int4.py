"""Linear layers with 4-bit weights. Knows torch modules, no language models.

A few rows of activations are multiplied by the 4-bit numbers as they are stored. For more rows the weights
are widened to 8 bits, which loses nothing, and the activations are rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.products import plain_product
from qwen_agentkit.engine.weights.rounding import GROUP, count_rows, multiply, row_blocks, to_int4

__all__ = ["Int4Linear", "fits_int4"]

# Up to so many rows of activations, multiplying by 4-bit numbers is faster than widening them (measured).
_FEW_ROWS = 16


def fits_int4(weight: Tensor) -> bool:
    """Whether the kernels take a weight of this shape, (out, in)."""
    return len(weight) % kernels.INT4_BLOCK == 0 == weight.shape[1] % GROUP


class Int4Linear(nn.Module):
    """A linear layer of 4-bit weights.

    Args:
        weights: (out, in) each, joined row by row.
        bias: (out,), or None.
    """

    packed: Tensor
    scales: Tensor
    factors: Tensor
    bias: Tensor | None

    def __init__(self, weights: Sequence[Tensor], bias: Tensor | None) -> None:
        super().__init__()
        out, columns = count_rows(weights), weights[0].shape[1]
        self.register_buffer("packed", torch.empty(out, columns // 2, dtype=torch.uint8))
        self.register_buffer("scales", torch.empty(out))
        # The kernel wants a factor and a zero for each group.
        self.register_buffer("factors", torch.zeros(columns // GROUP, out, 2, dtype=torch.bfloat16))
        self.register_buffer("bias", None if bias is None else bias.float())
        for place, rows in row_blocks(weights):
            steps, scales, numbers = to_int4(rows)
            self.packed[place] = kernels.pack_int4(numbers + 8)
            self.scales[place] = scales[:, 0]
            self.factors[:, place, 0] = (steps * scales).t()

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        flat = rows.reshape(-1, rows.shape[-1])
        if len(flat) > _FEW_ROWS:
            return multiply(rows, plain_product(self.widen(), self.scales), self.bias, fine=False)
        out = kernels.multiply_int4(flat.bfloat16(), self.packed, GROUP, self.factors)
        if self.bias is not None:
            out = out + self.bias
        return out.to(rows.dtype).view(*rows.shape[:-1], out.shape[-1])

    def widen(self) -> Tensor:
        """Return the weights in 8 bits, (in, out)."""
        # Rounding undoes the rounding of factors to bf16: steps are whole numbers.
        steps = (self.factors[..., 0] / self.scales).round_().to(torch.int8)
        groups, out = steps.shape
        numbers = kernels.unpack_int4(self.packed).view(groups, GROUP, out)
        return numbers.sub_(8).mul_(steps[:, None]).view(groups * GROUP, out)
