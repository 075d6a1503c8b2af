"""Tokens to text while they are being generated. Knows vocabularies, not models."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to import
    from transformers import PreTrainedTokenizerFast

__all__ = ["Detokenizer"]


def _byte_alphabet() -> dict[str, int]:
    """Return the byte that each letter of a byte-level BPE vocabulary stands for.

    It is the alphabet of GPT-2: printable characters of Latin-1 stand for themselves, and the other bytes, in
    their order, are the characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTES = _byte_alphabet()


class Detokenizer:
    """Turns tokens into text as soon as its characters are complete.

    A character of several bytes may be spread over tokens; it comes out with the last of them. A character
    that the end of the output cuts in two is left out.
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
