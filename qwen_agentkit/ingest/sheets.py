"""Sheets, of Excel and of OpenDocument, into text: several tables, above and beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from qwen_agentkit.ingest.tables import rows_as_text

__all__ = ["sheet_as_text"]


def sheet_as_text(rows: Iterable[Sequence[str]]) -> str:
    """Write the tables of a sheet. An empty row ends a table, and so does an empty column between two.

    Columns that fill the same rows belong to one table, whatever is between them.
    """
    cells = [list(row) for row in rows]
    strips = list(_strips(cells))
    if len(strips) > 1 and len({tuple(_filled(strip, cells)) for strip in strips}) > 1:
        return "\n\n".join(filter(None, (rows_as_text(strip, gaps_end=True) for strip in strips)))
    return rows_as_text(cells, gaps_end=True)


def _strips(rows: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """Yield the columns between empty ones, two or more; nothing where a single column stands alone."""
    width = max(map(len, rows), default=0)
    filled = [any(at < len(row) and row[at] for row in rows) for at in range(width)]
    groups = [list(group) for has_cells, group in groupby(range(width), lambda at: filled[at]) if has_cells]
    if all(len(group) > 1 for group in groups):
        for group in groups:
            yield [list(row[group[0] : group[-1] + 1]) for row in rows]


def _filled(strip: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> Iterator[bool]:
    """Tell of each row whether a strip has cells in it, titles above all of the columns left out."""
    for part, row in zip(strip, rows, strict=True):
        yield sum(map(bool, row)) > 1 and any(part)
