"""Text of every script in a terminal. Knows columns, colours and directions, no models."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

__all__ = ["console", "directed", "line"]

# Unicode isolates: what is inside keeps its own direction and does not disturb its neighbours.
_LEFT, _RIGHT, _END = "\u2066", "\u2067", "\u2069"

# Characters that give a terminal orders: colours, its title, the clipboard. A tab and a line feed are text.
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A})

# Characters that turn the direction of whatever follows them; marks such as U+200F do not.
_TURNS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


class _Console(Console):
    """Shows what documents and models say, and does nothing that they say."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(_CONTROLS))


def console(*, stderr: bool = False) -> Console:
    """A console that leaves text alone: no markup, no highlighting, no emoji codes."""
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


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
    return (_RIGHT if _is_right_to_left(text) else _LEFT) + text.translate(_TURNS) + _END


def _is_right_to_left(text: str) -> bool:
    """Direction of the first strong character, as the bidirectional algorithm decides (UAX #9, P2)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("R", "AL"):
            return True
        if direction == "L":
            return False
    return False
