"""The forward of transformers, for architectures that the packed forward cannot run. Knows tensors.

Such are hybrids with linear attention. They run with transformers' own attention and cache, one sequence at a
time. A state that sums up all earlier tokens cannot be truncated, so they have no drafts and no shared
prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["StockCache", "forward"]


class StockCache:
    """The cache of transformers for one sequence.

    Attributes:
        length: Tokens stored so far.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        from transformers import DynamicCache  # slow to import, and most checkpoints do not need it

        self.layers = DynamicCache(config=config)
        self.length = 0

    def truncate(self, length: int) -> None:
        """Do nothing, because there are no drafts to take back."""


def forward(model: PreTrainedModel, tokens: Sequence[int], cache: StockCache) -> Tensor:
    """Run the tokens after those in the cache and return the hidden state of the last, (1, hidden)."""
    with torch.inference_mode():
        hidden: Tensor = model.base_model(
            input_ids=torch.tensor([tokens], device=model.device),
            past_key_values=cache.layers,
            use_cache=True,
        ).last_hidden_state[0, -1:]
    cache.length += len(tokens)
    return hidden
