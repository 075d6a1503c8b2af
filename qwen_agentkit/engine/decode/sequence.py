"""One answer while it is being written: its tokens, its rules, its guesses. Knows token ids and logits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from qwen_agentkit.engine.decode.lookup import Lookup
from qwen_agentkit.engine.decode.sampler import Sampling, choose
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.stock import StockCache

__all__ = ["Guide", "SequenceState"]


class Guide(Protocol):
    """Has a say in an answer: puts tokens into it, and forbids others.

    Its methods are called for one token after the other, maybe from different threads.
    """

    def start(self) -> Sequence[int]:
        """Return the tokens that the answer begins with."""

    def after(self, token: int) -> Sequence[int]:
        """Return the tokens that follow this one, whoever chose it; none leaves the choice to the model."""

    def mask(self, logits: Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to -inf, in place."""


class SequenceState:
    """A prompt and what has been written after it.

    Attributes:
        tokens: All token ids so far, the prompt's first.
        prompt_length: How many of them are the prompt's.
        most: How many there are when the writing ends at the latest.
        cache: Keys and values of the first of them; None before the first step.
        cached_tokens: Tokens of the prompt that were not computed again.
        guesses: Tokens run on trust in the current step, behind the known ones.
        ready: Written tokens that the reader has not fetched.
        finished: Whether nothing more will be written.
        error: Why it failed, if it did.
        cancelled: Set it from any thread to stop the writing.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        limit: int,
        ends: frozenset[int],
        device: torch.device,
        guide: Guide | None = None,
        lookup: bool = True,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.tokens = list(prompt)
        self.prompt_length = len(prompt)
        self.cache: KVCache | StockCache | None = None
        self.cached_tokens = 0
        self.guesses: list[int] = []
        self.ready: deque[int] = deque()
        self.finished = limit < 1
        self.error: BaseException | None = None
        self.cancelled = cancelled or threading.Event()
        self._sampling = sampling
        self.most = self.prompt_length + limit
        self._ends = ends
        self._guide = guide
        self._lookup = Lookup() if lookup else None
        self._dice = torch.Generator(device)
        self._dice.seed() if sampling.seed is None else self._dice.manual_seed(sampling.seed)
        self._written: set[int] = set()
        self._asked = frozenset(prompt)
        if guide:
            self._write(guide.start())

    @property
    def unread(self) -> int:
        """Known tokens that the model has not run yet."""
        return len(self.tokens) - (self.cache.length if self.cache else 0)

    def plan(self, room: int) -> list[int]:
        """Return the tokens to run next: at most `room` known ones, with guesses behind the last of them."""
        start = self.cache.length if self.cache else 0
        known = self.tokens[start : start + room]
        self.guesses = []
        if self._lookup and len(known) == self.unread < room:
            most = min(room - len(known), self.most - len(self.tokens) - 1)
            self.guesses = self._lookup.guess(self.tokens, most)
        return known + self.guesses

    def absorb(self, logits: Tensor) -> None:
        """Write on after a step.

        Args:
            logits: (1 + guesses, vocabulary), after the last known token and after each guess.
        """
        known, right = len(self.tokens), 0
        for row, guess in zip(logits, [*self.guesses, None], strict=True):
            if self._guide:
                self._guide.mask(row)
            token = choose(row, self._sampling, self._written, self._dice, self._asked)
            right += token == guess
            written = len(self.tokens) + 1
            self._write([token])
            if self.finished or token != guess or len(self.tokens) > written:
                break
        if self._lookup:
            self._lookup.judge(len(self.guesses), right)
        if self.guesses and self.cache:
            # Whoever leaves in the middle of a step ends the writing before the last right guess is in.
            self.cache.truncate(min(known + right, len(self.tokens)))

    def fail(self, error: BaseException) -> None:
        """End with an error, which the reader gets after the tokens that are ready."""
        self.error, self.finished = error, True

    def _write(self, tokens: Iterable[int]) -> None:
        """Append tokens, and those that the guide puts behind them."""
        queue = deque(tokens)
        while queue and not self.finished:
            token = queue.popleft()
            self.tokens.append(token)
            self.ready.append(token)
            self._written.add(token)
            self.finished = token in self._ends or len(self.tokens) == self.most
            if self._guide and not self.finished:
                queue.extend(self._guide.after(token))
