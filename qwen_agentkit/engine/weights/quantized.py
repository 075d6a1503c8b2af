"""Weights in 8 and in 4 bits, for CPUs. Knows torch modules and kernels, no prompts.

In "int8" a row of a weight and a row of activations are each scaled to whole numbers of -127..127 and
multiplied exactly; what one row gives does not depend on the rows beside it. Fine activations, in 16 bits,
are two such rows, the second for what the first leaves; both meet the weights in one product. In "int4"
groups of 32 weights share a scale, which is a whole number of -15..15 times that of their row: a few rows of
activations read the 4 bits as they are; for more the weights are widened to 8 bits, which loses nothing, and
the activations rounded as in "int8".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from qwen_agentkit.engine.checkpoint.config import Config
from qwen_agentkit.engine.computing import compute
from qwen_agentkit.engine.forward.modules import Model
from qwen_agentkit.engine.weights.quantized_gpu import check_gpu_quantization
from qwen_agentkit.engine.weights.replacing import biases, replace_linears
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["check_quantization", "cpu_quantizations", "quantize_model"]

# Weights that share a scale in 4 bits; columns of a layer are a multiple of it.
_GROUP = 32

# Rows of a weight that torch's kernel for AVX-512 keeps together.
_BLOCK = 64

# The lower half of each of eight bytes.
_LOW = 0x0F0F0F0F0F0F0F0F

# Up to so many rows of activations, reading 4 bits is faster than widening them (measured).
_FEW = 16

# Rows of activations that are multiplied at once: what is computed around a product stays in the cache.
_MANY = 512

# Weights that are rounded at once.
_PART = 2**18


def check_quantization(wanted: str, config: Config, device: str) -> None:
    """Refuse a quantisation that there is not, or that this checkpoint or this processor cannot be run in.

    Raises:
        InputError: there is no such one, or the processor cannot run it.
        ModelUnsupportedError: the checkpoint is quantised already, or mixes experts.
        MissingExtraError: what it needs on a GPU is not installed.
    """
    if wanted not in ("int8", "int4", "fp8"):
        raise InputError(f"Unknown quantize={wanted!r}; expected 'int8', 'int4' or 'fp8', or None for none.")
    if getattr(config, "quantization_config", None) is not None:
        raise ModelUnsupportedError(
            f"quantize={wanted!r}, but the weights of this checkpoint are quantised already. "
            "Leave quantize out, or take the checkpoint that it was made from."
        )
    if "moe" in config.model_type or getattr(config.get_text_config(), "num_experts", None):
        raise ModelUnsupportedError(
            f"quantize={wanted!r} does not reach the experts of {config.model_type!r}, which are most of its "
            "weights. Leave quantize out, or take a dense checkpoint such as 'Qwen/Qwen3-8B'."
        )
    kind = torch.device(device).type
    if kind == "cpu":
        _check_cpu(wanted)
    elif kind == "cuda":
        check_gpu_quantization(wanted, device)
    else:
        raise InputError(
            f"quantize={wanted!r} runs on CPUs and NVIDIA GPUs, not on {device!r}. Leave it out, or pass "
            "device='cpu'."
        )


def cpu_quantizations() -> tuple[str, ...]:
    """Values of `quantize` that this processor runs: all of int8 and int4, the first alone, or none."""
    if not _multiplies_exactly():
        return ()
    return ("int8", "int4") if _has_avx512() else ("int8",)


def _has_avx512() -> bool:
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


def _check_cpu(wanted: str) -> None:
    if wanted == "fp8":
        raise InputError(
            "quantize='fp8' needs an NVIDIA GPU of compute capability 8.9 or newer. On a CPU pass 'int8', or "
            "'int4' for a chat model."
        )
    if not _multiplies_exactly():
        raise InputError(
            f"quantize={wanted!r} needs a CPU that multiplies 8-bit numbers exactly (VNNI); this one does "
            "not. Leave quantize out."
        )
    if wanted == "int4" and not _has_avx512():
        raise InputError("quantize='int4' needs a CPU with AVX-512, and this has none. Pass quantize='int8'.")


@cache
def _multiplies_exactly() -> bool:
    """Whether the largest products come out right: processors before VNNI add them up in 16 bits."""

    def multiplies() -> bool:
        left, right = torch.full((32, 64), 127, dtype=torch.int8), torch.full((64, 64), -127).to(torch.int8)
        try:
            return bool((torch._int_mm(left, right.t()) == -127 * 127 * 64).all())
        except RuntimeError:  # a build of torch without the kernel
            return False

    return compute("cpu", multiplies)


@cache
def _has_layout() -> bool:
    """Whether oneDNN multiplies its layout of 8-bit weights, exactly and no slower than torch a plain one.

    Where it has no kernel for a processor it takes a thousand times as long, and nothing else tells.
    """
    weight, ones = torch.full((512, 512), -127, dtype=torch.int8), torch.ones(512)
    seconds = []
    try:
        for product in (_plain_product(weight.t(), ones), _laid_out(weight, ones)):
            times = []
            for _ in range(4):
                numbers = torch.full((64, 512), 127, dtype=torch.int8)
                start = time.perf_counter()
                products = product(numbers, torch.float32)
                times.append(time.perf_counter() - start)
            seconds.append(min(times))
    except (AttributeError, RuntimeError):  # a build of torch without it
        return False
    return bool((products == -127 * 127 * 512).all()) and seconds[1] < 2 * seconds[0]


# What gives the product of whole numbers of -127..127, (rows, in), and of 8-bit weights, times the scales.
_Product = Callable[[Tensor, torch.dtype], Tensor]


def _plain_product(weight: Tensor, scales: Tensor) -> _Product:
    """With weights as they are, (in, out): the fastest for one row."""

    def product(numbers: Tensor, _: torch.dtype) -> Tensor:
        return torch._int_mm(numbers, weight).float().mul_(scales)

    return product


def _laid_out(weight: Tensor, scales: Tensor) -> _Product:
    """With weights, (out, in), in oneDNN's own layout: many rows come out scaled and in their number type."""
    packed = torch.ops.onednn.qlinear_prepack(weight, [_MANY, weight.shape[1]])
    zeros = torch.zeros(len(scales), dtype=torch.int32)

    def product(numbers: Tensor, dtype: torch.dtype) -> Tensor:
        # Its fast kernels want numbers of 0..255 and what stands for zero: turning the sign bit adds 128.
        positive = numbers.view(torch.uint8).bitwise_xor_(128)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            positive, 1.0, 128, packed, scales, zeros, None, 1.0, 0, dtype, "none", [], ""
        )
        return out

    return product


