"""Architectures that the packed forward cannot run, such as hybrids with linear attention. Knows tensors.

They keep transformers' own attention and cache, one sequence at a time. A state that sums up all earlier
tokens cannot be cut back, so there are no guesses and no shared prefixes for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.engine.forward.modules import Model

__all__ = ["StockCache", "forward"]


class StockCache:
    """What transformers remembers of one sequence.

    Attributes:
        length: tokens stored so far.
    """

    def __init__(self, config: Any) -> None:
        from transformers import DynamicCache  # takes seconds to import; only hybrid architectures need it

        self.layers = DynamicCache(config=config)
        self.length = 0

    def truncate(self, length: int) -> None:
        """Do nothing: nothing is ever run on trust."""


def forward(model: Model, tokens: Sequence[int], cache: StockCache) -> Tensor:
    """Run the tokens after those in the cache; returns the hidden state of the last, (1, hidden)."""
    with torch.inference_mode():
        hidden: Tensor = model.base_model(
            input_ids=torch.tensor([tokens], device=model.device),
            past_key_values=cache.layers,
            use_cache=True,
        ).last_hidden_state[0, -1:]
    cache.length += len(tokens)
    return hidden
