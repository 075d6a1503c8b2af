"""Probabilities of a few tokens as the next one, by llama.cpp. Writes no token, knows no questions.

llama.cpp returns the likeliest tokens. So those that are asked for are made so likely that no other counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qwen_agentkit.engine.decode.options import letter_id, render_prompt
from qwen_agentkit.engine.llama.model import LlamaModel
from qwen_agentkit.errors import InputTooLongError, ModelError

__all__ = ["letter_probabilities", "next_token_probabilities"]

# Added to the logits of the tokens that are asked for.
_ALONE = 100.0


def next_token_probabilities(
    model: LlamaModel, prompts: Sequence[Sequence[int]], ids: Sequence[int], *, reuse: bool = True
) -> list[list[float]]:
    """Return how likely each of some tokens is as the next, among these tokens.

    Args:
        model: The model.
        prompts: Token ids; what a prompt shares with the one before is not read again.
        ids: The tokens.
        reuse: Whether the first prompt may use keys and values of earlier calls.

    Returns:
        For each prompt the probabilities of the tokens, which sum to 1.

    Raises:
        ModelError: The model gave logits that are not numbers.
    """
    body = {
        "prompt": [list(prompt) for prompt in prompts],
        "max_tokens": 1,
        "temperature": 1.0,
        "samplers": ["temperature"],
        "logit_bias": [[number, _ALONE] for number in ids],
        "logprobs": len(ids),
        "post_sampling_probs": True,
        "cache_prompt": reuse,
    }
    answer = model.ask("completions", max(map(len, prompts)) + 1, body)
    choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
    return [_read(model, choice, ids) for choice in choices]


def letter_probabilities(
    model: LlamaModel, prompts: Sequence[Sequence[dict[str, Any]]], letters: Sequence[str]
) -> tuple[list[list[float]], int]:
    """Return how likely a reply begins with each letter; see `decode.options.letter_probabilities`.

    Raises:
        InputTooLongError: A prompt does not fit the context.
        ModelError: The model gave logits that are not numbers.
        ModelUnsupportedError: A letter is not one token of this checkpoint.
    """
    tokens = [render_prompt(model, prompt) for prompt in prompts]
    longest = max(map(len, tokens))
    if longest >= model.context:
        raise InputTooLongError(
            f"The state and a question take {longest} tokens, and the model reads {model.context - 1}. "
            "Shorten the state, or choose a model with a longer context."
        )
    rows = []
    for prompt, some in zip(tokens, letters, strict=True):
        rows += next_token_probabilities(model, [prompt], [letter_id(model, letter) for letter in some])
    return rows, sum(map(len, tokens))


def _read(model: LlamaModel, choice: dict[str, Any], ids: Sequence[int]) -> list[float]:
    rows = choice["logprobs"]["content"][0]["top_probs"]
    found = {int(row["id"]): float(row["prob"]) for row in rows}
    some = [found.get(number, 0.0) for number in ids]
    total = sum(some)
    if not (math.isfinite(total) and total):
        raise ModelError(
            f"{model.name!r} gave logits that are not numbers. Download it again, or pass engine='torch'."
        )
    return [value / total for value in some]
