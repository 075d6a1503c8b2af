"""Mixtures of experts over a packed row: tokens grouped by expert. Knows torch modules.

The row is sorted by expert once, each expert that is used multiplies its tokens together, and the results go
back to their places at once. Experts that no token of the row chose cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

__all__ = ["SparseMlp"]

_Product = Callable[[Tensor], Tensor]


class SparseMlp:
    """The experts of one layer, of which a few read each token, and where it is there one that reads all.

    Args:
        module: A `modules.SparseMlp`, or the like of transformers, whose names are the same.
        shared: Computes the expert that reads all.
    """

    def __init__(self, module: Any, shared: _Product | None) -> None:
        self._router: Tensor = module.gate.weight.detach()
        self._per_token = int(module.gate.top_k)
        self._normalize = bool(getattr(module.gate, "norm_topk_prob", True))  # Qwen3.5 always does
        self._gate_up = _products(module.experts.gate_up_proj)
        self._down = _products(module.experts.down_proj)
        self._act: _Product = getattr(module.experts, "act_fn", silu)
        self._shared = shared
        self._share: _Product | None = module.shared_expert_gate.forward if shared else None

    def __call__(self, rows: Tensor) -> Tensor:
        """Compute; (1, T, hidden) to (1, T, hidden)."""
        flat = rows[0]
        out = self._compute(flat, *self._choose(flat))
        if self._shared and self._share:
            out = out + self._share(flat).sigmoid() * self._shared(flat)
        return out[None]

    def _choose(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of the chosen experts and their weights, both (T, per_token)."""
        weights, chosen = linear(rows, self._router).softmax(-1, dtype=torch.float).topk(self._per_token, -1)
        if self._normalize:
            weights = weights / weights.sum(-1, keepdim=True)
        return chosen, weights.to(rows.dtype)

    def _compute(self, rows: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of what the chosen experts give, (T, hidden)."""
        order = chosen.flatten().argsort(stable=True)
        counts = chosen.flatten().bincount(minlength=len(self._down)).tolist()
        grouped = rows[order // self._per_token]
        given = torch.empty_like(grouped)
        start = 0
        for number, count in enumerate(counts):
            if count:
                part = slice(start, start + count)
                gate, up = self._gate_up[number](grouped[part]).chunk(2, -1)
                given[part] = self._down[number](self._act(gate).mul_(up))
                start += count
        apart = torch.empty_like(given)
        apart[order] = given
        return (apart.view(*chosen.shape, rows.shape[-1]) * weights[..., None]).sum(1)


def _products(weights: Any) -> Sequence[_Product]:
    """The product of each expert: of one tensor, (experts, out, in), or of a layer for each."""
    if isinstance(weights, Tensor):
        return [partial(linear, weight=weight) for weight in weights.detach()]
    return [layer.forward for layer in weights]
