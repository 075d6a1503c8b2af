"""Other layers in place of the linear layers of a model. Knows torch modules, not what replaces them.

Layers with the same input, such as those of queries, keys and values, become one layer, so that the fixed
cost of a product is paid once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

__all__ = ["JoinedLayers", "find_joined", "join_biases", "replace_linears"]

# Layers with the same input, in the order in which models call them.
_SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


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


def replace_linears(
    model: nn.Module, make: Callable[[list[nn.Linear]], nn.Module], *, keep: Collection[str] = ()
) -> None:
    """Replace the plain linear layers of a model in place, one after the other, so that memory does not peak.

    Layers of other classes, such as quantized ones, stay as they are.

    Args:
        model: The model, or a part of one.
        make: Returns one layer whose result is the results of the given layers, one after the other.
        keep: Names of layers to leave alone.
    """
    # A list of parents, because a list of layers would keep every old one until the last is replaced.
    parents = [parent for parent in model.modules() if any(type(c) is nn.Linear for c in parent.children())]
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


def join_biases(layers: Sequence[nn.Linear]) -> Tensor | None:
    """Return the biases of layers, one after the other; None if they have none."""
    if layers[0].bias is None:
        return None
    return torch.cat([layer.bias.detach() for layer in layers])
