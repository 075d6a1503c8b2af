"""Every private operation of torch that the package uses. Knows torch, no layers or models.

These operations can change or go with any release of torch, and some are wrong or very slow on processors
that lack an instruction. Each stands behind a small function here and nowhere else. A `can_...` function
tells whether it is usable: it runs the operation once per process and compares the result with exact
arithmetic, and the time with that of plain torch.

| asks | for | where it is not usable |
|---|---|---|
| `can_pack` | weights in oneDNN's layout | layers stay `nn.Linear` |
| `can_pack_fp16` | fp16 weights of FBGEMM, fp32 activations | bf16 or fp32, see `checkpoint.dtypes` |
| `can_multiply_int8` | products of 8-bit numbers | other products of 8-bit numbers, see `products` |
| `can_pack_int8` | 8-bit weights in oneDNN's layout | the same |
| `can_pack_int8_rows` | 8-bit weights of FBGEMM | the same; without any `quantize=` is refused |
| `can_multiply_int4` | products with 4-bit weights | `quantize='int4'` is refused |

FBGEMM chooses its instructions by what the processor has, not by `ATEN_CPU_CAPABILITY`; its own variable is
`FBGEMM_ENABLE_INSTRUCTIONS`, such as "AVX2".
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from qwen_agentkit.engine.device_thread import run_on_one_core
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = [
    "INT4_BLOCK",
    "can_multiply_int4",
    "can_multiply_int8",
    "can_pack",
    "can_pack_fp16",
    "can_pack_int8",
    "can_pack_int8_rows",
    "cpu_features",
    "has_avx512",
    "multiply_fp16",
    "multiply_int4",
    "multiply_int8",
    "multiply_int8_rows",
    "multiply_packed",
    "multiply_packed_int8",
    "pack",
    "pack_fp16",
    "pack_int4",
    "pack_int8",
    "pack_int8_rows",
    "unpack",
    "unpack_int4",
]

INT4_BLOCK = 64
"""Rows of a weight that torch's 4-bit kernel for AVX-512 keeps together."""

# An operation without a kernel for the processor takes a thousand times as long as plain torch.
_TOO_SLOW = 10.0

# Sizes of the products of a probe: (rows, columns) @ (columns, columns).
_ROWS, _COLUMNS = 64, 512

# Selects the lower half of each of eight bytes.
_LOWER_HALVES = 0x0F0F0F0F0F0F0F0F


def _passes(check: Callable[[], bool]) -> bool:
    """Whether a check of an operation passes; it does not if the operation is gone or refuses."""

    def run() -> bool:
        try:
            return check()
        # Gone, with other arguments than expected, or not built for this processor.
        except (AttributeError, TypeError, RuntimeError):
            return False

    return run_on_one_core(run)


def _equal(result: Tensor, expected: Tensor) -> bool:
    return torch.equal(result.double(), expected.double())


def _is_fast(operation: Callable[[], Tensor], plain: Callable[[], Tensor], limit: float = _TOO_SLOW) -> bool:
    """Whether an operation takes less than `limit` times as long as plain torch."""
    return shortest_seconds(operation) < limit * shortest_seconds(plain)


def _numbers(shape: tuple[int, int], lowest: int, highest: int) -> Tensor:
    """Return the same whole numbers every time, int8, without a change to torch's random state."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(lowest, highest + 1, shape, generator=generator, dtype=torch.int8)


# Weights in oneDNN's layout


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether `pack`, `unpack` and `multiply_packed` are usable for weights of this type on this CPU."""
    # On other processors torch has other kernels for fp32, and only x86 was measured.
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if dtype != torch.bfloat16 and not (dtype == torch.float32 and on_x86):
        return False

    def check() -> bool:
        weight, rows = (_numbers((count, _COLUMNS), -1, 1).to(dtype) for count in (_COLUMNS, _ROWS))
        rows[:, ::2] = 0  # sums of 256 numbers of -1, 0 and 1 are exact in bf16, too
        packed = pack(weight)
        return (
            _equal(unpack(packed), weight)
            and _equal(multiply_packed(rows, packed, None), rows.double() @ weight.double().t())
            and _is_fast(lambda: multiply_packed(rows, packed, None), lambda: linear(rows, weight))
        )

    return _passes(check)


def pack(weight: Tensor) -> Tensor:
    """Return a weight, (out, in), in the layout that oneDNN chooses for many rows of activations.

    It is as good for one row in bf16; in fp32 the layout for one row would not be good for many.
    """
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, 512)
    return packed


def unpack(packed: Tensor) -> Tensor:
    """Return a packed weight, (out, in), in the usual layout and in fp32."""
    return packed.to_dense(torch.float32)


