"""One packed forward for embedding, reranking and generating. Knows token ids and tensors.

Several token sequences run as one row `[1, T]` without padding, through the decoder of
`qwen_agentkit.engine.forward.decoder`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor

from qwen_agentkit.engine.device_thread import run_on_one_core, spread_over_cores
from qwen_agentkit.engine.forward.attention import Segment
from qwen_agentkit.engine.forward.decoder import Decoder
from qwen_agentkit.engine.model_config import Model

__all__ = ["Segment", "caches_restored", "compute_logits", "forward", "is_one_row", "token_batches"]

# Tokens for each core from which all weights are worth being read by each.
_WORTH_A_CORE = 96

# Up to this hidden size the weights of a layer fit into the cache of a core.
_NARROW = 640

# Tokens of a narrow model, times its hidden size squared, that one core computes alone: together cores would
# wait for each other at every product. On an idle machine that pays off up to 2**22; but beside other work
# they wait up to a hundred times as long, and so little more time is risked here.
_ALONE = 2**25

# As much for each core is worth being dealt out.
_WORTH_DEALING = 2**22

# Most that one core may have to do, of an equal share: else all cores take part in every operation.
_EVEN = 1.1


def forward(model: Model, segments: Sequence[Segment]) -> Tensor:
    """Run `segments` as packed rows and return the hidden states they want read, (rows, hidden).

    A segment has one row, for its last token, unless it asks for another number. The hidden state is the one
    after the final norm, as a language model head expects it. On a CPU many segments are more than one packed
    row, each for a core of its own. In one row (see `is_one_row`), a segment may read what one before it, and
    not behind it, puts into their cache. A forward that fails leaves caches as they were.
    """
    with caches_restored(segments):
        return _forward(model, segments)


def compute_logits(model: Model, segments: Sequence[Segment]) -> Tensor:
    """Run `segments` as `forward` does and return the logits of their rows, (rows, vocabulary), fp32."""

    def compute() -> Tensor:
        with torch.inference_mode():
            found: Tensor = model.get_output_embeddings()(forward(model, segments)).float()
            return found

    return _run_if_small_on_one_core(model, segments, compute)


@contextmanager
def caches_restored(segments: Sequence[Segment]) -> Iterator[None]:
    """Leave the caches of segments as they were if the block fails."""
    before = [(one.cache, one.cache.length) for one in segments if one.cache and one.keep]
    try:
        yield
    except BaseException:  # an interrupt, too
        for cache, length in before:
            cache.truncate(length)
        raise


def _forward(model: Model, segments: Sequence[Segment]) -> Tensor:
    parts = _parts(model, segments)
    if len(parts) == 1:
        return _run_if_small_on_one_core(model, segments, partial(_run, model, segments))
    found = spread_over_cores([partial(_run, model, [segments[index] for index in part]) for part in parts])
    rows: dict[int, Tensor] = {}
    for part, read in zip(parts, found, strict=True):
        wanted = [segments[index].read for index in part]
        rows.update(zip(part, torch.split(read, wanted), strict=True))
    return torch.cat([rows[index] for index in range(len(segments))])


def _run(model: Model, segments: Sequence[Segment]) -> Tensor:
    ids: list[int] = []
    positions: list[int] = []
    for segment in segments:
        past = segment.cache.length if segment.cache else 0
        ids.extend(segment.tokens)
        positions.extend(range(past, past + len(segment.tokens)))
        if segment.cache and segment.keep:
            segment.cache.extend(len(segment.tokens), max(segment.read - 1, 0))
    with torch.inference_mode():
        row, places = torch.tensor([[ids], [positions]], device=_decoder(model).device)
        rows: Tensor = model.base_model(input_ids=row, position_ids=places, segments=segments)[0]
        return rows


def is_one_row(model: Model, segments: Sequence[Segment]) -> bool:
    """Whether `forward` runs all of them as one packed row."""
    return len(_parts(model, segments)) == 1


def _decoder(model: Model) -> Decoder:
    return cast(Decoder, model.base_model.forward)


def _run_if_small_on_one_core(
    model: Model, segments: Sequence[Segment], function: Callable[[], Tensor]
) -> Tensor:
    tokens = sum(len(segment.tokens) for segment in segments)
    if _cores(model) > 1 and tokens <= _most_alone(model) and is_one_row(model, segments):
        return run_on_one_core(function)
    return function()


def _cores(model: Model) -> int:
    return torch.get_num_threads() if _decoder(model).device.type == "cpu" else 1


def _most_alone(model: Model) -> int:
    """Tokens up to which one core computes alone; none of a wide model."""
    hidden = _hidden_size(model)
    return int(_ALONE // hidden**2) if hidden <= _NARROW else 0


def _worth_a_core(model: Model) -> int:
    """Tokens for each core from which they are dealt out."""
    hidden = _hidden_size(model)
    return min(_WORTH_A_CORE, _WORTH_DEALING // hidden**2) if hidden <= _NARROW else _WORTH_A_CORE


def _hidden_size(model: Model) -> int:
    return int(model.config.get_text_config().hidden_size)


def _parts(model: Model, segments: Sequence[Segment]) -> list[list[int]]:
    """Indices of segments that make a packed row each.

    That is one row for all, unless cores get equal shares or each a small one.
    """
    cores = _cores(model)
    lengths = [len(segment.tokens) for segment in segments]
    share = sum(lengths) / cores
    if cores > 1 and share >= _worth_a_core(model):
        parts = _shares(lengths, cores)
        largest = max(sum(lengths[index] for index in part) for part in parts)
        if largest <= max(_EVEN * share, _most_alone(model)):
            return parts
    return [list(range(len(segments)))]


def _shares(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Deal items to at most `count` shares of nearly equal size, the largest first; lists of indices."""
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, number) for number in range(count)]
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        load, number = loads[0]
        shares[number].append(index)
        heapq.heapreplace(loads, (load + sizes[index], number))
    return [share for share in shares if share]


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Deal items to batches of at most `budget` tokens, as equal as they can be; lists of indices.

    Work per batch then depends on tokens, not on how many texts they belong to. An item longer than
    the budget gets a batch of its own.
    """
    # The longest first, whose memory the others then fit into.
    long = sorted((i for i, length in enumerate(lengths) if length >= budget), key=lambda i: -lengths[i])
    short = [index for index, length in enumerate(lengths) if length < budget]
    sizes = [lengths[index] for index in short]
    count = max(math.ceil(sum(sizes) / budget), sum(2 * size > budget for size in sizes))
    while short:
        shares = _shares(sizes, count)
        if all(sum(sizes[i] for i in share) <= budget for share in shares):
            return [[index] for index in long] + [[short[i] for i in share] for share in shares]
        count += 1
    return [[index] for index in long]
