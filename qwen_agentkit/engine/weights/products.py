"""The products of 8-bit numbers that this processor computes exactly, and the fastest of them.

| product | by | where it is exact |
|---|---|---|
| "oneDNN, packed" | oneDNN, weights in its layout | with VNNI; the fastest for many rows |
| "oneDNN" | torch's plain product | with VNNI; elsewhere it can be exact and very slow |
| "FBGEMM" | FBGEMM | with AVX-512 VNNI; the fastest for a few rows |
| "FBGEMM, 7 bits" | FBGEMM, weights of -64..64 | with AVX2 |

All but the last give the same numbers. A weight of seven bits is off by twice as much; activations, which
matter more, keep eight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from qwen_agentkit.engine.device_thread import run_on_one_core
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.fp16 import fp16_is_usable
from qwen_agentkit.engine.weights.machine_facts import remember_shorter, remembered
from qwen_agentkit.engine.weights.rounding import Product, multiply, to_int8
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = [
    "Int8Product",
    "exact_products",
    "head_product",
    "int8_product",
    "plain_product",
    "times_of_none",
]

# Seven bits, or more memory, are taken only where that is so many times as fast.
_WORTH_A_BIT = 1.5

# The layer that is measured, (out, in): of a size of Qwen3-0.6B's for many rows. One row is read from memory,
# because a model does not fit caches, so its layer is large.
_MANY_LAYER, _ONE_LAYER = (3072, 1024), (16384, 1024)

# Rows of activations that are many.
_MANY = 128

# Numbers that fill caches between runs.
_EVICTING = 2**24


_Keep = Callable[[str, Callable[[], float]], float]


@dataclass(frozen=True)
class Int8Product:
    """A way to multiply 8-bit numbers.

    Attributes:
        name: For people.
        largest: The largest whole number that a weight may hold.
        prepare: Takes whole numbers, int8 (out, in), and the scale of each row, fp32 (out,).
    """

    name: str
    largest: int
    prepare: Callable[[Tensor, Tensor], Product]


def exact_products() -> Iterator[Int8Product]:
    """Yield the products that are exact on this processor, those of eight bits first."""
    if kernels.can_pack_int8():
        yield _PACKED
    if kernels.can_multiply_int8():
        yield _PLAIN
    if kernels.can_pack_int8_rows(127):
        yield _ROWS
    elif kernels.can_pack_int8_rows(64):
        yield _ROWS_7


def int8_product(*, many_rows: bool) -> Int8Product | None:
    """Return the fastest exact product for many rows of activations or for one; None if none is exact.

    Seven bits are taken only where they are much faster than eight.
    """

    def cost(product: Int8Product) -> float:
        worth = 1.0 if product.largest > 64 else _WORTH_A_BIT
        return worth * _seconds_of_int8(product, many_rows)

    found = list(exact_products())
    return min(found, key=cost) if len(found) > 1 else next(iter(found), None)


def head_product() -> Int8Product | None:
    """Return the product for a head: the plain one, if it is not much slower, shares the table's numbers."""
    fastest = int8_product(many_rows=False)
    if fastest is None or _PLAIN not in exact_products():
        return fastest
    plain, best = (_seconds_of_int8(product, False) for product in (_PLAIN, fastest))
    return _PLAIN if plain <= _WORTH_A_BIT * best else fastest


@cache
def times_of_none(product: Int8Product, *, many_rows: bool) -> float:
    """Return how many times as long a layer in 8 bits takes as the same one in the fastest number type.

    Both are measured on one core, once on a processor, and remembered. If 8 bits seem slower, both are
    measured again: a busy machine may have spoiled the times.
    """
    eight, none = partial(_seconds_of_int8, product), _seconds_of_none
    times = eight(many_rows, remembered) / none(many_rows, remembered)
    return times if times <= 1 else eight(many_rows, remember_shorter) / none(many_rows, remember_shorter)


@cache
def _seconds_of_int8(product: Int8Product, many_rows: bool, keep: _Keep = remembered) -> float:
    def measure() -> float:
        weight, rows = _layer(many_rows)
        prepared = product.prepare(*to_int8([weight], product.largest))
        return _seconds(lambda: multiply(rows, prepared, None, fine=False), many_rows)

    return _remembered(product.name, measure, many_rows, keep)


def _seconds_of_none(many_rows: bool, keep: _Keep) -> float:
    return _remembered("no quantization", partial(_measure_none, many_rows), many_rows, keep)


def _measure_none(many_rows: bool) -> float:
    weight, rows = _layer(many_rows)
    times = [_seconds(lambda: linear(rows, weight), many_rows)]
    for dtype in (torch.float32, torch.bfloat16):
        if kernels.can_pack(dtype):
            packed, typed = kernels.pack(weight.to(dtype)), rows.to(dtype)
            times.append(_seconds(partial(kernels.multiply_packed, typed, packed, None), many_rows))
    if fp16_is_usable():
        half = kernels.pack_fp16(weight, None)
        times.append(_seconds(lambda: kernels.multiply_fp16(rows, half), many_rows))
    return min(times)


def _remembered(name: str, measure: Callable[[], float], many_rows: bool, keep: _Keep) -> float:
    return keep(f"{name}, {_MANY if many_rows else 1} rows, s", lambda: run_on_one_core(measure))


def _layer(many_rows: bool) -> tuple[Tensor, Tensor]:
    """Return the weight, (out, in), and the rows of activations that are measured."""
    shape, rows = (_MANY_LAYER, _MANY) if many_rows else (_ONE_LAYER, 1)
    weight = torch.linspace(-1, 1, shape[0] * shape[1]).view(shape)
    return weight, torch.linspace(-1, 1, rows * shape[1]).view(rows, shape[1])


def _seconds(run: Callable[[], Tensor], many_rows: bool) -> float:
    if many_rows:
        return shortest_seconds(run)
    return shortest_seconds(run, before=torch.zeros(_EVICTING).sum)


def plain_product(weight: Tensor, scales: Tensor) -> Product:
    """Return the product with a weight in the usual layout, int8 (in, out)."""

    def product(rows: Tensor, _: torch.dtype) -> Tensor:
        return kernels.multiply_int8(rows.round_().to(torch.int8), weight).float().mul_(scales)

    return product


def _packed_product(weight: Tensor, scales: Tensor) -> Product:
    packed = kernels.pack_int8(weight)

    def product(rows: Tensor, dtype: torch.dtype) -> Tensor:
        return kernels.multiply_packed_int8(rows.round_().to(torch.int8), packed, scales, dtype)

    return product


def _rows_product(weight: Tensor, scales: Tensor) -> Product:
    packed = kernels.pack_int8_rows(weight, scales)
    return lambda rows, _: kernels.multiply_int8_rows(rows, packed)


_PACKED = Int8Product("oneDNN, packed", 127, _packed_product)
_PLAIN = Int8Product("oneDNN", 127, lambda weight, scales: plain_product(weight.t(), scales))
_ROWS = Int8Product("FBGEMM", 127, _rows_product)
_ROWS_7 = Int8Product("FBGEMM, 7 bits", 64, _rows_product)
