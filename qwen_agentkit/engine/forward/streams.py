"""Layers of Qwen4 over a packed row: several residual streams, embeddings of n-grams. Knows torch modules.

Hyper-connections (arXiv:2409.19606) mix the streams into the input of a part of the layer, and add its output
to each. Some layers first add embeddings of the last few tokens to the streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from qwen_agentkit.engine.forward.layers import make_mlp
from qwen_agentkit.engine.forward.linear_attention import LinearAttention
from qwen_agentkit.engine.forward.sparse_attention import SparseAttention
from qwen_agentkit.engine.forward.states import State, StepStates

__all__ = ["StreamLayer"]


class StreamLayer:
    """One layer.

    Args:
        layer: Of transformers.
        number: Its number, from 0.
        rotary: Gives cosines and sines of positions.
    """

    def __init__(self, layer: Any, number: int, rotary: Callable[..., tuple[Tensor, Tensor]]) -> None:
        linear = hasattr(layer, "linear_attn")
        self._ngrams = _Ngrams(layer.ple, number) if layer.ple is not None else None
        self._enter: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] = layer.attn_hyper_connection.forward
        self._mix: Callable[..., Tensor] = (
            LinearAttention(layer.linear_attn, number) if linear else SparseAttention(layer.self_attn, rotary)
        )
        self._between: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]] = layer.mlp_hyper_connection.forward
        self._mlp = make_mlp(layer.mlp)

    def __call__(
        self,
        rows: Tensor,
        cos: Tensor,
        sin: Tensor,
        ids: Tensor,
        *,
        lengths: Sequence[int],
        caches: Sequence[Any],
        read: Tensor | None,
    ) -> Tensor:
        """Run the layer on (1, T, streams * hidden); where `read` is given, only these rows are finished."""
        if self._ngrams:
            rows = rows + self._ngrams(rows, ids, lengths=lengths, caches=caches)
        mixed, rows, shares = self._enter(rows)
        mixed = self._mix(mixed, cos, sin, lengths=lengths, caches=caches)
        if read is not None:
            mixed, rows, shares = (states[:, read] for states in (mixed, rows, shares))
        rows = rows + _spread(mixed, shares)
        mixed, rows, shares = self._between(rows)
        return rows + _spread(self._mlp(mixed), shares)


def _spread(mixed: Tensor, shares: Tensor) -> Tensor:
    """Return the output of a part of the layer for each stream, (1, T, streams * hidden)."""
    return (mixed[..., None, :] * shares[..., None]).flatten(-2)


class _Ngrams:
    """Adds embeddings of the last few tokens, by transformers' module, segment by segment.

    Args:
        module: Of transformers.
        number: Of the layer.
    """

    def __init__(self, module: Any, number: int) -> None:
        self._module = module
        self._layer = -1 - number  # the states of the layer itself have its number

    def __call__(
        self, rows: Tensor, ids: Tensor, *, lengths: Sequence[int], caches: Sequence[StepStates | None]
    ) -> Tensor:
        out = torch.empty_like(rows)
        start = 0
        for length, states in zip(lengths, caches, strict=True):
            past = _Past(states.before(self._layer) if states else None)
            done = 0
            for end in sorted({*(states.ends if states else ()), length}):
                part = slice(start + done, start + end)
                out[:, part] = self._module(rows[:, part], ids[:, part], past)
                if states and end in states.ends:
                    states.put(self._layer, end, past.state)
                done = end
            start += length
        return out


class _Past:
    """What transformers' module asks of a cache, for one segment."""

    def __init__(self, state: State | None) -> None:
        self._held: dict[int, Tensor] = dict(enumerate(state, 1)) if state else {}

    @property
    def state(self) -> State:
        return self._held[1], self._held[2]

    def get_conv_state(self, _: int, state_idx: int) -> Tensor | None:
        return self._held.get(state_idx)

    def update_conv_state(self, new: Tensor, _: int, *, state_idx: int, conv_kernel_size: int) -> Tensor:
        held = self._held.get(state_idx)
        whole = new if held is None else torch.cat((held, new), -1)
        missing = max(conv_kernel_size - whole.shape[-1], 0)
        self._held[state_idx] = pad(whole, (missing, 0))[..., -conv_kernel_size:].clone()
        return whole
