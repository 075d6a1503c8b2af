"""Other layers in place of the linear layers of a model. Knows torch modules, not what replaces them.

Layers with the same input, such as those of queries, keys and values, become one layer, so that the fixed
cost of a product is paid once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

__all__ = ["JoinedLayers", "find_joined", "join_biases", "multiply_all", "replace_linears"]

# Layers with the same input, in the order in which models call them.
_SAME_INPUT = (
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"),
    ("in_proj_qkvz", "in_proj_ba"),
)

# Tensors of a layer's experts, (experts, out, in) each.
_EXPERTS = ("gate_up_proj", "down_proj")


class JoinedLayers(nn.Module):
    """Several layers with the same input, as one layer.

    Attributes:
        layer: Its result, (..., out), is the results of the layers, one after the other.
        sizes: The part of `out` that belongs to each layer.
    """

    def __init__(self, layer: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.layer = layer
        self.sizes = sizes
        self._held = threading.local()  # several threads, one for each core, may run the model at once

    def part(self, rows: Tensor, index: int) -> Tensor:
        """Return the result of one of the layers; the first call computes it for all of them."""
        held = self._held
        if rows is not getattr(held, "rows", None):
            held.rows, held.products = rows, self.layer(rows).split(self.sizes, -1)
        product: Tensor = held.products[index]
        if index == len(self.sizes) - 1:
            del held.rows, held.products
        return product


class _Part(nn.Module):
    """One of several joined layers, for code that calls each, as that of transformers does."""

    def __init__(self, whole: JoinedLayers, index: int) -> None:
        super().__init__()
        self.whole = whole
        self._index = index

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return self.whole.part(rows, self._index)


def find_joined(layers: Sequence[nn.Module]) -> JoinedLayers | None:
    """Return the one layer that exactly these layers were joined to; None if there is none."""
    wholes = {layer.whole if isinstance(layer, _Part) else None for layer in layers}
    whole = wholes.pop()
    return whole if not wholes and whole and len(whole.sizes) == len(layers) else None


def multiply_all(layers: Sequence[nn.Module]) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return the products of layers with the same input: of one layer where they were joined."""
    whole = find_joined(layers)
    if whole is None:
        return lambda rows: [layer(rows) for layer in layers]
    product, sizes = whole.layer.forward, whole.sizes
    return lambda rows: product(rows).split_with_sizes(sizes, -1)


def replace_linears(
    model: nn.Module, make: Callable[[list[nn.Linear]], nn.Module], *, keep: Collection[str] = ()
) -> None:
    """Replace the plain linear layers of a model in place, one after the other, so that memory does not peak.

    Layers of other classes, such as quantized ones, stay as they are. Experts, whose matrices are one tensor,
    become a list of layers.

    Args:
        model: The model, or a part of one.
        make: Returns one layer whose result is the results of the given layers, one after the other.
        keep: Names of layers to leave alone.
    """
    # A list of parents, because a list of layers would keep every old one until the last is replaced.
    parents = [parent for parent in model.modules() if any(type(c) is nn.Linear for c in parent.children())]
    for experts in [module for module in model.modules() if has_expert_tensors(module)]:
        for name in _EXPERTS:
            _replace_experts(experts, name, make)
    for parent in parents:
        layers = {
            name: child
            for name, child in parent.named_children()
            if type(child) is nn.Linear and name not in keep
        }
        for group in _SAME_INPUT:
            names = [name for name in group if name in layers]
            if len(names) > 1:
                members = [layers.pop(name) for name in names]
                whole = JoinedLayers(make(members), [layer.out_features for layer in members])
                for index, name in enumerate(names):
                    setattr(parent, name, _Part(whole, index))
        for name, layer in layers.items():
            setattr(parent, name, make([layer]))


def has_expert_tensors(module: nn.Module) -> bool:
    """Return whether a module holds the matrices of all experts of a layer as two tensors."""
    return all(isinstance(getattr(module, name, None), nn.Parameter) for name in _EXPERTS)


def _replace_experts(experts: nn.Module, name: str, make: Callable[[list[nn.Linear]], nn.Module]) -> None:
    weights: Tensor = getattr(experts, name).detach()
    delattr(experts, name)
    layers = nn.ModuleList()
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layers.append(make([layer]))
    setattr(experts, name, layers)


def join_biases(layers: Sequence[nn.Linear]) -> Tensor | None:
    """Return the biases of layers, one after the other; None if they have none."""
    if layers[0].bias is None:
        return None
    return torch.cat([layer.bias.detach() for layer in layers])
