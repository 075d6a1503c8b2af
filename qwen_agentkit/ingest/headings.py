"""The headings of a text in Markdown: ATX and Setext, outside fenced code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Heading", "find_headings", "mark_fenced"]

_ATX = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.*)$")
_UNDERLINE = re.compile(r"[ ]{0,3}(={2,}|-{3,})[ \t]*$")
_NO_TITLE = re.compile(r"\s*(?:[-*+>|#=]|\d+[.)]\s|$)")
"""The beginning of lines that a row of dashes does not make a heading of: items, quotes, rows, nothing."""
_FENCE = re.compile(r"[ ]{0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$")


class Heading(NamedTuple):
    """A heading: its lines are ``text[start:end]``, its level is 1 to 6."""

    start: int
    end: int
    level: int
    title: str


def mark_fenced(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a text with their ends, and whether they belong to a fenced block of code.

    A block ends with at least as many of the same marks as it began with (CommonMark 0.31, 4.5).
    """
    opened = ""
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line.rstrip("\r\n"))
        yield line, bool(opened or fence)
        if not opened:
            opened = fence[1] if fence else ""
        elif fence and fence[1].startswith(opened) and not fence[2].strip():
            opened = ""


def find_headings(text: str) -> Iterator[Heading]:
    """Yield the headings of a text in order."""
    position = 0
    above, before = "", ""  # The line above, and the one above that.
    for line, fenced in mark_fenced(text):
        bare = "\n" if fenced else line
        if found := _ATX.match(bare.rstrip("\n")):
            title = _strip_closing_marks(found[2])
            yield Heading(position, position + len(line), len(found[1]), title)
        elif (mark := _underline(bare, above)) and not before.strip():
            yield Heading(position - len(above), position + len(line), "=-".index(mark) + 1, above.strip())
        # What follows a block of code is no second line of its paragraph, and code is no title.
        above, before = ("" if fenced else line), ("" if fenced else above)
        position += len(line)


def _underline(line: str, above: str) -> str:
    """Return the mark of a line that makes a heading of the one above it; empty if it is no such line."""
    found = _UNDERLINE.match(line.rstrip("\n"))
    return found[1][0] if found and not _NO_TITLE.match(above) else ""


def _strip_closing_marks(heading: str) -> str:
    """Remove the closing marks of a heading: "# One ##"."""
    return heading.rstrip(" \t").rstrip("#").rstrip(" \t")
