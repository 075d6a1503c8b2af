"""Texts that come from outside: whether there is anything to read in them, and titles in one line."""

from __future__ import annotations

import unicodedata

from qwen_agentkit.errors import InputError

__all__ = ["INVISIBLE", "JOINERS", "check_visible", "one_line"]

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that control, join or turn others, or that are none."""
JOINERS = "\u200c\u200d"
"""They have no width, and words of Persian and Hindi need them."""


def check_visible(text: str, what: str) -> str:
    """Return a text that holds at least one character to see.

    Args:
        text: Of a request.
        what: Names it in the error.

    Raises:
        InputError: It is empty, or holds only white space and invisible characters.
    """
    if all(character.isspace() or unicodedata.category(character) in INVISIBLE for character in text):
        raise InputError(f"{what} is empty; expected words.")
    return text


def one_line(text: str) -> str:
    """Return a text in one line, without characters that cannot be seen or turn the direction of others."""
    shown = (
        character
        for character in " ".join(text.split())
        if character in JOINERS or unicodedata.category(character) not in INVISIBLE
    )
    return "".join(shown)
