"""One answer while it is being generated: its tokens, its guide, its drafts. Knows token ids and logits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from qwen_agentkit.engine.decode.lookup import LONGEST_DRAFT, PromptLookup
from qwen_agentkit.engine.decode.sampler import Sampling, choose_token
from qwen_agentkit.engine.forward.kv import KVCache

__all__ = ["Guide", "SequenceState"]


class Guide(Protocol):
    """Constrains an answer: it inserts tokens, and forbids others.

    Its methods are called for one token after the other, maybe from different threads.
    """

    def start(self) -> Sequence[int]:
        """Return the tokens that the answer begins with."""

    def after(self, token: int) -> Sequence[int]:
        """Return the tokens to insert after this one, whoever chose it; none lets the model choose."""

    def mask(self, logits: Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to -inf, in place."""


class SequenceState:
    """A prompt and the answer to it so far.

    Attributes:
        tokens: All token ids so far, the prompt first.
        prompt_length: Tokens of the prompt.
        max_length: Tokens after which the answer ends at the latest, prompt included.
        boundaries: Lengths of the prompt at which its messages end: where another prompt may leave it.
        cache: Keys and values of the first of `tokens`; None before the first step.
        cached_tokens: Tokens of the prompt that did not have to be computed.
        drafts: Tokens that the current step tries, after the known ones.
        ready: Generated tokens that the reader has not fetched yet.
        finished: Whether no more tokens will come.
        error: Why it failed, if it did.
        cancelled: Set it from any thread to stop.
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
        self.max_length = self.prompt_length + limit
        self.cache: KVCache | None = None
        self.cached_tokens = 0
        self.drafts: list[int] = []
        self.ready: deque[int] = deque()
        self.finished = limit < 1
        self.error: BaseException | None = None
        self.cancelled = cancelled or threading.Event()
        self._sampling = sampling
        self._ends = ends
        self.boundaries = _boundaries(prompt, ends)
        self._guide = guide
        self._lookup = PromptLookup() if lookup else None
        self._generator = torch.Generator(device)
        self._generator.seed() if sampling.seed is None else self._generator.manual_seed(sampling.seed)
        self._generated: set[int] = set()
        self._prompt_ids = frozenset(prompt)
        if guide:
            self._append(guide.start())

    @property
    def pending(self) -> int:
        """Number of known tokens that the model has not run yet."""
        return len(self.tokens) - (self.cache.length if self.cache else 0)

    @property
    def answering(self) -> bool:
        """Whether the prompt is read: nothing is left to run, or right drafts that have to be run again."""
        return self.pending <= 1 + LONGEST_DRAFT

    def next_tokens(self, limit: int) -> list[int]:
        """Return the tokens of the next step: at most `limit` known ones, and drafts if all of them fit."""
        start = self.cache.length if self.cache else 0
        known = self.tokens[start : start + limit]
        self.drafts = []
        if self._lookup and len(known) == self.pending < limit:
            room = min(limit - len(known), self.max_length - len(self.tokens) - 1)
            self.drafts = self._lookup.draft(self.tokens, room)
        return known + self.drafts

    def append_sampled(self, logits: Tensor) -> None:
        """Append the tokens that the logits of a step give: one, and one more for each right draft.

        Args:
            logits: (1 + drafts, vocabulary), after the last known token and after each draft.
        """
        known, accepted = len(self.tokens), 0
        for row, draft in zip(logits, [*self.drafts, None], strict=True):
            if self._guide:
                self._guide.mask(row)
            token = choose_token(row, self._sampling, self._generated, self._generator, self._prompt_ids)
            accepted += token == draft
            length = len(self.tokens) + 1
            self._append([token])
            if self.finished or token != draft or len(self.tokens) > length:
                break
        if self._lookup:
            self._lookup.record(len(self.drafts), accepted)
        if self.drafts and self.cache:
            # If the reader leaves during the step, the answer ends before the last right draft is appended.
            self.cache.truncate(min(known + accepted, len(self.tokens)))

    def fail(self, error: BaseException) -> None:
        """End with an error, which the reader gets after the tokens that are ready."""
        self.error, self.finished = error, True

    def _append(self, tokens: Iterable[int]) -> None:
        """Append tokens, and those that the guide inserts after them."""
        queue = deque(tokens)
        while queue and not self.finished:
            token = queue.popleft()
            self.tokens.append(token)
            self.ready.append(token)
            self._generated.add(token)
            self.finished = token in self._ends or len(self.tokens) == self.max_length
            if self._guide and not self.finished:
                queue.extend(self._guide.after(token))


def _boundaries(prompt: Sequence[int], ends: frozenset[int]) -> list[int]:
    """Return where messages of a prompt end; without messages, its end less the token that is run anyway."""
    after = [place for place, token in enumerate(prompt[:-1], 1) if token in ends]
    return after or [len(prompt) - 1]
