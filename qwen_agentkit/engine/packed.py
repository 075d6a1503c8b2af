"""One packed forward for embedding, reranking and generating. Knows token ids and tensors.

Several token sequences run as one row `[1, T]` without padding. The stock transformers model computes
everything; only the attention is ours, registered under the name `ATTENTION`: it walks the segments of
the row and puts each segment's cached keys and values before its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from qwen_agentkit.engine.kv import KVCache

__all__ = ["ATTENTION", "Segment", "forward", "token_batches", "trim_last_layer"]

ATTENTION = "qwen_agentkit_packed"

# Query rows scored at once on CPU: bounds the score matrix, and skips the upper triangle beyond a chunk.
_CHUNK = 256
_FUTURE = torch.ones(_CHUNK, _CHUNK, dtype=torch.bool).triu_(1)


@dataclass
class Segment:
    """One sequence of a packed row.

    Attributes:
        tokens: ids to run, at least one.
        cache: what came before them; None when nothing did.
        keep: append the keys and values of `tokens` to `cache`. False lets many segments of one
            forward share a prefix that none of them changes.
        read: positions at the end whose hidden states are wanted.
    """

    tokens: Sequence[int]
    cache: KVCache | None = None
    keep: bool = True
    read: int = 1

    @property
    def past(self) -> int:
        """Tokens before this segment."""
        return self.cache.length if self.cache else 0


def forward(model: PreTrainedModel, segments: Sequence[Segment]) -> Tensor:
    """Run `segments` as one packed row and return the hidden states they want read, (rows, hidden).

    A segment has one row, for its last token, unless it asks for another number. The hidden state is the one
    after the final norm, as a language model head expects it.
    """
    ids: list[int] = []
    positions: list[int] = []
    for segment in segments:
        if segment.cache and segment.keep:
            segment.cache.reserve(segment.past + len(segment.tokens))
        ids.extend(segment.tokens)
        positions.extend(range(segment.past, segment.past + len(segment.tokens)))
    with torch.inference_mode():
        rows: Tensor = model.base_model(
            input_ids=torch.tensor([ids], device=model.device),
            position_ids=torch.tensor([positions], device=model.device),
            use_cache=False,
            segments=segments,
        ).last_hidden_state[0]
    for segment in segments:
        if segment.cache and segment.keep:
            segment.cache.length += len(segment.tokens)
    return rows


def trim_last_layer(model: PreTrainedModel) -> None:
    """Let the last layer of a model finish only the positions that are read.

    Every decoder layer of the Qwen family adds attention to its input, then adds its MLP to that.
    """
    decoder: Any = model.base_model
    layer = decoder.layers[-1]

    def last_layer(hidden_states: Tensor, *, segments: Sequence[Segment], **kwargs: Any) -> Tensor:
        attended, _ = layer.self_attn(
            hidden_states=layer.input_layernorm(hidden_states), segments=segments, **kwargs
        )
        read = _read_positions(segments, hidden_states.device)
        rows = hidden_states[:, read] + attended[:, read]
        out: Tensor = rows + layer.mlp(layer.post_attention_layernorm(rows))
        return out

    layer.forward = last_layer


def _read_positions(segments: Sequence[Segment], device: torch.device) -> Tensor:
    positions: list[int] = []
    end = 0
    for segment in segments:
        end += len(segment.tokens)
        positions.extend(range(end - segment.read, end))
    return torch.tensor(positions, dtype=torch.long, device=device)


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cut items into batches of at most `budget` tokens, longest first; yields lists of indices.

    Work per batch then depends on tokens, not on how many texts they belong to. An item longer than
    the budget gets a batch of its own.
    """
    batch: list[int] = []
    room = budget
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and lengths[index] > room:
            yield batch
            batch, room = [], budget
        batch.append(index)
        room -= lengths[index]
    if batch:
        yield batch


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    segments: Sequence[Segment],
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each segment; `query` (1, heads, T, dim), result (1, T, heads, dim)."""
    many = _attend_cpu if query.device.type == "cpu" else _attend_sdpa
    rows = query[0].transpose(0, 1)
    out = torch.empty_like(rows)
    new = torch.stack((key[0], value[0]))  # a cache then takes both in one copy
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # a number, set by every attention module
    start = 0
    for segment in segments:
        end = start + len(segment.tokens)
        keys, values = _seen(segment, layer, new[:, :, start:end])
        if end - start == 1:
            out[start] = _attend_one(rows[start], keys, values, scaling)
        else:
            out[start:end] = many(query[0, :, start:end], keys, values, scaling).transpose(0, 1)
        start = end
    return out[None], None


def _seen(segment: Segment, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of a segment's past and its `new` tokens, which are stored if they are to be kept."""
    cache = segment.cache
    if cache is None:
        return new[0], new[1]
    if segment.keep:
        cache.write(layer, new)
        return cache.read(layer, cache.length + new.shape[2])
    past_keys, past_values = cache.read(layer, cache.length)
    return torch.cat([past_keys, new[0]], dim=1), torch.cat([past_values, new[1]], dim=1)


def _attend_one(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Attention of one new token, which sees everything: query heads that share keys become rows of one head.

    torch's kernel then reads keys and values once and copies nothing. `query` and the result are (heads,
    dim), the others as in `_attend_cpu`.
    """
    heads, dim = query.shape
    grouped = query.reshape(1, keys.shape[0], heads // keys.shape[0], dim)
    return scaled_dot_product_attention(grouped, keys[None], values[None], scale=scaling).view(heads, dim)


def _attend_cpu(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """Chunked grouped matrix products with an fp32 softmax.

    torch's CPU kernel runs bf16 attention at about a tenth of the speed of its matrix products.

    Args:
        query: (heads, new, dim).
        keys: (key/value heads, past + new, dim); the last `new` belong to the query rows.
        values: as `keys`.
        scaling: factor on the scores.
    """
    heads, new, dim = query.shape
    groups = keys.shape[0]
    share = heads // groups
    past = keys.shape[1] - new
    grouped = (query * scaling).view(groups, share, new, dim)
    out = torch.empty_like(grouped)
    for begin in range(0, new, _CHUNK):
        stop = min(new, begin + _CHUNK)
        rows, seen = stop - begin, past + stop
        scores = torch.bmm(
            grouped[:, :, begin:stop].reshape(groups, share * rows, dim), keys[:, :seen].transpose(1, 2)
        )
        scores = scores.view(groups, share, rows, seen).float()
        if rows > 1:
            scores[..., past + begin :].masked_fill_(_FUTURE[:rows, :rows], float("-inf"))
        weights = scores.softmax(-1).to(query.dtype).view(groups, share * rows, seen)
        out[:, :, begin:stop] = torch.bmm(weights, values[:, :seen]).view(groups, share, rows, dim)
    return out.view(heads, new, dim)


def _attend_sdpa(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """The same through torch's fused kernel, the fast one on a GPU; shapes as in `_attend_cpu`."""
    new, total = query.shape[1], keys.shape[1]
    mask: Any = causal_lower_right(new, total) if 1 < new < total else None
    return scaled_dot_product_attention(
        query[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=1 < new == total,
        scale=scaling,
        enable_gqa=query.shape[0] != keys.shape[0],
    )[0]


AttentionInterface.register(ATTENTION, _attention)
# The mask function builds nothing: the segments say who sees whom.
AttentionMaskInterface.register(ATTENTION, lambda *args, **kwargs: None)