class _Int8Linear(nn.Module):
    """A linear layer of 8-bit weights, (out, in), with a scale a row.

    Args:
        weight: whole numbers.
        scales: of its rows.
        bias: as it was.
        fine: see `quantize_model`.
        many: lay the weights out for many rows, where this CPU has that.
    """

    def __init__(
        self, weight: Tensor, scales: Tensor, bias: Tensor | None, *, fine: bool, many: bool
    ) -> None:
        super().__init__()
        self._fine = fine
        self._bias = None if bias is None else bias.float()
        if many and _has_layout():
            self._product = _laid_out(weight, scales)
        else:
            self.register_buffer("weight", weight)
            self._product = _plain_product(weight.t(), scales)

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return _multiply(rows, self._product, self._bias, fine=self._fine)


class _Int4Linear(nn.Module):
    """A linear layer of 4-bit weights, packed as torch's kernel reads them, with a scale a group."""

    packed: Tensor
    scales: Tensor
    factors: Tensor
    bias: Tensor | None

    def __init__(self, weights: Sequence[Tensor], bias: Tensor | None) -> None:
        super().__init__()
        out, columns = _rows(weights), weights[0].shape[1]
        self.register_buffer("packed", torch.empty(out, columns // 2, dtype=torch.uint8))
        self.register_buffer("scales", torch.empty(out))
        # The kernel wants a scale and a zero for each group.
        self.register_buffer("factors", torch.zeros(columns // _GROUP, out, 2, dtype=torch.bfloat16))
        self.register_buffer("bias", None if bias is None else bias.float())
        for part, rows in _parts(weights):
            steps, scales, numbers = _four_bits(rows)
            pack = torch.ops.aten._convert_weight_to_int4pack_for_cpu
            self.packed[part] = pack((numbers + 8).int(), 1)
            self.scales[part] = scales[:, 0]
            self.factors[:, part, 0] = (steps * scales).t()

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        flat = rows.reshape(-1, rows.shape[-1])
        if len(flat) > _FEW:
            return _multiply(rows, _plain_product(self._widened(), self.scales), self.bias, fine=False)
        out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            flat.bfloat16(), self.packed, _GROUP, self.factors
        )
        if self.bias is not None:
            out = out + self.bias
        return out.to(rows.dtype).view(*rows.shape[:-1], out.shape[-1])

    def _widened(self) -> Tensor:
        """The weights in 8 bits, (in, out)."""
        # Rounding makes them the whole numbers again that they were before they were 16 bits.
        steps = (self.factors[..., 0] / self.scales).round_().to(torch.int8)
        groups, out = steps.shape
        # A byte holds a number of each half of a block of rows; eight bytes are taken apart at once.
        halves = self.packed.view(torch.int64).view(out // _BLOCK, groups * _GROUP, -1).transpose(0, 1)
        wide = torch.empty(groups * _GROUP, out // _BLOCK, 2, _BLOCK // 16, dtype=torch.int64)
        torch.bitwise_and(halves, _LOW, out=wide[:, :, 0])
        torch.bitwise_and(halves >> 4, _LOW, out=wide[:, :, 1])
        numbers = wide.view(torch.int8).view(groups, _GROUP, out)
        return numbers.sub_(8).mul_(steps[:, None]).view(groups * _GROUP, out)


class _Int8Table(nn.Module):
    """Embeddings of tokens in 8 bits, (tokens, hidden), with a scale a row."""

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


def quantize_model(
    model: Model, quantization: str, dtype: torch.dtype, *, with_tables: bool, fine: bool
) -> None:
    """Replace the linear layers of a model in place, one after the other, so that memory does not peak.

    What does not fit 4 bits, rows that are no multiple of 64 or columns of 32, gets 8.

    Args:
        model: as it was loaded, in the number type of its files.
        quantization: "int8" or "int4".
        dtype: number type of all that is not quantised, and of what layers give.
        with_tables: in 8 bits also the embeddings and the language model head, once where it is the same.
        fine: activations in 16 bits, not 8: as exact as none quantised, and up to half as fast. In "int8" the
            weights that make keys, which are few, stay as they are: all attention hangs on them.
    """
    four = quantization == "int4"
    rounded = partial(_quantized, four=four, fine=fine, many=not with_tables)
    if with_tables:
        _quantize_tables(model, dtype)
    replace_linears(model.base_model, rounded, kept=["k_proj"] if fine and not four else [])
    for weight in model.parameters():
        # A copy, since one small view would keep the whole file of weights in memory.
        weight.data = weight.data.to(dtype, copy=True)


def _quantize_tables(model: Model, dtype: torch.dtype) -> None:
    table: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    numbers, scales = _eight_bits([table.weight.detach()])
    model.set_input_embeddings(_Int8Table(numbers, scales, dtype))
    if head is not None:
        if head.weight is not table.weight:
            numbers, scales = _eight_bits([head.weight.detach()])
        rounded = _Int8Linear(numbers, scales, head.bias, fine=False, many=False)
        model.set_output_embeddings(rounded)


def _quantized(layers: list[nn.Linear], *, four: bool, fine: bool, many: bool) -> nn.Module:
    """One layer that gives what these give, one after the other."""
    weights = [layer.weight.detach() for layer in layers]
    bias = biases(layers)
    if four and all(len(weight) % _BLOCK == 0 == weight.shape[1] % _GROUP for weight in weights):
        return _Int4Linear(weights, bias)
    return _Int8Linear(*_eight_bits(weights), bias, fine=fine, many=many)


def _rows(weights: Sequence[Tensor]) -> int:
    return sum(len(weight) for weight in weights)


def _parts(weights: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """The rows of all weights, fp32, few at a time, and where they stand.

    Rounding them takes several times their memory, and pieces of many sizes would stay with the process.
    """
    start = 0
    for weight in weights:
        few = max(_PART // weight.shape[1] // _BLOCK, 1) * _BLOCK
        for first in range(0, len(weight), few):
            rows = weight[first : first + few]
            yield slice(start + first, start + first + len(rows)), rows.float()
        start += len(weight)


def _eight_bits(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Whole numbers of -127..127, (out, in), and the scale of each row."""
    numbers = torch.empty(_rows(weights), weights[0].shape[1], dtype=torch.int8)
    scales = torch.empty(len(numbers))
    for part, rows in _parts(weights):
        scaled, steps = _scaled(rows)
        numbers[part] = scaled.round_()
        scales[part] = steps[:, 0]
    return numbers, scales


def _four_bits(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of -15..15 of each group, (out, groups), scales, (out, 1), and numbers of -8..7, (out, in)."""
    groups = weight.view(len(weight), -1, _GROUP)
    largest = groups.gather(2, groups.abs().argmax(2, keepdim=True))[..., 0]
    wanted = largest / -8  # there is one more number below zero than above it: the largest is there
    scales = (wanted.abs().amax(1, keepdim=True) / 15).clamp_(min=1e-12)
    steps = (wanted / scales).round_()
    factors = torch.where(steps == 0, torch.inf, steps * scales)
    numbers = (groups / factors[..., None]).round_().clamp_(-8, 7)
    return steps, scales, numbers.view_as(weight)


def _scaled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows scaled to -127..127, fp32, and the step from one whole number to the next of each, (rows, 1).

    For rows in bf16 the steps are exact in bf16.
    """
    wide = rows.float()
    steps = wide.abs().amax(1, keepdim=True).clamp_(min=1e-12).mul_(1 / 127)
    if rows.dtype == torch.bfloat16:
        steps = steps.bfloat16().float()
    return wide * steps.reciprocal(), steps


def _multiply(rows: Tensor, product: _Product, bias: Tensor | None, *, fine: bool) -> Tensor:
    """Multiply (..., in) by 8-bit weights; (..., out) in the number type of `rows`."""
    flat = rows.reshape(-1, rows.shape[-1])
    if len(flat) > _MANY:
        whole = torch.cat([_multiply(part, product, bias, fine=fine) for part in torch.split(flat, _MANY)])
        return whole.view(*rows.shape[:-1], -1)
    scaled, steps = _scaled(flat)
    if fine:
        numbers = scaled.round()
        rest = scaled.sub_(numbers).mul_(2 * 127).round_()
        both = product(torch.cat([numbers, rest]).to(torch.int8), torch.float32)
        out = both[len(steps) :].div_(2 * 127).add_(both[: len(steps)])
    else:
        # Products that have not met their steps yet can be too large for fp16.
        wanted = torch.float32 if rows.dtype == torch.float16 else rows.dtype
        out = product(scaled.round_().to(torch.int8), wanted)
    out = out.mul_(steps.to(out.dtype))
    if bias is not None:
        out += bias
    return out.to(rows.dtype).view(*rows.shape[:-1], out.shape[-1])  # there may be no rows
