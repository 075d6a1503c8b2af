"""How fast this processor multiplies by weights, and what share of its limit that is. Knows no models.

Measured on all cores. Many rows of activations are limited by arithmetic, and one row by memory: caches are
filled with other numbers before. The limits are a large product of plain matrices, by torch or by oneDNN, in
the fastest number type, and the sum of a large tensor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from qwen_agentkit.engine.weights.fp16 import fp16_is_fast
from qwen_agentkit.engine.weights.products import Int8Product, int8_product
from qwen_agentkit.engine.weights.rounding import multiply, to_int8
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = ["Limit", "Path", "Speed", "default_path", "int8_path", "measure_limit", "measure_path"]

# The layer that is measured, (out, in), the rows that are many, and the side of the matrices of the limit.
_LAYER, _MANY, _SIDE = (8192, 1024), 256, 1024

# Numbers, 64 MB, that are read for the limit of the memory, and to fill caches.
_STREAM = 2**24

# The instructions that each kind of product uses, the best first, by torch's name of the feature.
_INSTRUCTIONS = {
    "bf16": {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512_f": "AVX-512"},
    "fp16": {"avx512_f": "AVX-512", "avx2": "AVX2"},
    "fp32": {"avx512_f": "AVX-512", "avx2": "AVX2"},
    "int8": {"avx512_vnni": "AVX-512 VNNI", "avx512_f": "AVX-512", "avx2": "AVX2"},
    "int8 by oneDNN": {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI"},
}

_Product = Callable[[Tensor], Tensor]


class Path(NamedTuple):
    """A way to multiply by weights.

    Attributes:
        product: Library and number type, for people.
        instructions: What the library uses of the processor, such as "AVX2".
        width: Bytes of a weight.
        prepare: Takes a weight, fp32 (out, in); gives what multiplies fp32 rows by it.
    """

    product: str
    instructions: str
    width: int
    prepare: Callable[[Tensor], _Product]


@dataclass(frozen=True)
class Limit:
    """What this machine can do: arithmetic in GFLOP/s, and reading memory in GB/s."""

    gigaflops: float
    gigabytes: float


class Speed(NamedTuple):
    """What a path reaches: many rows in GFLOP/s, and the weights read for one row in GB/s."""

    gigaflops: float
    gigabytes: float


def default_path() -> Path:
    """Return how a large model is multiplied here where nothing else is asked for."""
    if bf16_is_fast():
        return _packed_path(torch.bfloat16, "bf16", 2)
    if fp16_is_fast():
        return Path("FBGEMM, fp16 weights", _instructions("fp16", "FBGEMM"), 2, _half)
    return _packed_path(torch.float32, "fp32", 4)


def int8_path(*, many_rows: bool) -> Path | None:
    """Return how 8-bit weights are multiplied here; None if no product of them is exact."""
    product = int8_product(many_rows=many_rows)
    if product is None:
        return None
    library = product.name.partition(",")[0]
    kind = "int8" if library == "FBGEMM" else "int8 by oneDNN"
    return Path(
        f"{product.name}, int8", _instructions(kind, library), 1, lambda weight: _int8(product, weight)
    )


def measure_limit() -> Limit:
    """Measure what this machine can do; some tenths of a second."""

    def measure() -> Limit:
        weight, dtypes = torch.ones(_SIDE, _SIDE), [torch.float32]
        if bf16_is_fast():
            dtypes.append(torch.bfloat16)
        runs: list[Callable[[], Tensor]] = []
        for dtype in dtypes:
            typed = weight.to(dtype)
            runs.append(partial(torch.matmul, typed, typed))
            if kernels.can_pack(dtype):
                runs.append(partial(_packed(dtype, weight), typed))
        fastest = min(shortest_seconds(run) for run in runs)
        numbers = torch.zeros(_STREAM)
        return Limit(2 * _SIDE**3 / fastest / 1e9, numbers.nbytes / shortest_seconds(numbers.sum) / 1e9)

    return run_on_device("cpu", measure)


def measure_path(path: Path) -> Speed:
    """Measure a path; some tenths of a second."""

    def measure() -> Speed:
        out, columns = _LAYER
        weight = torch.linspace(-1, 1, out * columns).view(_LAYER)
        rows = torch.linspace(-1, 1, _MANY * columns).view(_MANY, columns)
        product, evict = path.prepare(weight), torch.zeros(_STREAM).sum
        many = shortest_seconds(lambda: product(rows))
        one = shortest_seconds(lambda: product(rows[:1]), before=evict)
        numbers = weight.numel()
        return Speed(2 * _MANY * numbers / many / 1e9, path.width * numbers / one / 1e9)

    return run_on_device("cpu", measure)


def _packed_path(dtype: torch.dtype, name: str, width: int) -> Path:
    library = "oneDNN" if kernels.can_pack(dtype) else "torch"
    return Path(
        f"{library}, {name}", _instructions(name, library), width, lambda weight: _packed(dtype, weight)
    )


def _packed(dtype: torch.dtype, weight: Tensor) -> _Product:
    typed = weight.to(dtype)
    if not kernels.can_pack(dtype):
        return lambda rows: linear(rows.to(dtype), typed)
    packed = kernels.pack(typed)
    return lambda rows: kernels.multiply_packed(rows.to(dtype), packed, None)


def _half(weight: Tensor) -> _Product:
    packed = kernels.pack_fp16(weight, None)
    return lambda rows: kernels.multiply_fp16(rows, packed)


def _int8(product: Int8Product, weight: Tensor) -> _Product:
    prepared = product.prepare(*to_int8([weight], product.largest))
    return lambda rows: multiply(rows, prepared, None, fine=False)


def _instructions(kind: str, library: str) -> str:
    """Return the best instructions that this processor has for a product, or what the environment allows."""
    variables = {"FBGEMM": "FBGEMM_ENABLE_INSTRUCTIONS", "oneDNN": "ONEDNN_MAX_CPU_ISA"}
    if allowed := os.environ.get(variables.get(library, "ATEN_CPU_CAPABILITY")):
        return f"at most {allowed}"
    has = kernels.cpu_features()
    return next((name for feature, name in _INSTRUCTIONS[kind].items() if feature in has), "basic")
