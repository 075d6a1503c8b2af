"""The weights of a loaded model, whatever they are laid out for."""

from __future__ import annotations

import torch

from qwen_agentkit.engine.weights.linear import _PackedLinear, _PlainLinear
from qwen_agentkit.engine.weights.replacing import _Part


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight under its name in transformers."""
    weights = {name: value for name, value in model.state_dict().items() if ".whole." not in name}
    for name, layer in model.named_modules(remove_duplicate=False):
        if isinstance(layer, _Part):
            start = sum(layer.whole.sizes[: layer._index])
            rows = slice(start, start + layer.whole.sizes[layer._index])
            weights |= {f"{name}.{key}": value[rows] for key, value in _of_layer(layer.whole.layer).items()}
        elif isinstance(layer, (_PackedLinear, _PlainLinear)) and ".whole." not in name:
            weights |= {f"{name}.{key}": value for key, value in _of_layer(layer).items()}
    return weights


def _of_layer(layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    if isinstance(layer, _PackedLinear):
        weight = layer._packed.to_dense()
    elif isinstance(layer, _PlainLinear):
        weight = layer._weight
    else:
        return layer.state_dict()
    return {"weight": weight} if layer._bias is None else {"weight": weight, "bias": layer._bias}
