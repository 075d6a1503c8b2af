"""Strings that end a text which arrives in pieces. Knows strings only."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopStrings", "overlap"]


def overlap(text: str, string: str) -> int:
    """Return the length of the longest end of a text that is a beginning of a string, but not all of it."""
    longest = min(len(string) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(string[:n])), 0)


class StopStrings:
    """Ends a text before the first of some strings, however the text is cut into pieces.

    Attributes:
        reached: Whether one of the strings has come.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._held = ""
        self._passing = False
        self.reached = False

    def pass_newlines(self) -> None:
        """Let newlines pass until other text comes: after a thought they belong to the template."""
        self._passing = True

    def feed(self, piece: str) -> str:
        """Return the text that is certainly before any stop string."""
        if self._passing:
            body = piece.lstrip("\n")
            self._passing = not body
            newlines = piece[: len(piece) - len(body)]
            return newlines + self.feed(body) if body else newlines
        text = self._held + piece
        found = [start for string in self._strings if (start := text.find(string)) >= 0]
        if found:
            self.reached, self._held = True, ""
            return text[: min(found)]
        cut = len(text) - max((overlap(text, string) for string in self._strings), default=0)
        self._held = text[cut:]
        return text[:cut]

    def release(self) -> str:
        """Return the text held back, at a point where a stop string cannot go on."""
        held, self._held = self._held, ""
        return held
