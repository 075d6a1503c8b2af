"""Generating tokens after a prompt. Knows token ids, not text or chats."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.decode.sequence import Guide, SequenceState
from qwen_agentkit.engine.device_memory import free_memory
from qwen_agentkit.engine.forward.kv import token_bytes
from qwen_agentkit.engine.forward.states import MOST_HELD
from qwen_agentkit.errors import OutOfMemoryError

__all__ = ["TokenStream", "generate"]


class TokenStream(Iterator[int]):
    """Tokens as they are generated. The last is one of `tokens.end_ids` unless a limit cut the answer off.

    Nothing is computed before the first token is asked for.
    """

    def __init__(self, loaded: Loaded, sequence: SequenceState) -> None:
        self._sequence = sequence
        self._tokens = get_scheduler(loaded).run(loaded, sequence)

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that did not have to be computed; known with the first token."""
        return self._sequence.cached_tokens

    def __next__(self) -> int:
        return next(self._tokens)

    def close(self) -> None:
        """Stop the work within one step."""
        self._tokens.close()


def generate(
    loaded: Loaded,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    max_tokens: int | None = None,
    guide: Guide | None = None,
    cancelled: threading.Event | None = None,
    lookup: bool = True,
) -> TokenStream:
    """Generate tokens after a prompt until the model ends its turn.

    Concurrent calls share the steps of the model. Keys and values of earlier prompts that begin alike are
    reused, in this and in every other call with this model.

    Args:
        loaded: The model and its tokenizer.
        prompt: Token ids, at least one.
        sampling: How tokens are chosen.
        max_tokens: Most tokens to generate; None, or more than the context has room for, fills the context.
        guide: Constrains the answer.
        cancelled: Set it from another thread to stop within one step.
        lookup: Draft tokens that repeat the prompt; the tokens are the same, but come sooner.

    Raises:
        InputTooLongError: The prompt leaves no room; raised before anything is computed.
        OutOfMemoryError: Its keys and values, and the states of a hybrid, do not fit the memory; raised
            before the prompt is read.
    """
    room = loaded.room_after(prompt)
    limit = room if max_tokens is None else min(max_tokens, room)
    _check_memory(loaded, len(prompt) + (1 if max_tokens is None else limit))
    sequence = SequenceState(
        prompt,
        sampling,
        limit=limit,
        ends=end_ids(loaded),
        device=loaded.device,
        guide=guide,
        lookup=lookup,
        cancelled=cancelled,
    )
    return TokenStream(loaded, sequence)


def _check_memory(loaded: Loaded, tokens: int) -> None:
    size = token_bytes(loaded.model.config.get_text_config(), loaded.dtype)
    states = MOST_HELD * loaded.state_bytes
    free = free_memory(loaded.device) + get_scheduler(loaded).bytes
    if tokens * size + states > free:
        beside = f" and {states / 1e9:.1f} GB of states" if states else ""
        raise OutOfMemoryError(
            f"{tokens} tokens of {loaded.name!r} need {tokens * size / 1e9:.1f} GB of keys and values "
            f"({size / 1024:.0f} KiB a token){beside}; {free / 1e9:.1f} GB are free on {loaded.device}. "
            f"At most {max(free - states, 0) // size} tokens fit: lower max_tokens, or send fewer messages "
            "or documents."
        )
