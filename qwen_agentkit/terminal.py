"""Text of every script in a terminal. Knows columns, colours and directions, no models."""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console
from rich.text import Text

__all__ = ["console", "directed", "line"]

# Unicode isolates: what is inside keeps its own direction and does not disturb its neighbours.
_LEFT, _RIGHT, _END = "\u2066", "\u2067", "\u2069"


def console(*, stderr: bool = False) -> Console:
    """A console that leaves text alone: no markup, no highlighting, no emoji codes."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def directed(text: str) -> str:
    """Each line of `text` isolated in its own direction, where a person reads it.

    A terminal that knows the bidirectional algorithm then shows an Arabic quote, its full stop and the
    marker after it in their places. Letters stay in logical order: reversing them here would garble
    such terminals and every copy and paste. Output that is no terminal gets no marks.
    """
    if not sys.stdout.isatty():
        return text
    return "\n".join(_isolated(part) if part.strip() else part for part in text.split("\n"))


def line(label: str, text: str, *, style: str = "") -> Text:
    """One line: a label read from left to right, then text in its own direction."""
    return Text.assemble((label, style), directed(text))


def _isolated(text: str) -> str:
    return (_RIGHT if _is_right_to_left(text) else _LEFT) + text + _END


def _is_right_to_left(text: str) -> bool:
    """Direction of the first strong character, as the bidirectional algorithm decides (UAX #9, P2)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("R", "AL"):
            return True
        if direction == "L":
            return False
    return False
