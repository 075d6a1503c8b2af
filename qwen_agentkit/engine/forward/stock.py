"""The forward of transformers, for architectures that the packed forward cannot run. Knows tensors.

Such are hybrids with linear attention. They run with transformers' own attention and cache, one sequence at a
time. A state that sums up all earlier tokens cannot be truncated, so they have no drafts and no shared
prefixes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.engine.model_config import Model

__all__ = ["StockCache", "forward"]


class StockCache:
    """The cache of transformers for one sequence.

    Attributes:
        length: Tokens stored so far.
    """

    def __init__(self, config: Any) -> None:
        from transformers import DynamicCache  # slow to import, and most checkpoints do not need it

        self.layers = DynamicCache(config=config)
        self.length = 0

    def truncate(self, length: int) -> None:
        """Do nothing, because there are no drafts to take back."""


def forward(model: Model, tokens: Sequence[int], kept: StockCache) -> Tensor:
    """Run the tokens after those in the cache and return the hidden state of the last, (1, hidden)."""
    with torch.inference_mode():
        hidden: Tensor = model.base_model(
            input_ids=torch.tensor([tokens], device=model.device),
            use_cache=True,
            **{_cache_argument(model.base_model): kept.layers},
        ).last_hidden_state[0, -1:]
    kept.length += len(tokens)
    return hidden


def _cache_argument(model: Model) -> str:
    """Return the name of the argument that takes the cache: transformers 5.24 renamed it."""
    parameters = inspect.signature(model.forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"
