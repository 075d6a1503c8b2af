"""Probabilities of the letters that a model may reply with, for many prompts at once. Writes no token.

Prompts that begin with the same tokens share the keys and values of what they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.chat.tags import CLOSE_THINK
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import chat_template
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, compute_logits, forward, token_batches
from qwen_agentkit.engine.forward.prefixes import common_length
from qwen_agentkit.errors import InputTooLongError, ModelError, ModelUnsupportedError

__all__ = ["letter_id", "letter_probabilities", "render_prompt"]


def letter_probabilities(
    loaded: Loaded, prompts: Sequence[Sequence[dict[str, Any]]], letters: Sequence[str]
) -> tuple[list[list[float]], int]:
    """Return how likely a reply begins with each letter, among the letters.

    The model does not think first: a checkpoint that always thinks is given an empty thought.

    Args:
        loaded: A chat checkpoint.
        prompts: Messages as chat templates read them.
        letters: The letters that each prompt allows.

    Returns:
        The probabilities of the letters of each prompt, which sum to 1, and the number of tokens read.

    Raises:
        InputTooLongError: A prompt does not fit the context.
        ModelError: The model gave logits that are not numbers.
        ModelUnsupportedError: A letter is not one token of this checkpoint.
    """
    tokens = [render_prompt(loaded, prompt) for prompt in prompts]
    longest = max(map(len, tokens))
    if longest > loaded.context:
        raise InputTooLongError(
            f"The state and a question take {longest} tokens, and the model reads {loaded.context}. Shorten "
            "the state, or raise context_window."
        )
    ids = {letter: letter_id(loaded, letter) for letter in set("".join(letters))}
    read, logits = _read(loaded, tokens)
    if not torch.isfinite(logits).all():
        raise ModelError(
            f"{loaded.name!r} gave logits that are not numbers in {loaded.dtype}; try dtype='float32', "
            "and if that gives the same, download its weights again."
        )
    wanted = [[ids[letter] for letter in some] for some in letters]
    return [torch.softmax(row[some], 0).tolist() for row, some in zip(logits, wanted, strict=True)], read


def render_prompt(loaded: Vocabulary, messages: Sequence[dict[str, Any]]) -> list[int]:
    """Return the tokens of a prompt after which the reply begins at once, without a thought."""
    template = chat_template(loaded)
    prompt = template.prompt(messages, thinking=False if template.can_think and template.can_skip else None)
    return prompt.tokens + (loaded.encode_prompt(f"\n{CLOSE_THINK}\n\n") if prompt.opened else [])


def letter_id(loaded: Vocabulary, letter: str) -> int:
    """Return the token of a letter.

    Raises:
        ModelUnsupportedError: It is not one token of this checkpoint.
    """
    ids = loaded.encode_prompt(letter)
    if len(ids) != 1:
        raise ModelUnsupportedError(
            f"{loaded.name!r} has no token for the letter {letter!r}; expected a checkpoint with Qwen's "
            "vocabulary. Choose another checkpoint, or ask with fewer options."
        )
    return ids[0]


def _read(loaded: Loaded, prompts: Sequence[list[int]]) -> tuple[int, Tensor]:
    """Read what all prompts share once, then the rest of each; (tokens read, logits of each prompt)."""
    shared = min(common_length(prompts[0], prompt) for prompt in prompts)
    shared = min(shared, min(map(len, prompts)) - 1)  # the last token of each is read for its logits
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    for start in range(0, shared, loaded.token_budget):
        part = prompts[0][start : min(start + loaded.token_budget, shared)]
        loaded.compute(partial(forward, loaded.model, [Segment(part, cache, read=0)]))
    tails = [prompt[shared:] for prompt in prompts]
    rows: list[Tensor] = [torch.empty(0)] * len(tails)
    for batch in token_batches([len(tail) for tail in tails], loaded.token_budget):
        segments = [Segment(tails[i], cache, keep=False) for i in batch]
        found = loaded.compute(partial(compute_logits, loaded.model, segments)).cpu()
        for index, row in zip(batch, found, strict=True):
            rows[index] = row
    return shared + sum(map(len, tails)), torch.stack(rows)
