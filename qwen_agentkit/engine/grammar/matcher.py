"""Compiled grammars: which tokens may come next. Knows vocabularies and Lark grammars, no chats or models."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.errors import InputError, ModelError

__all__ = ["Matcher", "compile_grammar", "read_vocabulary"]

# Compiled grammars kept for each vocabulary: an agent has a handful of tool sets and answer schemas.
_MOST_GRAMMARS = 64


class Matcher:
    """Follows one output through a grammar.

    Args:
        matcher: At its start, and not shared.
        vocabulary: The vocabulary that it was compiled for.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: LLTokenizer) -> None:
        self._matcher = matcher
        self._end = vocabulary.eos_tokens[0]
        self._allowed = torch.zeros((vocabulary.vocab_size + 31) // 32, dtype=torch.int32)

    def accept(self, token: int) -> None:
        """Take the next token of the output.

        Raises:
            ModelError: The grammar does not allow the token here.
        """
        if not self._matcher.consume_token(token):
            raise ModelError(self._failure())

    def forced(self) -> list[int]:
        """Return the tokens that have to come next; at the end of the grammar, the end token."""
        if self._matcher.is_stopped():
            return [self._end]
        return list(self._matcher.compute_ff_tokens())

    def mask(self, logits: Tensor) -> None:
        """Set the logits (vocabulary,) of tokens that may not come next to -inf, in place.

        Raises:
            ModelError: The grammar exceeded its limits.
        """
        packed = self._allowed
        self._matcher.unsafe_compute_mask_ptr(packed.data_ptr(), packed.numel() * packed.element_size())
        if self._matcher.is_error():
            raise ModelError(self._failure())
        with torch.inference_mode():
            bits = torch.arange(32, dtype=torch.int32, device=logits.device)
            allowed = (packed.to(logits.device)[:, None] >> bits & 1).flatten()[: len(logits)] != 0
            logits[: len(allowed)].masked_fill_(~allowed, -torch.inf)
            logits[len(allowed) :] = -torch.inf  # padding after the vocabulary

    def _failure(self) -> str:
        reason = self._matcher.get_error().partition("\n")[0]
        return f"The answer cannot follow its grammar: {reason}. Use a simpler schema, or none."


def compile_grammar(loaded: Vocabulary, lark: str) -> Matcher:
    """Compile a grammar for the vocabulary of a checkpoint, or copy one that was compiled before.

    Args:
        loaded: The checkpoint; a token that ends its turns may follow a complete output.
        lark: The grammar, in llguidance's dialect of Lark.

    Raises:
        InputError: The grammar is too large, or cannot be expressed.
    """
    with _lock:
        grammars = _grammars.get(loaded.tokenizer)
        if grammars is None:
            grammars = _grammars[loaded.tokenizer] = _Grammars(loaded)
        return Matcher(grammars.copy(lark), grammars.vocabulary)


def read_vocabulary(tokenizer: Tokenizer, ends: Sequence[int]) -> LLTokenizer:
    """Return llguidance's view of a vocabulary, which takes a second or two for the 150,000 tokens of Qwen.

    Added tokens get names that occur in no text, and grammars refer to them by number. With its own name, the
    token of `<tool_call>` would be forced where a schema has a property of that name, and it is not allowed
    there.

    Args:
        tokenizer: The tokenizer with the vocabulary.
        ends: Tokens that may follow a complete output, the usual one first.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    names = {added["content"]: f"<\ufdd0{added['id']}>" for added in state["added_tokens"]}
    for added in state["added_tokens"]:
        added["content"] = names[added["content"]]
    vocabulary = state["model"]["vocab"]
    state["model"]["vocab"] = {names.get(token, token): number for token, number in vocabulary.items()}
    return LLTokenizer(json.dumps(state), eos_token=list(ends))


class _Grammars:
    """The grammars compiled for one tokenizer."""

    def __init__(self, loaded: Vocabulary) -> None:
        find = loaded.tokenizer.backend_tokenizer.token_to_id
        # The token with which the chat template ends a turn comes first.
        ends = sorted(end_ids(loaded), key=lambda token: token != find("<|im_end|>"))
        self.vocabulary = read_vocabulary(loaded.tokenizer, ends)
        self._compiled: dict[str, LLMatcher] = {}

    def copy(self, lark: str) -> LLMatcher:
        """Return a matcher at the start of a grammar, which is compiled if it is new."""
        compiled = self._compiled.pop(lark, None) or _compile(self.vocabulary, lark)
        self._compiled[lark] = compiled  # the most recently used ones are last
        if len(self._compiled) > _MOST_GRAMMARS:
            del self._compiled[next(iter(self._compiled))]
        return compiled.deep_copy()


_grammars: WeakKeyDictionary[Tokenizer, _Grammars] = WeakKeyDictionary()
_lock = threading.Lock()


def _compile(vocabulary: LLTokenizer, lark: str) -> LLMatcher:
    matcher = LLMatcher(vocabulary, LLMatcher.grammar_from_lark(lark), log_level=0)
    if matcher.is_error():
        reason = matcher.get_error().partition("\n")[0]
        raise InputError(f"No grammar fits the answer: {reason}. Offer fewer tools or a simpler schema.")
    return matcher
