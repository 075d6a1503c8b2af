"""The parts of a layer: norms, attention and MLPs over a packed row. Knows torch modules.

Each is made of a module that holds the weights, in this package's own classes or those of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.engine.forward.attention import attend
from qwen_agentkit.engine.forward.experts import SparseMlp
from qwen_agentkit.engine.model_config import PACKED_ARCHITECTURES
from qwen_agentkit.engine.weights.replacing import find_joined, multiply_all

__all__ = ["Attention", "Norm", "make_mlp", "rotate"]

# Gives queries and keys, (T, heads of both, dim), values, (T, key/value heads, dim), and gates like queries.
_Projection = Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]]


def make_mlp(module: Any) -> Callable[[Tensor], Tensor]:
    """Return what computes an MLP or a mixture of experts."""
    if hasattr(module, "gate_proj"):
        return _Mlp(module)
    return SparseMlp(module, _Mlp(module.shared_expert) if hasattr(module, "shared_expert") else None)


class Norm:
    """RMSNorm, computed in fp32 like the stock one. The weights of hybrids are distances from one.

    Args:
        modules: norms of the stock class.
        heads: as many rows beside each other belong to each of them; None when all do to the only one.
    """

    def __init__(self, *modules: Any, heads: Sequence[int] | None = None) -> None:
        self._centered = not hasattr(modules[0], "variance_epsilon")
        weights = [1 + m.weight.detach().float() if self._centered else m.weight.detach() for m in modules]
        self._weight = weights[0]
        if heads:
            self._weight = torch.cat([w.expand(some, -1) for w, some in zip(weights, heads, strict=True)])
        self._share = 1 / self._weight.shape[-1]
        epsilon = modules[0].eps if self._centered else modules[0].variance_epsilon
        self._epsilon = torch.tensor([epsilon], device=self._weight.device)

    def __call__(self, states: Tensor) -> Tensor:
        """Norm the last dimension."""
        wide = states.float()  # fp32 is not copied
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = torch.addcmul(self._epsilon, length, length, value=self._share).rsqrt_()
        normed = wide * scale if wide is states else wide.mul_(scale)
        if self._centered:
            return normed.mul_(self._weight).to(states.dtype)
        return normed.to(states.dtype).mul_(self._weight)


class Attention:
    """Grouped-query attention of a layer."""

    def __init__(self, module: Any) -> None:
        self._dim = int(module.head_dim)
        self._heads = int(module.config.num_attention_heads)
        self._groups = int(module.config.num_key_value_heads)
        plain = module.config.model_type in PACKED_ARCHITECTURES
        self._project = self._plain(module) if plain else self._gated(module)
        # Qwen2 has none.
        self._norm = (
            Norm(module.q_norm, module.k_norm, heads=(self._heads, self._groups))
            if hasattr(module, "q_norm")
            else None
        )
        self._scaling = float(module.scaling)
        self._output: Callable[[Tensor], Tensor] = module.o_proj.forward

    def __call__(
        self, rows: Tensor, cos: Tensor, sin: Tensor, *, lengths: Sequence[int], caches: Sequence[Any]
    ) -> Tensor:
        """The attention of a layer; `rows` and the result are (1, T, hidden)."""
        query, key, value, gate = self._prepare(rows[0], cos, sin)
        out = attend(query, key, value, self._scaling, lengths=lengths, caches=caches)
        return self._finish(out, gate)

    def _prepare(
        self, rows: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return queries, keys and values, (heads, T, dim), and gates, (T, heads, dim)."""
        turned, value, gate = self._project(rows)
        if self._norm:
            turned = self._norm(turned)
        turned = rotate(turned, cos, sin)
        query, key = turned.split_with_sizes([self._heads, self._groups], 1)
        query, key, value = (states.transpose(0, 1) for states in (query, key, value))
        return query, key, value, gate

    def _finish(self, out: Tensor, gate: Tensor | None) -> Tensor:
        """Return the output of the layer, (1, T, hidden), for what the heads read, (T, heads, dim)."""
        if gate is not None:
            out = out * gate.sigmoid()
        return self._output(out.flatten(1)[None])

    def _plain(self, module: Any) -> _Projection:
        """Products of Qwen2 and Qwen3."""
        layers = [module.q_proj, module.k_proj, module.v_proj]
        whole = find_joined(layers)
        sizes = [self._heads + self._groups, self._groups]

        def apart(rows: Tensor) -> tuple[Tensor, Tensor, None]:
            query, key, value = (torch.unflatten(layer(rows), -1, (-1, self._dim)) for layer in layers)
            return torch.cat((query, key), 1), value, None

        if whole is None:
            return apart
        product: Callable[[Tensor], Tensor] = whole.layer.forward

        def together(rows: Tensor) -> tuple[Tensor, Tensor, None]:
            turned, value = product(rows).view(len(rows), -1, self._dim).split_with_sizes(sizes, 1)
            return turned, value, None

        return together

    def _gated(self, module: Any) -> _Projection:
        """Products of hybrids: each head's query is followed by the gate of its result."""
        product = multiply_all([module.q_proj, module.k_proj, module.v_proj])

        def project(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            both, key, value = (states.view(len(rows), -1, self._dim) for states in product(rows))
            query, gate = torch.unflatten(both, 1, (-1, 2)).unbind(2)
            return torch.cat((query, key), 1), value, gate

        return project


class _Mlp:
    def __init__(self, module: Any) -> None:
        self._project = multiply_all([module.gate_proj, module.up_proj])
        self._act: Callable[[Tensor], Tensor] = module.act_fn
        self._down: Callable[[Tensor], Tensor] = module.down_proj.forward

    def __call__(self, rows: Tensor) -> Tensor:
        gate, up = self._project(rows)
        return self._down(self._act(gate).mul_(up))


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of (T, heads, dim); halves are rotated, not pairs.

    `cos` and `sin` are (T, 1, width), and `sin` has its sign changed in the first half. Hybrids rotate the
    first `width` numbers of a head only.
    """
    width = cos.shape[-1]
    if width < states.shape[-1]:
        turned, rest = states[..., :width], states[..., width:]
        return torch.cat((rotate(turned, cos, sin), rest), -1)
    return torch.addcmul(states * cos, states.roll(width // 2, -1), sin)
