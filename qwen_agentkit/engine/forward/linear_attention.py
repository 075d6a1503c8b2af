"""Linear attention of hybrid models: Gated DeltaNet over a packed row. Knows torch modules.

A short convolution mixes neighboring tokens, then the gated delta rule takes the place of attention. Both
remember a fixed amount, whatever the length of the text. Weights are those of transformers' modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from qwen_agentkit.engine.forward.delta import delta_rule, delta_steps
from qwen_agentkit.engine.forward.states import State, StepStates
from qwen_agentkit.engine.weights.replacing import multiply_all

__all__ = ["LinearAttention", "convolve"]

# Tokens that are convolved at once: they stay in the cache of a CPU.
_BLOCK = 64

_EPSILON = 1e-6

_Projection = Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]


class LinearAttention:
    """One layer of linear attention.

    Args:
        module: A Gated DeltaNet of transformers.
        layer: Its number, by which its states are kept.
    """

    def __init__(self, module: Any, layer: int) -> None:
        from transformers.activations import ACT2FN  # slow to import, and most checkpoints do without

        self._layer = layer
        self._key_heads, self._key_dim = int(module.num_k_heads), int(module.head_k_dim)
        self._value_heads, self._value_dim = int(module.num_v_heads), int(module.head_v_dim)
        keys = self._key_heads * self._key_dim
        self._sizes = [keys, keys, self._value_heads * self._value_dim]
        self._project: _Projection = (
            self._project_together(module) if hasattr(module, "in_proj_qkvz") else self._project_apart(module)
        )
        self._filter = module.conv1d.weight.detach()[:, 0].t().float().contiguous()  # (kernel, channels)
        self._act: Callable[[Tensor], Tensor] = ACT2FN[module.activation]
        self._rate = -module.A_log.detach().float().exp()
        self._shift = module.dt_bias.detach().float()
        self._norm = _GatedNorm(module.norm, ACT2FN[module.norm.activation])
        self._output: Callable[[Tensor], Tensor] = module.out_proj.forward

    def __call__(
        self, rows: Tensor, cos: Tensor, sin: Tensor, *, lengths: Sequence[int], caches: Sequence[Any]
    ) -> Tensor:
        """Run a row of segments, (1, T, hidden), each with `StepStates` or None; positions do not count."""
        mixed, gate, strength, pace = self._project(rows[0])
        beta = strength.sigmoid().float()
        decay = self._rate * softplus(pace.float() + self._shift)
        out = torch.empty(len(mixed), self._value_heads, self._value_dim, device=rows.device)
        single: list[tuple[int, StepStates | None]] = []
        start = 0
        for length, states in zip(lengths, caches, strict=True):
            part = slice(start, start + length)
            if length == 1:
                single.append((start, states))
            else:
                out[part] = self._read_many(mixed[part], decay[part], beta[part], states)
            start += length
        if single:
            places = [place for place, _ in single]
            out[places] = self._read_one_each(mixed, decay, beta, places, [states for _, states in single])
        return self._output(self._norm(out, gate).flatten(1).to(rows.dtype)[None])

    def _read_many(self, mixed: Tensor, decay: Tensor, beta: Tensor, states: StepStates | None) -> Tensor:
        """Read the tokens of one segment, in parts after which its states are kept."""
        before, state = self._before(states, mixed)
        row = torch.cat((before, mixed))
        query, key, value = self._heads(convolve(row, self._filter))
        ends = states.ends if states else []
        out = torch.empty_like(value)
        start = 0
        for end in ends if ends and ends[-1] == len(mixed) else [*ends, len(mixed)]:
            part = slice(start, end)
            out[part], state = delta_rule(query[part], key[part], value[part], decay[part], beta[part], state)
            if states and end in ends:
                # A copy, because a view would keep the whole row in memory.
                states.put(self._layer, end, (row[end : end + len(before)].clone(), state))
            start = end
        return out

    def _read_one_each(
        self,
        mixed: Tensor,
        decay: Tensor,
        beta: Tensor,
        places: Sequence[int],
        each: Sequence[StepStates | None],
    ) -> Tensor:
        """Read one token of each of several segments, the usual step of many answers."""
        held = [self._before(states, mixed) for states in each]
        where: slice | list[int] = slice(None) if len(places) == len(mixed) else list(places)
        windows = torch.cat((torch.stack([before for before, _ in held]), mixed[where][:, None]), 1)
        query, key, value = self._heads((windows.float() * self._filter).sum(1))
        spares = [states.spare(self._layer) if states else None for states in each]
        out, after = delta_steps(
            query,
            key,
            value,
            decay[where],
            beta[where],
            [state for _, state in held],
            [spare[1] if spare else None for spare in spares],
        )
        for states, window, state in zip(each, windows, after, strict=True):
            if states and states.ends:
                states.put(self._layer, 1, (window[1:], state))
        return out

    def _before(self, states: StepStates | None, mixed: Tensor) -> State:
        """The last inputs of the convolution and the state of the delta rule, which are zeros at first."""
        held = states.before(self._layer) if states else None
        return held or (
            mixed.new_zeros(len(self._filter) - 1, mixed.shape[1]),
            torch.zeros(self._value_heads, self._key_dim, self._value_dim, device=mixed.device),
        )

    def _heads(self, convolved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of length one, queries scaled, and values; (T, heads, dim) in fp32."""
        pieces = torch.split(self._act(convolved), self._sizes, -1)
        query, key, value = (torch.unflatten(piece, -1, (heads, -1)) for piece, heads in self._shapes(pieces))
        query, key = (x * (x.square().sum(-1, keepdim=True) + _EPSILON).rsqrt() for x in (query, key))
        share = self._value_heads // self._key_heads
        if share > 1:
            query, key = (x.repeat_interleave(share, 1) for x in (query, key))
        return query * self._key_dim**-0.5, key, value

    def _shapes(self, pieces: Sequence[Tensor]) -> list[tuple[Tensor, int]]:
        return list(zip(pieces, (self._key_heads, self._key_heads, self._value_heads), strict=True))

    def _project_apart(self, module: Any) -> _Projection:
        """Products of Qwen3.5 and later: what is convolved, the gate, and two numbers a head."""
        product = multiply_all([module.in_proj_qkv, module.in_proj_z, module.in_proj_b, module.in_proj_a])

        def project(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            mixed, gate, strength, pace = product(rows)
            return mixed, torch.unflatten(gate, -1, (self._value_heads, -1)), strength, pace

        return project

    def _project_together(self, module: Any) -> _Projection:
        """Products of Qwen3-Next, where all that belongs to a key head lies together."""
        product = multiply_all([module.in_proj_qkvz, module.in_proj_ba])
        share = self._value_heads // self._key_heads
        sizes = [self._key_dim, self._key_dim, share * self._value_dim, share * self._value_dim]

        def project(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            large, small = (torch.unflatten(x, -1, (self._key_heads, -1)) for x in product(rows))
            query, key, value, gate = torch.split(large, sizes, -1)
            strength, pace = (x.flatten(1) for x in small.chunk(2, -1))
            mixed = torch.cat([x.flatten(1) for x in (query, key, value)], -1)
            return mixed, torch.unflatten(gate.flatten(1), -1, (self._value_heads, -1)), strength, pace

        return project


class _GatedNorm:
    """RMSNorm of each head, then a gate, in fp32."""

    def __init__(self, module: Any, act: Callable[[Tensor], Tensor]) -> None:
        self._weight = module.weight.detach().float()
        self._epsilon = float(module.variance_epsilon)
        self._act = act

    def __call__(self, states: Tensor, gate: Tensor) -> Tensor:
        normed = states * (states.square().mean(-1, keepdim=True) + self._epsilon).rsqrt()
        return normed.mul_(self._weight).mul_(self._act(gate.float()))


def convolve(row: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """Convolve each channel of a row along its tokens.

    Args:
        row: (tokens before + T, channels), with as many tokens before as the filter reaches back.
        weight: (kernel, channels), fp32.
        dilation: Tokens between two that the filter reads.

    Returns:
        (T, channels), fp32.
    """
    reach = dilation * (len(weight) - 1)
    out = torch.empty(len(row) - reach, row.shape[1], device=row.device)
    for start in range(0, len(out), _BLOCK):
        part = row[start : start + _BLOCK + reach].float()
        block = out[start : start + _BLOCK]
        torch.mul(part[: len(block)], weight[0], out=block)
        for tap in range(1, len(weight)):
            block.addcmul_(part[tap * dilation : tap * dilation + len(block)], weight[tap])
    return out