def multiply_packed(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply (..., in) by a packed weight; (..., out) in the type of both."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return out


# Weights in fp16, by FBGEMM


def cpu_features() -> frozenset[str]:
    """Return the instructions that this CPU has, such as "avx2" and "f16c", in torch's spelling."""
    return frozenset(name for name, has in torch.cpu.get_capabilities().items() if has is True)


@cache
def can_pack_fp16(features: frozenset[str]) -> bool:
    """Whether `pack_fp16` and `multiply_fp16` are usable on a CPU with these features.

    FBGEMM checks for AVX2 alone: without F16C, which widens fp16 numbers, the process would end.
    """
    if not _runs_fbgemm(features) or "f16c" not in features:
        return False

    def check() -> bool:
        weight, rows = (_numbers((count, _COLUMNS), -127, 127).float() for count in (_COLUMNS, _ROWS))
        bias = _numbers((1, _COLUMNS), -127, 127)[0].float()
        packed = pack_fp16(weight, bias)  # whole numbers up to 2048 are exact in fp16, and sums in fp32
        return (
            _equal(multiply_fp16(rows, packed), rows.double() @ weight.double().t() + bias)
            and _equal(multiply_fp16(rows[:1], packed), rows[:1].double() @ weight.double().t() + bias)
            and _is_fast(lambda: multiply_fp16(rows, packed), lambda: linear(rows, weight, bias))
        )

    return _passes(check)


def _runs_fbgemm(features: Collection[str]) -> bool:
    return {"avx2", "fma3"} <= set(features)


def pack_fp16(weight: Tensor, bias: Tensor | None) -> Any:
    """Return a weight, fp32 (out, in), and its bias, fp32 (out,), as FBGEMM keeps them: rounded to fp16."""
    return torch.ops.quantized.linear_prepack_fp16(weight, bias)


def multiply_fp16(rows: Tensor, packed: Any) -> Tensor:
    """Multiply fp32 (..., in) by a weight from `pack_fp16`, and add its bias; fp32 (..., out)."""
    out: Tensor = torch.ops.quantized.linear_dynamic_fp16(rows, packed)
    return out


# Products of 8-bit numbers


def _int8_numbers(largest: int = 127) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, a weight and their exact product; the first rows and columns have the largest products.

    Args:
        largest: Of the numbers of the weight.
    """
    rows, weight = _numbers((_ROWS, _COLUMNS), -127, 127), _numbers((_COLUMNS, _COLUMNS), -largest, largest)
    rows[0], rows[1], weight[0], weight[1] = 127, -127, -largest, largest
    return rows, weight, rows.double() @ weight.double().t()


@cache
def can_multiply_int8() -> bool:
    """Whether `multiply_int8` is usable; processors before VNNI add up large products in 16 bits."""

    def check() -> bool:
        rows, weight, expected = _int8_numbers()
        return _equal(multiply_int8(rows, weight.t()), expected) and _is_fast(
            lambda: multiply_int8(rows, weight.t()), lambda: linear(rows.float(), weight.float())
        )

    return _passes(check)


def multiply_int8(rows: Tensor, weight: Tensor) -> Tensor:
    """Multiply whole numbers of -127..127, int8 (rows, in) by (in, out); int32."""
    return torch._int_mm(rows, weight)


@cache
def can_pack_int8() -> bool:
    """Whether `pack_int8` and `multiply_packed_int8` are usable, and about as fast as `multiply_int8`."""

    def check() -> bool:
        rows, weight, expected = _int8_numbers()
        packed, ones = pack_int8(weight), torch.ones(_COLUMNS)

        def multiply() -> Tensor:
            return multiply_packed_int8(rows.clone(), packed, ones, torch.float32)

        return _equal(multiply(), expected) and _is_fast(
            multiply, lambda: multiply_int8(rows, weight.t()).float().mul_(ones), limit=2
        )

    return _passes(check)


def pack_int8(weight: Tensor) -> Tensor:
    """Return an 8-bit weight, (out, in), in oneDNN's layout for many rows of activations."""
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, [512, weight.shape[1]])
    return packed


def multiply_packed_int8(rows: Tensor, packed: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """Multiply whole numbers of -127..127 by a packed weight, and each column by its scale.

    Args:
        rows: int8 (rows, in); overwritten.
        packed: From `pack_int8`.
        scales: fp32 (out,).
        dtype: Type of the result, (rows, out).
    """
    # The fast kernels take numbers of 0..255 and the number that stands for zero: flipping the sign bit adds
    # 128.
    positive = rows.view(torch.uint8).bitwise_xor_(128)
    zeros = _int32_zeros(len(scales))
    out: Tensor = torch.ops.onednn.qlinear_pointwise(
        positive, 1.0, 128, packed, scales, zeros, None, 1.0, 0, dtype, "none", [], ""
    )
    return out


@cache
def _int32_zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int32)


