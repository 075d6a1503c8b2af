"""Tokens back to text while they are being written. Knows vocabularies, not models."""

from __future__ import annotations

import codecs

from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

__all__ = ["Detokenizer"]

_LETTERS = bytes_to_unicode()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}


class Detokenizer:
    """Turns tokens into text as soon as whole characters are there.

    A character of several bytes may be spread over tokens; it comes out with the last of them. A character
    that the end of the output cut in two is left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._added = tokenizer.added_tokens_decoder
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """Return the text that this token completes; special tokens have none."""
        if token in self._added:
            added = self._added[token]
            return "" if added.special else self._decoder.decode(added.content.encode())
        piece = self._tokenizer.convert_ids_to_tokens(token)  # None for the padding after the vocabulary
        return self._decoder.decode(bytes(_BYTES[letter] for letter in piece or ""))
