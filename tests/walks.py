"""Answers written at random inside a grammar, which then have to fit their schemas."""

from __future__ import annotations

import warnings

import torch

from qwen_agentkit.chat.parsing import Dialect
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.matcher import Matcher, compile_grammar
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar

__all__ = ["matcher_of", "walk"]


def matcher_of(loaded: Loaded, turn: Turn, dialect: Dialect = "json") -> Matcher:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grammar = turn_grammar(turn, Tags(loaded.tokenizer), dialect, thinking=False, opened=False)
    return compile_grammar(loaded, grammar)


def walk(loaded: Loaded, turn: Turn, seed: int, dialect: Dialect = "json") -> str | None:
    """Write at random, with a growing wish to end; None if that takes too long."""
    matcher, dice = matcher_of(loaded, turn, dialect), torch.Generator().manual_seed(seed)
    ends = end_ids(loaded)
    wish = torch.zeros(len(loaded.tokenizer))
    for text in ('"', "}", "]", '",', '"}', ", ", ": ", "0", "1", "}}", "\n"):
        wish[loaded.encode_prompt(text)] = 3.0
    wish[list(ends)] = 6.0
    tokens: list[int] = []
    while len(tokens) < 250:
        logits = torch.randn(len(wish), generator=dice) + wish * min(1.0, 0.2 + len(tokens) / 30)
        matcher.mask(logits)
        matcher.accept(token := int(logits.argmax()))
        if token in ends:
            return str(loaded.tokenizer.decode(tokens))
        tokens.append(token)
    return None
