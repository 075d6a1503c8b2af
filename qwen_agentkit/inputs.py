"""Texts of others, made ready for a model: broken characters, endless texts. Knows texts and token ids."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from qwen_agentkit.errors import InputError

if TYPE_CHECKING:
    from qwen_agentkit.engine.loading import Loaded

__all__ = ["encode", "named", "readable", "slices"]

# Characters looked at first for every token wanted: few texts have longer tokens on average.
_CHARACTERS = 8

# Tokens next to a cut that the missing text could have changed.
_SEAM = 64

# Texts a warning names; more are counted.
_NAMED = 3

Item = TypeVar("Item")


def readable(texts: Sequence[str], *, stacklevel: int = 4) -> list[str]:
    """Texts that every tokenizer takes: lone surrogates, which are no characters, become U+FFFD.

    Warns, naming the first few, when there are any.

    Args:
        texts: the texts of a call.
        stacklevel: as for `warnings.warn`, from here.

    Raises:
        InputError: `texts` is one string, or holds something else than strings.
    """
    if isinstance(texts, str):
        raise InputError(f"Expected a list of texts, not the one text {texts[:60]!r}; put it in a list.")
    mended, broken = [], []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {index} is {text!r}, a {type(text).__name__}; expected a string.")
        try:
            text.encode()
            mended.append(text)
        except UnicodeEncodeError:
            # UTF-16 also joins the two halves of a character, which broken JSON decoders leave apart.
            mended.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
            broken.append(index)
    if broken:
        warnings.warn(
            f"{len(broken)} of {len(texts)} texts hold lone surrogates, which are no characters, read as "
            f"U+FFFD: {named(broken, texts)}. Decode the source with the right encoding.",
            stacklevel=stacklevel,
        )
    return mended


def named(indices: Sequence[int], texts: Sequence[str]) -> str:
    """The first few of `texts` by index and first words, for a message."""
    first = ", ".join(f"text {index} ({texts[index][:40]!r})" for index in indices[:_NAMED])
    return first + (", ..." if len(indices) > _NAMED else "")


def encode(loaded: Loaded, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of texts of others, of longer ones at least the first `limit` and one more.

    Tokenising a text of millions of characters takes seconds; only as much is tokenised as can be read,
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


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items`, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
