"""Token ids of texts of others, and those that end a turn. Knows a loaded tokenizer, no prompts."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary

__all__ = ["encode", "end_ids"]

# Characters looked at first for every token wanted: few texts have longer tokens on average.
_CHARACTERS = 8

# Tokens next to a cut that the missing text could have changed.
_SEAM = 64


def encode(loaded: Vocabulary, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of texts of others, of longer ones at least the first `limit` and one more.

    Tokenizing a text of millions of characters takes seconds; only as much is tokenized as can be read,
    and the tokens next to a cut, which more text could have changed, are never among the first `limit`.
    """
    wanted = limit + _SEAM
    first = _CHARACTERS * wanted
    encoded = loaded.encode_data([text[:first] for text in texts])
    for index, text in enumerate(texts):
        size = first
        while size < len(text) and len(encoded[index]) < wanted:
            size *= 4
            [encoded[index]] = loaded.encode_data([text[:size]])
    return encoded


def end_ids(loaded: Vocabulary) -> frozenset[int]:
    """Return every token that ends a turn.

    Checkpoints disagree on where they list them, and some list one of the two only.
    """
    tokenizer, listed = loaded.tokenizer, loaded.generation.get("eos_token_id")
    find = tokenizer.backend_tokenizer.token_to_id
    known = [find("<|im_end|>"), find("<|endoftext|>"), tokenizer.eos_token_id]
    known += listed if isinstance(listed, list) else [listed]
    return frozenset(token for token in known if token is not None)