@cache
def can_pack_int8_rows(largest: int) -> bool:
    """Whether `pack_int8_rows` and `multiply_int8_rows` are exact for weights of -largest..largest.

    Without VNNI the instructions add two products in 16 bits: 2 * 255 * 64 fits them, 2 * 255 * 127 does not.
    """
    if not _runs_fbgemm(cpu_features()):
        return False

    def check() -> bool:
        rows, weight, expected = _int8_numbers(largest)
        packed = pack_int8_rows(weight, torch.ones(_COLUMNS))
        wide = rows.float()
        return (
            _equal(multiply_int8_rows(wide, packed), expected)
            and _equal(multiply_int8_rows(wide[:1], packed), expected[:1])
            and _is_fast(lambda: multiply_int8_rows(wide, packed), lambda: linear(wide, weight.float()))
        )

    return _passes(check)


def pack_int8_rows(weight: Tensor, scales: Tensor) -> Any:
    """Return an 8-bit weight, (out, in), with the scales of its rows, fp32 (out,), as FBGEMM keeps them."""
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():
        # torch warns that its quantized tensors will go; that is what the probe is for.
        warnings.simplefilter("ignore")
        scaled = torch._make_per_channel_quantized_tensor(weight, scales.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(scaled, None)


def multiply_int8_rows(rows: Tensor, packed: Any) -> Tensor:
    """Round fp32 numbers of -127..127, (rows, in), and multiply them by a weight and its scales; fp32."""
    # The kernel takes numbers of 0..255 of which 128 stands for zero; it makes them itself.
    out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(rows, 1.0, 128, packed)
    return out


# Products with 4-bit weights


@cache
def can_multiply_int4() -> bool:
    """Whether `pack_int4`, `multiply_int4` and `unpack_int4` are usable on this CPU."""
    if not has_avx512():
        return False  # the kernels for other processors have other layouts

    def check() -> bool:
        numbers, rows = _numbers((_COLUMNS, _COLUMNS), 0, 15), _numbers((4, _COLUMNS), -1, 1).bfloat16()
        rows[:, torch.arange(_COLUMNS) % 32 != 0] = 0  # sums of 16 products of at most 16 are exact in bf16
        factors = torch.zeros(_COLUMNS // 32, _COLUMNS, 2, dtype=torch.bfloat16)
        factors[..., 0] = 1 + (torch.arange(_COLUMNS // 32)[:, None] + torch.arange(_COLUMNS)) % 2
        weight = (numbers - 8) * factors[..., 0].t().repeat_interleave(32, 1)
        packed = pack_int4(numbers)
        return (
            _equal(unpack_int4(packed).t(), numbers)
            and _equal(multiply_int4(rows, packed, 32, factors), rows.double() @ weight.double().t())
            and _is_fast(lambda: multiply_int4(rows, packed, 32, factors), lambda: linear(rows, weight))
        )

    return _passes(check)


def has_avx512() -> bool:
    """Whether torch uses AVX-512 on this CPU."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


def pack_int4(numbers: Tensor) -> Tensor:
    """Pack whole numbers of 0..15, (out, in), as torch's 4-bit kernel reads them; uint8 (out, in / 2).

    `out` has to be a multiple of `INT4_BLOCK`.
    """
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers.int(), 1)
    return packed


def multiply_int4(rows: Tensor, packed: Tensor, group: int, factors: Tensor) -> Tensor:
    """Multiply by a 4-bit weight whose numbers n stand for (n - 8) * factor + zero.

    Args:
        rows: bf16 (rows, in).
        packed: From `pack_int4`.
        group: Columns that share a factor and a zero.
        factors: bf16 (in / group, out, 2), the factor and the zero of each group.

    Returns:
        bf16 (rows, out).
    """
    out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, packed, group, factors)
    return out


def unpack_int4(packed: Tensor) -> Tensor:
    """Return the numbers of 0..15 of a packed weight, int8 (in, out)."""
    out, columns = len(packed), 2 * packed.shape[1]
    # A byte holds one number of each half of a block of rows; eight bytes are taken apart at once.
    halves = packed.view(torch.int64).view(out // INT4_BLOCK, columns, -1).transpose(0, 1)
    numbers = torch.empty(columns, out // INT4_BLOCK, 2, INT4_BLOCK // 16, dtype=torch.int64)
    torch.bitwise_and(halves, _LOWER_HALVES, out=numbers[:, :, 0])
    torch.bitwise_and(halves >> 4, _LOWER_HALVES, out=numbers[:, :, 1])
    return numbers.view(torch.int8).view(columns, out)
