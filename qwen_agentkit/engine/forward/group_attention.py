"""Attention of many short segments at once: a few operations for all instead of a few dozen for each.

Documents of one query read the same past. Each alone is a few tokens, whose products take less time than
Python takes to ask for them. Knows tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor

from qwen_agentkit.engine.forward.kv import LayerCache

__all__ = ["attend_group", "grouped"]

# Rows of a segment, and segments from which on a group is worth it.
_SHORT, _WORTH = 64, 3

# Most scores of one group: they stay in the cache of the CPU.
_SCORES = 1 << 21


def grouped(
    lengths: Sequence[int], caches: Sequence[LayerCache | None], heads: int
) -> Iterator[tuple[int, int]]:
    """Yield the segments of a row in order, as (first, one after the last), those of a group together.

    Segments of a group stand side by side, are short, and read the same past, which none of them changes.
    """
    places = range(len(lengths))
    for past, same in groupby(places, lambda place: _past_of(lengths[place], caches[place], place)):
        some = list(same)
        yield from _cut(some, lengths, heads, past[1])


def _past_of(length: int, layer: LayerCache | None, place: int) -> tuple[int, int]:
    """What a segment reads: the address and the length of its past; of one by itself, a number of its own."""
    if length > _SHORT or length == 1 or (layer is not None and layer.room.shape[2]):
        return -1 - place, 0
    return (0, 0) if layer is None else (layer.keys.data_ptr(), layer.keys.shape[1])


def _cut(places: Sequence[int], lengths: Sequence[int], heads: int, past: int) -> Iterator[tuple[int, int]]:
    """Cut a run into groups: as large as their scores may be, with few rows that only fill up."""
    begin, longest, rows = places[0], 0, 0
    for place in places:
        longest_then = max(longest, lengths[place])
        padded = (place - begin + 1) * longest_then
        if place > begin and (
            heads * padded * (past + longest_then) > _SCORES or padded > 2 * (rows + lengths[place])
        ):
            yield from _whole_or_single(begin, place)
            begin, longest_then, rows = place, lengths[place], 0
        longest, rows = longest_then, rows + lengths[place]
    yield from _whole_or_single(begin, places[-1] + 1)


def _whole_or_single(begin: int, end: int) -> Iterator[tuple[int, int]]:
    if end - begin >= _WORTH:
        yield begin, end
    else:
        yield from ((place, place + 1) for place in range(begin, end))


def attend_group(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    *,
    lengths: Sequence[int],
    layer: LayerCache | None,
    mask: Tensor,
) -> Tensor:
    """Causal attention inside each segment of a group, and to the past that they share.

    Args:
        query: (heads, T, dim), fp32 or what the CPU multiplies fast.
        key: (key/value heads, T, dim).
        value: Like `key`.
        scaling: Factor of the scores.
        lengths: Rows of each segment, T in all, at most 64 each.
        layer: The past; None if there is none.
        mask: (64, 64), -inf above the diagonal.

    Returns:
        (T, heads, dim).
    """
    heads, _, dim = query.shape
    groups, count, longest = key.shape[0], len(lengths), max(lengths)
    share = heads // groups
    fill, rows = _places(tuple(lengths))
    # The rows that fill up come last in their segment, so the causal mask already hides them.
    asked = (query.index_select(1, fill) * scaling).view(groups, share, count, longest, dim).transpose(1, 2)
    asked = asked.reshape(groups * count, share * longest, dim)
    own = torch.bmm(asked, key.index_select(1, fill).view(groups * count, longest, dim).transpose(1, 2))
    past = 0 if layer is None else layer.keys.shape[1]
    scores = own.new_empty(groups * count, share * longest, past + longest, dtype=torch.float32)
    scores[..., past:] = own
    if layer is not None:
        before = torch.bmm(asked.view(groups, -1, dim), layer.keys.transpose(1, 2))
        scores[..., :past] = before.view(groups * count, share * longest, past)
    scores.view(groups * count, share, longest, past + longest)[..., past:].add_(mask[:longest, :longest])
    weights = torch.softmax(scores, -1).to(query.dtype)
    filled = value.index_select(1, fill).view(groups * count, longest, dim)
    out = torch.bmm(weights[..., past:], filled).view(groups, -1, dim)
    if layer is not None:
        out = torch.baddbmm(out, weights[..., :past].reshape(groups, -1, past), layer.values)
    out = out.view(groups, count, share, longest, dim).permute(1, 3, 0, 2, 4)
    return out.reshape(count * longest, heads, dim).index_select(0, rows)


@lru_cache(maxsize=256)
def _places(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Where each row of segments of equal length comes from, and where each row of the result is in them."""
    longest, start = max(lengths), 0
    fill: list[int] = []
    rows: list[int] = []
    for number, length in enumerate(lengths):
        fill += [start + min(row, length - 1) for row in range(longest)]
        rows += range(number * longest, number * longest + length)
        start += length
    return torch.tensor(fill), torch.tensor(rows)
