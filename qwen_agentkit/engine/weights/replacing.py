"""Other layers in place of the linear ones of a model. Knows torch modules, nothing of what replaces them.

Layers that read the same rows, such as those of queries, keys and values, become one: what is done once for
every product is then done once for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Joined", "biases", "joined", "replace_linears"]

# Layers that read the same rows, the last to be asked last.
_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class Joined(nn.Module):
    """Layers that read the same rows, as one layer.

    Attributes:
        layer: gives (..., out), what the layers give one after the other.
        sizes: how much of that is of each.
    """

    def __init__(self, layer: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.layer = layer
        self.sizes = sizes
        self._held = threading.local()  # a core each may run the model at once

    def product(self, rows: Tensor, index: int) -> Tensor:
        """What one of the layers gives; computed for all of them when the first asks."""
        held = self._held
        if rows is not getattr(held, "rows", None):
            held.rows, held.products = rows, self.layer(rows).split(self.sizes, -1)
        product: Tensor = held.products[index]
        if index == len(self.sizes) - 1:
            del held.rows, held.products
        return product


class _Part(nn.Module):
    """One of the layers that were joined, for code that asks for each, as transformers' own does."""

    def __init__(self, whole: Joined, index: int) -> None:
        super().__init__()
        self.whole = whole
        self._index = index

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply; (..., in) to (..., out)."""
        return self.whole.product(rows, self._index)


def joined(layers: Sequence[nn.Module]) -> Joined | None:
    """The one layer that gives what these give, one after the other; None where there is none."""
    wholes = {layer.whole if isinstance(layer, _Part) else None for layer in layers}
    whole = wholes.pop()
    return whole if not wholes and whole and len(whole.sizes) == len(layers) else None


def replace_linears(
    model: nn.Module, make: Callable[[list[nn.Linear]], nn.Module], *, kept: Collection[str] = ()
) -> None:
    """Replace the plain linear layers of a model in place, one after the other, so that memory does not peak.

    Layers of other classes, such as quantised ones, stay as they are.

    Args:
        model: where to look.
        make: returns one layer that gives what these give, one after the other.
        kept: names of layers to leave alone.
    """
    # Only parents are listed, or every old layer would be kept until the last is replaced.
    parents = [parent for parent in model.modules() if any(type(c) is nn.Linear for c in parent.children())]
    for parent in parents:
        layers = {
            name: child
            for name, child in parent.named_children()
            if type(child) is nn.Linear and name not in kept
        }
        for together in _TOGETHER:
            names = [name for name in together if name in layers]
            if len(names) > 1:
                apart = [layers.pop(name) for name in names]
                whole = Joined(make(apart), [layer.out_features for layer in apart])
                for index, name in enumerate(names):
                    setattr(parent, name, _Part(whole, index))
        for name, layer in layers.items():
            setattr(parent, name, make([layer]))


def biases(layers: Sequence[nn.Linear]) -> Tensor | None:
    """The biases of layers, one after the other; None when they have none."""
    if layers[0].bias is None:
        return None
    return torch.cat([layer.bias.detach() for layer in layers])
