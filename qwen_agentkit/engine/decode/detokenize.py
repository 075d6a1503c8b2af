"""Tokens back to text while they are being written. Knows vocabularies, not models."""

from __future__ import annotations

import codecs

from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer

__all__ = ["Detokenizer"]


def _byte_letters() -> dict[str, int]:
    """Return the byte of each letter of a byte-level vocabulary, as GPT-2 chose them.

    Printable bytes stand for themselves, the others for the letters from U+0100 on.
    """
    printable = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    }
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_letters()


class Detokenizer:
    """Turns tokens into text as soon as whole characters are there.

    A character of several bytes may be spread over tokens; it comes out with the last of them. A character
    that the end of the output cut in two is left out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
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
