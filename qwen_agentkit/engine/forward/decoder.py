"""The decoder of Qwen2 and Qwen3, dense and MoE, over a packed row. Knows torch modules.

Weights are those of stock transformers, and so are the numbers, to rounding. What is between the matrix
products passes over memory less often than there, the last layer finishes only the positions that are read,
and modules are looked up once, not at every step: for one row that takes as long as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from qwen_agentkit.engine.device_thread import raise_if_cancelled
from qwen_agentkit.engine.forward.attention import Segment, attend
from qwen_agentkit.engine.forward.kv import LayerCache
from qwen_agentkit.engine.weights.replacing import find_joined

__all__ = ["Decoder", "pack_decoder"]

# What gives the pieces of one product, or the products of several layers; each is (..., out).
_Projection = Callable[[Tensor], Sequence[Tensor]]


def pack_decoder(model: PreTrainedModel) -> None:
    """Let a `Decoder` be the `forward` of a model's own; the last thing to be done to its layers."""
    decoder: Any = model.base_model
    decoder.forward = Decoder(decoder)


class Decoder:
    """The decoder of a model, for packed rows.

    Attributes:
        device: where its weights are.
    """

    def __init__(self, decoder: Any) -> None:
        self.device: torch.device = decoder.norm.weight.device
        self._embed: Callable[[Tensor], Tensor] = decoder.embed_tokens.forward
        self._rotary: Callable[..., tuple[Tensor, Tensor]] = decoder.rotary_emb.forward
        self._layers = [_Layer(layer) for layer in decoder.layers]
        self._norm = _Norm(decoder.norm)

    def __call__(self, input_ids: Tensor, position_ids: Tensor, segments: Sequence[Segment]) -> Tensor:
        """Run a row of segments.

        Args:
            input_ids: of its tokens, (1, T).
            position_ids: of each in its sequence, (1, T).
            segments: that it is made of.

        Returns:
            The hidden states that are read, after the final norm, (1, rows, hidden).
        """
        rows = self._embed(input_ids)
        cos, sin = (table[0, :, None] for table in self._rotary(rows, position_ids))
        sin[..., : sin.shape[-1] // 2].neg_()
        last = len(self._layers) - 1
        lengths = [len(segment.tokens) for segment in segments]
        caches = [segment.layers(last + 1) for segment in segments]
        for number, layer in enumerate(self._layers):
            raise_if_cancelled()
            seen = [of_layers[number] for of_layers in caches]
            attended = layer.attention(layer.before(rows), cos, sin, lengths=lengths, caches=seen)
            if number == last:
                read = _read_positions(segments, rows.device)
                rows, attended = rows[:, read], attended[:, read]
            rows = rows + attended
            rows = rows + layer.mlp(layer.between(rows))
        return self._norm(rows)


class _Layer:
    def __init__(self, layer: Any) -> None:
        self.before = _Norm(layer.input_layernorm)
        self.attention = _Attention(layer.self_attn)
        self.between = _Norm(layer.post_attention_layernorm)
        dense = hasattr(layer.mlp, "gate_proj")
        self.mlp: Callable[[Tensor], Tensor] = _Mlp(layer.mlp) if dense else layer.mlp


class _Norm:
    """RMSNorm, computed in fp32 like the stock one.

    Args:
        modules: norms of the stock class.
        heads: as many rows beside each other belong to each of them; None when all do to the only one.
    """

    def __init__(self, *modules: Any, heads: Sequence[int] | None = None) -> None:
        weights = [module.weight.detach() for module in modules]
        self._weight = weights[0]
        if heads:
            self._weight = torch.cat([w.expand(some, -1) for w, some in zip(weights, heads, strict=True)])
        self._share = 1 / self._weight.shape[-1]
        self._epsilon = torch.tensor([modules[0].variance_epsilon], device=self._weight.device)

    def __call__(self, states: Tensor) -> Tensor:
        wide = states.float()  # fp32 is not copied
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = torch.addcmul(self._epsilon, length, length, value=self._share).rsqrt_()
        normed = wide * scale if wide is states else wide.mul_(scale).to(states.dtype)
        return normed.mul_(self._weight)


class _Attention:
    def __init__(self, module: Any) -> None:
        layers = [module.q_proj, module.k_proj, module.v_proj]
        self._dim = int(module.head_dim)
        self._heads = int(module.config.num_attention_heads)
        self._groups = int(module.config.num_key_value_heads)
        sizes = [(self._heads + self._groups) * self._dim, self._groups * self._dim]
        self._project = _cut(layers, sizes) or partial(_query_key_value, layers)
        # Qwen3's; Qwen2 has none.
        self._norm = (
            _Norm(module.q_norm, module.k_norm, heads=(self._heads, self._groups))
            if hasattr(module, "q_norm")
            else None
        )
        self._scaling = float(module.scaling)
        self._output: Callable[[Tensor], Tensor] = module.o_proj.forward

    def __call__(
        self,
        rows: Tensor,
        cos: Tensor,
        sin: Tensor,
        *,
        lengths: Sequence[int],
        caches: Sequence[LayerCache | None],
    ) -> Tensor:
        """The attention of a layer; `rows` and the result are (1, T, hidden)."""
        turned, value = (states.view(rows.shape[1], -1, self._dim) for states in self._project(rows))
        if self._norm:
            turned = self._norm(turned)
        turned = _rotate(turned, cos, sin)
        query, key = turned.split_with_sizes([self._heads, self._groups], 1)
        query, key, value = (states.transpose(0, 1) for states in (query, key, value))
        out = attend(query, key, value, self._scaling, lengths=lengths, caches=caches)
        return self._output(out.flatten(1)[None])


class _Mlp:
    def __init__(self, module: Any) -> None:
        gate, up = module.gate_proj, module.up_proj
        self._project = _cut([gate, up]) or (lambda rows: (gate(rows), up(rows)))
        self._act: Callable[[Tensor], Tensor] = module.act_fn
        self._down: Callable[[Tensor], Tensor] = module.down_proj.forward

    def __call__(self, rows: Tensor) -> Tensor:
        gate, up = self._project(rows)
        return self._down(self._act(gate).mul_(up))


def _cut(layers: Sequence[nn.Module], sizes: list[int] | None = None) -> _Projection | None:
    """The product of joined layers, cut to these sizes, by default each layer's; None if they are apart."""
    whole = find_joined(layers)
    if whole is None:
        return None
    product: Callable[[Tensor], Tensor] = whole.layer.forward
    pieces = sizes or whole.sizes
    return lambda rows: product(rows).split_with_sizes(pieces, -1)


def _query_key_value(layers: Sequence[nn.Module], rows: Tensor) -> Sequence[Tensor]:
    """Queries and keys beside each other, and values."""
    query, key, value = (layer(rows) for layer in layers)
    return torch.cat((query, key), -1), value


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of (T, heads, dim); halves are rotated, not pairs.

    `cos` and `sin` are (T, 1, dim), and `sin` has its sign changed in the first half.
    """
    half = states.shape[-1] // 2
    return torch.addcmul(states * cos, states.roll(half, -1), sin)


def _read_positions(segments: Sequence[Segment], device: torch.device) -> Tensor:
    positions: list[int] = []
    end = 0
    for segment in segments:
        end += len(segment.tokens)
        positions.extend(range(end - segment.read, end))
    return torch.tensor(positions, dtype=torch.long, device=device)
