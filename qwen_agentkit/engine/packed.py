"""One packed forward for embedding, reranking and generating. Knows token ids and tensors.

Several token sequences run as one row `[1, T]` without padding, through the decoder of
`qwen_agentkit.engine.decoder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qwen_agentkit.engine.attention import Segment

__all__ = ["Segment", "forward", "token_batches"]


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
    device = model.device  # found by walking through the modules
    with torch.inference_mode():
        rows: Tensor = model.base_model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            segments=segments,
        )[0]
    for segment in segments:
        if segment.cache and segment.keep:
            segment.cache.length += len(segment.tokens)
    return rows


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
