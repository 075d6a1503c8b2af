"""Texts of others, made ready for a model: broken characters. Knows no tokens."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from qwen_agentkit.errors import InputError

if TYPE_CHECKING:
    pass

__all__ = ["named", "readable", "slices"]

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


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items`, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
