"""Attention over a packed row of several sequences. Knows tensors.

Each segment of the row attends to itself and to its cached keys and values, and to no other segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from qwen_agentkit.engine.forward.group_attention import attend_group, grouped
from qwen_agentkit.engine.forward.kv import KVCache, LayerCache, LayerView
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast

__all__ = ["Segment", "attend", "attend_segment", "with_past"]

# Query rows in one product on CPU: it bounds the score matrix, and what lies after a chunk is not computed.
_CHUNK = 64

# Up to so many rows without a past, torch's own kernel is faster on CPU, because it is one operation.
_SHORT = 16

# From so many query rows on, converting keys and values to fp32 pays where the CPU is faster with it.
_WORTH_FP32 = 32


@dataclass
class Segment:
    """One sequence of a packed row.

    Attributes:
        tokens: Token ids to run, at least one.
        cache: Keys and values of the tokens before them; None if there are none.
        keep: Append the keys and values of `tokens` to `cache`. If False, many segments of one forward can
            share a prefix, which none of them changes.
        read: How many hidden states at the end to return. Where more than one is read, tokens are tried: the
            cache can then be truncated to before the last `read - 1`.
    """

    tokens: Sequence[int]
    cache: KVCache | None = None
    keep: bool = True
    read: int = 1

    def layers(self, count: int) -> Sequence[LayerView | None]:
        """Return the view of the cache in each of `count` layers."""
        return self.cache.layers(len(self.tokens) if self.keep else 0) if self.cache else [None] * count


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    *,
    lengths: Sequence[int],
    caches: Sequence[LayerCache | None],
) -> Tensor:
    """Causal attention inside each segment of a packed row of T tokens.

    Args:
        query: (heads, T, dim).
        key: (key/value heads, T, dim).
        value: Like `key`.
        scaling: Factor of the scores.
        lengths: Tokens of each segment.
        caches: Each segment's view of its cache; its new keys and values are stored there.

    Returns:
        (T, heads, dim).
    """
    on_cpu = query.device.type == "cpu"
    out = torch.empty_like(query.transpose(0, 1))
    start = 0
    for first, last in grouped(lengths, caches, len(query)) if on_cpu else pairwise(range(len(lengths) + 1)):
        some, layer = lengths[first:last], caches[first]
        part = slice(start, start + sum(some))
        if last - first > 1:
            out[part] = _attend_group(query[:, part], key[:, part], value[:, part], scaling, some, layer)
        else:
            keys, values = with_past(layer, key[:, part], value[:, part])
            out[part] = attend_segment(query[:, part], keys, values, scaling)
        start = part.stop
    return out


def attend_segment(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Causal attention of the new tokens of one sequence, (new, heads, dim); see `_attend_cpu`."""
    new = query.shape[1]
    if new == 1:
        return _attend_one(query[:, 0], keys, values, scaling)[None]
    short = new == keys.shape[1] <= _SHORT
    attend_all = _attend_cpu if query.device.type == "cpu" and not short else _attend_sdpa
    return attend_all(query, keys, values, scaling).transpose(0, 1)


def _attend_group(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    lengths: Sequence[int],
    layer: LayerCache | None,
) -> Tensor:
    """Attention of a group of short segments with the same past, in fp32 where that is faster."""
    if query.dtype == torch.bfloat16 and not bf16_is_fast():
        query, key, value = query.float(), key.float(), value.float()
        layer = layer and LayerCache(layer.room, layer.keys.float(), layer.values.float())
    return attend_group(query, key, value, scaling, lengths=lengths, layer=layer, mask=_causal_mask())


def with_past(layer: LayerCache | None, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values of the past and of the new tokens, and store the new ones if there is room."""
    if layer is None:
        return key, value
    if not layer.room.shape[2]:
        return torch.cat((layer.keys, key), 1), torch.cat((layer.values, value), 1)
    layer.room.copy_(torch.stack((key, value)))  # one copy of both is faster than two
    return layer.keys, layer.values


def _attend_one(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Attention of one new token, which attends to all others.

    Query heads with the same keys become rows of one head, so that torch's kernel reads keys and values once
    and copies nothing. `query` and the result are (heads, dim), the others as in `_attend_cpu`.
    """
    heads, dim = query.shape
    grouped = query.reshape(1, keys.shape[0], heads // keys.shape[0], dim)
    return scaled_dot_product_attention(grouped, keys[None], values[None], scale=scaling).view(heads, dim)


def _attend_cpu(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Attention by matrix products in chunks, with an fp32 softmax; all in fp32 where that is faster.

    torch's CPU kernel runs bf16 attention at about a tenth of the speed of its matrix products.

    Args:
        query: (heads, new, dim).
        keys: (key/value heads, past + new, dim); the last `new` belong to the query rows.
        values: Like `keys`.
        scaling: Factor of the scores.
    """
    heads, new, dim = query.shape
    groups = keys.shape[0]
    share = heads // groups
    past = keys.shape[1] - new
    if new > _CHUNK and keys.stride(1) != dim and query.dtype == torch.bfloat16:
        keys, values = keys.contiguous(), values.contiguous()  # they are read for every chunk
    out = query.new_empty(groups, share, new, dim)
    if new >= _WORTH_FP32 and query.dtype == torch.bfloat16 and not bf16_is_fast():
        query, keys, values = query.float(), keys.float(), values.float()
    grouped = (query * scaling).view(groups, share, new, dim)
    # Allocated once: memory of this size, freed after every chunk, would be asked of the system every time.
    memory = query.new_empty(heads * min(new, _CHUNK) * keys.shape[1])
    wide = memory if memory.dtype == torch.float32 else torch.empty_like(memory, dtype=torch.float32)
    # The last chunk comes first, because the memory that it frees is large enough for the others.
    for begin in reversed(range(0, new, _CHUNK)):
        stop = min(new, begin + _CHUNK)
        rows, seen = stop - begin, past + stop
        weights, scores = (
            states[: heads * rows * seen].view(groups, share * rows, seen) for states in (memory, wide)
        )
        part = grouped[:, :, begin:stop].reshape(groups, share * rows, dim)
        torch.bmm(part, keys[:, :seen].transpose(1, 2), out=weights)
        if wide is not memory:
            scores.copy_(weights)
        if rows > 1:
            scores.view(groups, share, rows, seen)[..., past + begin :].add_(_causal_mask()[:rows, :rows])
        torch.softmax(scores, -1, out=scores)
        if wide is not memory:
            weights.copy_(scores)
        out[:, :, begin:stop] = torch.bmm(weights, values[:, :seen]).view(groups, share, rows, dim)
    return out.view(heads, new, dim)


@cache
def _causal_mask() -> Tensor:
    """Return the mask of a chunk: -inf for later tokens, else 0. Adding it takes an eighth of masked filling.

    It is made at the first call, because imports do not run in the thread that computes.
    """
    return torch.full((_CHUNK, _CHUNK), float("-inf")).triu_(1)


def _lower_right_mask(new: int, total: int) -> Any:
    """The mask of new tokens after a past, in a form that flash attention on GPUs takes."""
    # Imports torch's compiler, a second and 100 MB that searches on a CPU do without.
    from torch.nn.attention.bias import causal_lower_right

    return causal_lower_right(new, total)


def _attend_sdpa(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Attention by torch's fused kernel; shapes as in `_attend_cpu`."""
    new, total = query.shape[1], keys.shape[1]
    mask: Any = _lower_right_mask(new, total) if 1 < new < total else None
    return scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=1 < new == total,
        scale=scaling,
        enable_gqa=query.shape[0] != keys.shape[0],
    )[0]
