"""What the styles of a Word file say of the paragraphs that have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Styles"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Styles:
    """The styles of a document, which inherit from each other.

    Reads the elements, since python-docx looks through all styles for the base of each.

    Args:
        styles: The element that holds the styles.
    """

    def __init__(self, styles: Any) -> None:
        self._names: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._numbers: dict[str, Any] = {}
        for style in styles.iterchildren(f"{_W}style"):
            code = style.get(f"{_W}styleId") or ""
            named, base = style.find(f"{_W}name"), style.find(f"{_W}basedOn")
            number = style.find(f"{_W}pPr/{_W}numPr")
            self._names[code] = "" if named is None else str(named.get(f"{_W}val")).lower()
            self._bases[code] = "" if base is None else base.get(f"{_W}val") or ""
            if number is not None:
                self._numbers[code] = number

    def _line(self, style: str) -> Iterator[str]:
        """Yield a style and what it is based on; a broken file may have a cycle of bases."""
        for _ in range(9):
            if style not in self._names:
                return
            yield style
            style = self._bases[style]

    def marks(self) -> dict[str, str]:
        """Return the Markdown mark of each style by its id."""
        marks = {}
        for style in self._names:
            for base in self._line(style):
                if heading := re.fullmatch(r"heading ([1-9])|title", self._names[base]):
                    marks[style] = "#" * min(6, int(heading[1] or 1)) + " "
                elif self._names[base].startswith(("list bullet", "list number")) or base in self._numbers:
                    marks[style] = "- "
                if style in marks:
                    break
        return marks

    def numbers(self) -> dict[str, tuple[str, int | None]]:
        """Return the numbering of each style by its id, and its level where the style says it."""
        numbers = {}
        for style in self._names:
            for base in self._line(style):
                found = self._numbers.get(base)
                if found is not None and (number := found.find(f"{_W}numId")) is not None:
                    level = found.find(f"{_W}ilvl")
                    depth = int(level.get(f"{_W}val") or 0) if level is not None else None
                    numbers[style] = (number.get(f"{_W}val") or "", depth)
                    break
        return numbers
