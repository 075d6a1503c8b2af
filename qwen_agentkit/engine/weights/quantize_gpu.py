"""Weights in 8 and 4 bits on NVIDIA GPUs, by torchao. Knows torch modules, no prompts.

- "int8" rounds each row of a weight, and products widen it again: half the memory, but no more speed.
- "int4" rounds groups of 32 weights, which torch's own kernel reads as they are.
- "fp8" also rounds activations, row by row, for tensor cores that multiply 8-bit floats.

Embeddings and the head stay as they are.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from qwen_agentkit.errors import InputError, MissingExtraError

if TYPE_CHECKING:  # slow to import
    from transformers import PreTrainedModel

__all__ = ["check_gpu_quantization", "quantize_on_gpu"]

# The oldest compute capability whose tensor cores run each.
_CAPABILITIES = {"int8": (7, 5), "int4": (8, 0), "fp8": (8, 9)}

# Weights that share a scale in 4 bits, as on CPUs; kernels for tensor cores take multiples of it, too.
_GROUP = 32


def check_gpu_quantization(wanted: str, device: str) -> None:
    """Refuse a quantization that a GPU cannot run, or that needs torchao where it is not installed.

    Raises:
        InputError: The GPU is too old.
        MissingExtraError: The extra `torchao` is not installed.
    """
    if find_spec("torchao") is None:
        raise MissingExtraError(
            f"quantize={wanted!r} on a GPU needs torchao: pip install 'qwen-agentkit[torchao]'"
        )
    found, needed = torch.cuda.get_device_capability(device), _CAPABILITIES[wanted]
    if found < needed:
        able = next((name for name, least in _CAPABILITIES.items() if least <= found), None)
        raise InputError(
            f"quantize={wanted!r} needs a GPU of compute capability {needed[0]}.{needed[1]} or newer; "
            f"{device!r} has {found[0]}.{found[1]}. "
            + (f"Pass quantize={able!r}." if able else "Leave quantize out.")
        )


def quantize_on_gpu(model: PreTrainedModel, quantization: str, device: torch.device) -> None:
    """Move a model to a device; each linear layer is rounded there before the next one comes.

    The device never holds all layers in 16 bits. Layers with sizes that no kernel takes stay as they are.

    Args:
        model: As it was loaded.
        quantization: "int8", "int4" or "fp8".
        device: A GPU; "int8" runs anywhere.
    """
    from torchao.quantization import quantize_  # an extra

    def fits(module: nn.Module, _: str) -> bool:
        if not isinstance(module, nn.Linear):
            return False
        return module.out_features % _GROUP == 0 == module.in_features % _GROUP

    for weight in model.parameters():  # not buffers: the frequencies of positions stay in fp32
        weight.data = weight.data.to(torch.bfloat16)  # the only type that the kernels of torchao take
    quantize_(model.base_model, _config(quantization), filter_fn=fits, device=device)
    nn.Module.to(model, device)  # transformers' own method has no types


def _config(quantization: str) -> Any:
    """Return how torchao rounds, without its settings for `torch.compile`, which are global."""
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int4WeightOnlyConfig,
        Int8WeightOnlyConfig,
        PerRow,
    )

    if quantization == "int8":
        return Int8WeightOnlyConfig(set_inductor_config=False)
    if quantization == "fp8":
        return Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    return Int4WeightOnlyConfig(
        group_size=_GROUP,
        int4_packing_format="tile_packed_to_4d",  # the kernel that torch itself has
        int4_choose_qparams_algorithm="hqq",
        set_inductor_config=False,
    )
