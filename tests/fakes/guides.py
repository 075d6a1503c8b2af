"""A guide that lets the model say one thing only, whatever its weights are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Says:
    """Leaves one token to choose from at a time: those of an answer, in their order."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)
        self._at = 0

    def start(self) -> Sequence[int]:
        return []

    def after(self, token: int) -> Sequence[int]:
        self._at += 1
        return []

    def mask(self, logits: Tensor) -> None:
        wanted = logits[self.tokens[self._at]].item()
        logits.fill_(float("-inf"))
        logits[self.tokens[self._at]] = wanted
