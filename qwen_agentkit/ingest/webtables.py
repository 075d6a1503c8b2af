"""Tables of web pages: cells that span rows and columns, and tables that only place things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.tables import rows_as_text

__all__ = ["Table"]

_MOST_REPEATS = 100_000
"""Cells that spans may add to a table: a page can ask for millions of them."""
_LAST_ROW = 1000
_LONGEST = 1000
"""Characters of a cell. A table without header cells that has a longer one places the parts of a page."""


class Table:
    """Collects the cells of a table."""

    def __init__(self, role: str = "") -> None:
        self.is_layout = role in ("presentation", "none")
        self.caption = ""
        self._rows: list[list[str]] = []
        self._heads: list[bool] = []  # Whether each row names columns: all of its cells are header cells.
        self._in_head = False
        self._first_heads: list[bool] = []
        self._below: dict[int, tuple[int, str]] = {}  # Cells that go on: rows left, and text, by column.
        self._repeats = 0
        self._cell: tuple[int, int, bool] | None = None

    def start_row(self, *, in_head: bool = False) -> None:
        """Begin a row; one in the head of the table names columns whatever its cells are."""
        self._rows.append([])
        self._heads.append(True)
        self._in_head = in_head
        self._first_heads.append(False)
        self._fill_from_above()

    def start_cell(self, attributes: Mapping[str, str], *, is_head: bool) -> None:
        """Begin a cell."""
        if not self._rows:
            self.start_row()
        self._cell = _span(attributes, "rowspan"), _span(attributes, "colspan"), is_head

    def end_cell(self, text: str) -> None:
        """Add the cell that was begun."""
        if self._cell is None or not self._rows:
            return
        height, width, is_head = self._cell
        self._cell = None
        row = self._rows[-1]
        if not row:
            self._first_heads[-1] = is_head
        self._heads[-1] = self._heads[-1] and (is_head or self._in_head)
        text = " ".join(text.split())
        self._repeats += height * width - 1
        if self._repeats > _MOST_REPEATS:
            height = width = 1
        first = len(row)
        row.append(text)
        row += [Spanned(text)] * (width - 1)
        if height > 1:
            for at in range(first, first + width):
                self._below[at] = (height - 1, row[at])
        self._fill_from_above()

    def drop_row(self) -> None:
        """Leave out the row that was begun last, which nobody sees."""
        del self._rows[-1:], self._heads[-1:], self._first_heads[-1:]

    def _fill_from_above(self) -> None:
        row = self._rows[-1]
        while self._below and len(row) in self._below:
            at = len(row)
            left, text = self._below.pop(at)
            row.append(text)
            if left > 1:
                self._below[at] = (left - 1, text)

    def text(self) -> str | None:
        """Return the rows as text; None if the table only places the parts of a page."""
        longest = max((len(cell) for row in self._rows for cell in row), default=0)
        if self.is_layout or (longest > _LONGEST and not any(self._heads) and not any(self._first_heads)):
            return None
        count = next((at for at, is_head in enumerate(self._heads) if not is_head), len(self._heads))
        if count == len(self._rows):
            count = 0
        if not count and self._rows and all(self._first_heads) and max(map(len, self._rows)) > 1:
            written = "\n\n".join(
                f"{row[0].rstrip(':')}: {' | '.join(row[1:])}" for row in self._rows if any(row)
            )
        else:
            parts = self._split(count) if count else [(self._rows, 0)]
            written = "\n\n".join(rows_as_text(rows, heads) for rows, heads in parts)
        return "\n\n".join(filter(None, (" ".join(self.caption.split()), written)))

    def _split(self, count: int) -> Iterator[tuple[list[list[str]], int]]:
        """Yield the parts of a table between header rows, and how many name the columns of each."""
        start = 0
        for at in range(count, len(self._rows) + 1):
            ends = at == len(self._rows)
            named = not ends and self._heads[at] and sum(map(bool, self._rows[at])) > 1
            if ends or (named and not self._heads[at - 1]):
                yield self._rows[start:at], count
                start = at
                heads = (n for n in range(at, len(self._rows)) if not self._heads[n])
                count = next(heads, at) - at


def _span(attributes: Mapping[str, str], name: str) -> int:
    value = attributes.get(name, "").strip()
    if value == "0" and name == "rowspan":  # It goes on to the end of the table.
        return _LAST_ROW
    return max(1, min(int(value), 1000)) if value.isdecimal() and len(value) < 6 else 1
