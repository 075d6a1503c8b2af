"""Words divided at the ends of lines: whether their hyphens belong to them, by the whole document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["JOINT", "join_words"]

JOINT = "\ufdd0"
"""Stands where a line ended with a hyphen that may divide a word. No text has this character: Unicode keeps
it for use inside programs."""
_DIVIDED = re.compile(rf"([^\W_][\w'’-]*){JOINT}([^\W_][\w'’-]*)")
_WORD = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*")
_PART = 4
"""The fewest letters of a word beside a hyphen: shorter ones are often syllables."""
_ENDING = 3
"""A word that others continue by so many letters is a prefix too: "over" beside "overall"."""


def join_words(texts: Sequence[str]) -> list[str]:
    """Return the texts of a document without `JOINT`: a hyphen where it belongs to the word, else nothing.

    The form that the document has elsewhere is right. If it has neither, two whole words of the document keep
    the hyphen ("well-known"), and syllables do not.
    """
    if not any(JOINT in text for text in texts):
        return list(texts)
    words = Counter(
        word.replace("\u2010", "-")
        for text in texts
        for word in _WORD.findall(_DIVIDED.sub(" ", text).casefold())
    )

    def join(match: re.Match[str]) -> str:
        first, second = match.groups()
        return (
            f"{first}-{second}"
            if _keeps_hyphen(first.casefold(), second.casefold(), words)
            else first + second
        )

    return [_DIVIDED.sub(join, text).replace(JOINT, "") for text in texts]


def _keeps_hyphen(first: str, second: str, words: Counter[str]) -> bool:
    if "-" in first or "-" in second:  # the middle of "state-of-the-art"
        return True
    joined, hyphenated = words[first + second], words[f"{first}-{second}"]
    if joined or hyphenated:
        return hyphenated > joined
    if min(len(first), len(second)) < _PART or not (words[first] and words[second]):
        return False
    return not any(
        word.startswith(first) and word[len(first) :].isalpha() and len(word) >= len(first) + _ENDING
        for word in words
    )
