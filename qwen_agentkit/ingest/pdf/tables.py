"""The cells of a table on paper into rows that repeat the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["as_table"]

_VALUE = re.compile(r"[^\w]*\d[\d\s.,:/٫٬%€$£¥+-]*[^\d]{0,6}")
"""A cell that holds a number, with a unit at most."""


def as_table(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Write a table as rows such as "Name: Anna | City: Cairo".

    Columns get names only where the first line is a head beyond doubt: a wrong name makes a wrong fact.
    Elsewhere cells are separated by bars.

    Returns:
        The rows; None if the lines form no table.
    """
    rows = _join_wrapped(rows)
    if sum(sum(map(bool, row)) > 1 for row in rows) < max(2, len(rows) / 2):
        return None
    if _has_head(rows):
        names = rows[0]
        return [" | ".join(_name(names, row)) for row in rows[1:]]
    return ["\n".join(map(_without_names, rows))]


def _without_names(row: Sequence[str]) -> str:
    is_field = len(row) == 2 and row[0].endswith(":")
    return (" " if is_field else " | ").join(filter(None, row))


def _join_wrapped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Add lines that continue a cell of the row above: their first cell is empty, and most others."""
    joined: list[list[str]] = []
    for row in rows:
        filled = sum(map(bool, row))
        goes_on = joined and all(above for above, cell in zip(joined[-1], row, strict=True) if cell)
        if goes_on and not row[0] and filled <= len(row) / 2:
            joined[-1] = [f"{above} {cell}".strip() for above, cell in zip(joined[-1], row, strict=True)]
        else:
            joined.append(list(row))
    return joined


def _has_head(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns."""
    head, body = rows[0], rows[1:]
    if not all(head) or not body or any(re.search(r"\d", cell) or cell.endswith(":") for cell in head):
        return False
    columns = list(zip(*body, strict=True))
    numbers = any(
        any(column) and all(_VALUE.fullmatch(cell) for cell in column if cell) for column in columns
    )
    # Without numbers, a head can be taken for a row, and the lines of a wrapped cell for rows.
    complete = len(head) > 2 and len(body) > 1 and all(all(row) for row in body)
    return numbers or (complete and not any(cell[0].islower() for row in body for cell in row))


def _name(names: Sequence[str], cells: Sequence[str]) -> list[str]:
    return [f"{name}: {cell}" for name, cell in zip(names, cells, strict=True) if cell]
