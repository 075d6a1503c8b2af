"""Prepare texts for a tokenizer: broken characters are replaced. Knows no tokens."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from qwen_agentkit.errors import InputError

__all__ = ["named", "readable", "slices", "spell_out"]

_NAMED = 3
"""How many texts a warning names."""

# What begins the name of a special token of Qwen.
_SPECIAL = re.compile(r"<\|(?=[a-z_]+\|>)")

Item = TypeVar("Item")


def readable(texts: Sequence[str], *, stacklevel: int = 4) -> list[str]:
    """Return texts that every tokenizer accepts: lone surrogates become U+FFFD, with a warning.

    Args:
        texts: The texts of a call.
        stacklevel: As for `warnings.warn`, counted from here.

    Raises:
        InputError: `texts` is no list, or an item is not a string.
    """
    if not isinstance(texts, Iterable):
        raise InputError(f"texts is {texts!r:.60}; expected a list of texts.")
    if isinstance(texts, str):
        raise InputError(f"Expected a list of texts, not the one text {texts[:60]!r}; put it in a list.")
    mended, broken = [], []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {index} is {text!r}, not text; expected a string.")
        try:
            text.encode()
            mended.append(text)
        except UnicodeEncodeError:
            # UTF-16 also joins the two halves of a character, which broken JSON decoders separate.
            mended.append(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
            broken.append(index)
    if broken:
        warnings.warn(
            f"{len(broken)} of {len(texts)} texts hold lone surrogates, which are not characters. U+FFFD "
            f"replaces them in {named(broken, texts)}. Decode the source with the right encoding.",
            stacklevel=stacklevel,
        )
    return mended


def spell_out(texts: Sequence[str]) -> list[str]:
    """Return texts in which no special token stands, for readers that would take its name for the token.

    A space keeps "<|im_end|>" from being read as the end of a turn. Models in this process need none: their
    tokenizer reads the name as so many characters.
    """
    return [_SPECIAL.sub("< |", text) for text in texts]


def named(indices: Sequence[int], texts: Sequence[str]) -> str:
    """Return the index and the first words of the first few texts, for a message."""
    first = ", ".join(f"text {index} ({texts[index][:40]!r})" for index in indices[:_NAMED])
    return first + (", ..." if len(indices) > _NAMED else "")


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in slices of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
