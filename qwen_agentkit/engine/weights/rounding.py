"""Numbers rounded to 8 and 4 bits, and products of 8-bit numbers. Knows tensors, no modules.

- 8 bits: each row of a weight, and each row of activations, is scaled to whole numbers of -127..127. Products
  are exact, so the result of a row does not depend on the rows beside it. Where only products with weights of
  seven bits are exact, those are of -64..64.
- Fine activations, in 16 bits, are two such rows: the second holds what the first leaves. One product does
  both.
- 4 bits: a group of 32 weights shares a factor. The factor is a whole number of -15..15 times the scale of
  the row, so that weights widened to 8 bits are exactly the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from qwen_agentkit.engine.weights.kernels import INT4_BLOCK

__all__ = ["GROUP", "Product", "count_rows", "multiply", "row_blocks", "to_int4", "to_int8"]

GROUP = 32
"""Weights that share a factor in 4 bits; the columns of a layer have to be a multiple of it."""

Product = Callable[[Tensor, torch.dtype], Tensor]
"""Rounds fp32 numbers of -127..127, (rows, in), and multiplies them by a weight and its scales; (rows, out).

The numbers may be overwritten. The second argument is the type that the result should have; it may be fp32
instead.
"""

# Rows of activations that are multiplied at once, so that the work around a product stays in the cache.
_ROWS_AT_ONCE = 512

# Weights that are rounded at once.
_WEIGHTS_AT_ONCE = 2**18

# Divides where a row is all zeros.
_SMALLEST = 1e-12


def count_rows(weights: Sequence[Tensor]) -> int:
    """Return the rows of all weights together."""
    return sum(len(weight) for weight in weights)


def row_blocks(weights: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """Yield the rows of all weights in fp32, some at a time, each block with its place among them.

    Rounding takes several times the memory of what is rounded, and buffers of many different sizes would
    stay with the process.
    """
    start = 0
    for weight in weights:
        size = max(_WEIGHTS_AT_ONCE // weight.shape[1] // INT4_BLOCK, 1) * INT4_BLOCK
        for first in range(0, len(weight), size):
            rows = weight[first : first + size]
            yield slice(start + first, start + first + len(rows)), rows.float()
        start += len(weight)


def to_int8(weights: Sequence[Tensor], largest: int = 127) -> tuple[Tensor, Tensor]:
    """Round weights, joined row by row, to whole numbers of -largest..largest.

    Returns:
        int8 (out, in) and the scale of each row, fp32 (out,).
    """
    numbers = torch.empty(count_rows(weights), weights[0].shape[1], dtype=torch.int8)
    scales = torch.empty(len(numbers))
    for place, rows in row_blocks(weights):
        scaled, steps = _scale(rows, largest)
        numbers[place] = scaled.round_()
        scales[place] = steps[:, 0]
    return numbers, scales


def to_int4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round a weight, fp32 (out, in).

    Returns:
        Steps of -15..15 of each group, (out, groups), the scale of each row, (out, 1), and the numbers of
        -8..7, (out, in). A weight is about number * step * scale.
    """
    groups = weight.view(len(weight), -1, GROUP)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))[..., 0]
    wanted = largest / -8  # the largest becomes -8, because -8..7 has one more number below zero
    scales = (wanted.abs().amax(1, keepdim=True) / 15).clamp_(min=_SMALLEST)
    steps = (wanted / scales).round_()
    factors = torch.where(steps == 0, torch.inf, steps * scales)
    numbers = (groups / factors[..., None]).round_().clamp_(-8, 7)
    return steps, scales, numbers.view_as(weight)


def multiply(rows: Tensor, product: Product, bias: Tensor | None, *, fine: bool) -> Tensor:
    """Round activations and multiply them by an 8-bit weight.

    Args:
        rows: (..., in).
        product: Multiplies by the weight.
        bias: fp32 (out,), or None.
        fine: Round activations to 16 bits, not to 8.

    Returns:
        (..., out) in the type of `rows`.
    """
    flat = rows.reshape(-1, rows.shape[-1])
    if len(flat) > _ROWS_AT_ONCE:
        parts = torch.split(flat, _ROWS_AT_ONCE)
        whole = torch.cat([multiply(part, product, bias, fine=fine) for part in parts])
        return whole.view(*rows.shape[:-1], -1)
    scaled, steps = _scale(flat)
    if fine:
        numbers = scaled.round()
        rest = scaled.sub_(numbers).mul_(2 * 127)
        both = product(torch.cat([numbers, rest]), torch.float32)
        out = both[len(steps) :].div_(2 * 127).add_(both[: len(steps)])
    else:
        # Products that are not multiplied by their steps yet can be too large for fp16.
        dtype = torch.float32 if rows.dtype == torch.float16 else rows.dtype
        out = product(scaled, dtype)
    out = out.mul_(steps.to(out.dtype))
    if bias is not None:
        out += bias
    return out.to(rows.dtype).view(*rows.shape[:-1], out.shape[-1])  # -1 would fail if there are no rows


def _scale(rows: Tensor, largest: int = 127) -> tuple[Tensor, Tensor]:
    """Scale rows to -largest..largest; returns them in fp32 and the step of each, (rows, 1).

    For rows in bf16 the steps are exact in bf16.
    """
    wide = rows.float()
    steps = wide.abs().amax(1, keepdim=True).clamp_(min=_SMALLEST).mul_(1 / largest)
    if rows.dtype == torch.bfloat16:
        steps = steps.bfloat16().float()
    return wide * steps.reciprocal(), steps
