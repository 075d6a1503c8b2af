"""Writing tokens after a prompt, one by one, on the packed forward. Knows token ids, not text or chats."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qwen_agentkit.engine.kv import KVCache
from qwen_agentkit.engine.loading import Loaded
from qwen_agentkit.engine.packed import Segment, forward
from qwen_agentkit.errors import InputTooLongError

__all__ = ["Guide", "Sampling", "Writing", "end_ids", "generate"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: Divides the logits; 0 takes the likeliest token.
        top_p: Share of the probability mass that is kept, 0..1.
        top_k: Tokens that are kept; 0 keeps all.
        min_p: Smallest probability kept, as a share of the largest, 0..1.
        presence_penalty: Taken from the logit of each token already written.
        seed: Makes the choices repeatable; None draws a new one.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None


class Guide(Protocol):
    """Has a say in the output: puts tokens into it, and forbids others."""

    def start(self) -> Sequence[int]:
        """Return the tokens that the output begins with."""

    def after(self, token: int) -> Sequence[int]:
        """Return the tokens that follow this one, whoever chose it; none leaves the choice to the model."""

    def mask(self, logits: Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to -inf, in place."""


class Writing(Iterator[int]):
    """Tokens as they are written. The last is one of `end_ids` unless the writing was cut off.

    Attributes:
        cached_tokens: Tokens of the prompt that were not computed again.
    """

    def __init__(self, tokens: Generator[int]) -> None:
        self._tokens = tokens
        self.cached_tokens = 0

    def __next__(self) -> int:
        return next(self._tokens)

    def close(self) -> None:
        """Stop the work."""
        self._tokens.close()


def generate(
    loaded: Loaded,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    max_tokens: int | None = None,
    guide: Guide | None = None,
    cancelled: threading.Event | None = None,
) -> Writing:
    """Write after a prompt until the model ends its turn.

    Nothing is computed ahead of the reader: closing the iterator stops the work at once.

    Args:
        loaded: The model and its tokenizer.
        prompt: Token ids, at least one.
        sampling: How tokens are chosen.
        max_tokens: Most tokens to write; None, or more than the context has room for, fills the context.
        guide: What is put into the output.
        cancelled: Set it from another thread to stop within one forward.

    Raises:
        InputTooLongError: The prompt leaves no room; raised before anything is computed.
    """
    room = loaded.context - len(prompt)
    if room < 1:
        raise InputTooLongError(
            f"The prompt has {len(prompt)} tokens; {loaded.name!r} has a context of {loaded.context} tokens, "
            "answer included. Send fewer messages or documents, or choose a model with a longer context."
        )
    limit = room if max_tokens is None else min(max_tokens, room)
    return Writing(_write(loaded, prompt, sampling, limit, guide, cancelled or threading.Event()))


def end_ids(loaded: Loaded) -> frozenset[int]:
    """Return every token that ends a turn.

    Checkpoints disagree on where they list them, and some list one of the two only.
    """
    tokenizer, config = loaded.tokenizer, loaded.model.generation_config
    listed = config.eos_token_id if config is not None else None
    find = tokenizer.backend_tokenizer.token_to_id
    known = [find("<|im_end|>"), find("<|endoftext|>"), tokenizer.eos_token_id]
    known += listed if isinstance(listed, list) else [listed]
    return frozenset(token for token in known if token is not None)


def _write(
    loaded: Loaded,
    prompt: Sequence[int],
    sampling: Sampling,
    limit: int,
    guide: Guide | None,
    cancelled: threading.Event,
) -> Generator[int]:
    ends = end_ids(loaded)
    dice = torch.Generator(loaded.device)
    dice.seed() if sampling.seed is None else dice.manual_seed(sampling.seed)
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    unread = list(prompt)  # tokens the model has not seen yet
    forced = list(guide.start()) if guide else []
    written: set[int] = set()
    for _ in range(limit):
        if forced:
            token = forced.pop(0)
        else:
            logits = _read(loaded, unread, cache, cancelled)
            if logits is None:
                return
            if guide:
                guide.mask(logits)
            token, unread = _choose(logits, sampling, written, dice), []
        yield token
        if token in ends:
            return
        unread.append(token)
        written.add(token)
        if guide and not forced:
            forced = list(guide.after(token))


def _read(loaded: Loaded, tokens: list[int], cache: KVCache, cancelled: threading.Event) -> Tensor | None:
    """Run the tokens and return the logits after the last, (vocabulary,); None if cancelled.

    The lock is free between two pieces, so that calls side by side take turns.
    """
    hidden = None
    for start in range(0, len(tokens), loaded.token_budget):
        if cancelled.is_set():
            return None
        with loaded.lock:
            hidden = forward(loaded.model, [Segment(tokens[start : start + loaded.token_budget], cache)])
    with loaded.lock, torch.inference_mode():
        logits: Tensor = loaded.model.lm_head(hidden)[0].float()
    return logits


def _choose(logits: Tensor, sampling: Sampling, written: Collection[int], dice: torch.Generator) -> int:
    """Choose a token from its logits, (vocabulary,)."""
    with torch.inference_mode():
        if sampling.presence_penalty and written:
            logits[list(written)] -= sampling.presence_penalty
        if sampling.temperature == 0:
            return int(logits.argmax())
        scores, tokens = (logits / sampling.temperature).topk(min(sampling.top_k or len(logits), len(logits)))
        shares = scores.softmax(-1)  # largest first
        before = shares.cumsum(-1) - shares
        kept = (before < sampling.top_p) & (shares >= sampling.min_p * shares[0])
        kept[0] = True  # top_p=0 keeps one token
        return int(tokens[torch.multinomial(shares * kept, 1, generator=dice)])
