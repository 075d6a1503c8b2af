"""Choosing the next token from its logits. Knows tensors and numbers, no model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Sampling", "choose_token"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: Share of the probability mass that is kept, 0..1.
        top_k: Tokens that are kept; 0 keeps all.
        min_p: Smallest probability kept, as a share of the largest, 0..1.
        presence_penalty: Subtracted from the logit of each token that was generated before.
        repetition_penalty: Divides the positive and multiplies the negative logits of tokens of the prompt
            and the answer (CTRL, arXiv:1909.05858, as transformers does it).
        seed: Makes the choices repeatable; None draws a new one.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None


def choose_token(
    logits: Tensor,
    sampling: Sampling,
    generated: Collection[int],
    generator: torch.Generator,
    prompt: Collection[int] = (),
) -> int:
    """Return the next token.

    Args:
        logits: (vocabulary,), fp32; changed in place.
        sampling: How to choose.
        generated: Tokens of the answer so far.
        generator: Source of randomness; not used at temperature 0.
        prompt: Tokens before the answer.
    """
    if sampling.repetition_penalty != 1:
        known = list({*prompt, *generated})
        seen = logits[known]
        penalty = sampling.repetition_penalty
        logits[known] = torch.where(seen > 0, seen / penalty, seen * penalty)
    if sampling.presence_penalty and generated:
        logits[list(generated)] -= sampling.presence_penalty
    if sampling.temperature == 0:
        return int(logits.argmax())
    scores, tokens = (logits / sampling.temperature).topk(min(sampling.top_k or len(logits), len(logits)))
    shares = scores.softmax(-1)  # largest first
    before = shares.cumsum(-1) - shares
    kept = (before < sampling.top_p) & (shares >= sampling.min_p * shares[0])
    kept[0] = True  # top_p=0 keeps one token
    return int(tokens[torch.multinomial(shares * kept, 1, generator=generator)])
