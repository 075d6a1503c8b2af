"""The weights of a loaded model, whatever they are laid out for."""

from __future__ import annotations

import torch

from qwen_agentkit.engine.linear import _PackedLinear


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight under its name in transformers."""
    weights = dict(model.state_dict())
    for name, layer in model.named_modules():
        if isinstance(layer, _PackedLinear):
            weights[f"{name}.weight"] = layer._packed.to_dense()
            if layer._bias is not None:
                weights[f"{name}.bias"] = layer._bias
    return weights
