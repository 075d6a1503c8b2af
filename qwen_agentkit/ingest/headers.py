"""Which rows of a table name its columns: found by their shape beside the rows below, not by being first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise

__all__ = ["Spanned", "find_header", "join_names"]

_SEARCHED = 10
"""The first rows of a table, one of which may be its header."""
_SAMPLE = 60
"""The rows below a header that it is compared with."""
_ENOUGH = 2
"""The evidence that a header needs: one column of figures, or two weaker signs."""
_NEVER = -100.0

_TOTALS = frozenset({
    "total", "totals", "sum", "summe", "gesamt", "totale", "totaal", "suma", "toplam", "итого", "всего",
    "المجموع", "الإجمالي", "合计", "总计", "合計", "總計", "합계",
})  # fmt: skip
_VALUES = frozenset({"TRUE", "FALSE", "#N/A", "#DIV/0!", "#REF!", "#NAME?", "#VALUE!", "#NUM!", "#NULL!"})
_YEAR = re.compile(r"(?:19|20)\d\d(?:\s*[/–-]\s*\d{2,4}|-\d\d-\d\d)?")
"""Years, seasons such as 2023/24, and days: figures that may name columns."""
_SENTENCE = re.compile(r"[.!?。！？؟।,،;]\s|[.!?。！？؟।]$")


class Spanned(str):
    """The text of a merged cell in a column that it goes on over."""

    __slots__ = ()


def find_header(rows: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """Return the first row of a header and the row behind it; None if no row names the columns.

    A header has words where the rows below have figures, dates, codes or sentences, is as wide as they are,
    and does not repeat their values.

    Args:
        rows: The cells of the rows, from the first row that is not empty to the last.
    """
    tried = range(min(_SEARCHED, len(rows) - 1))
    scores = [(_score(rows[at], rows[at + 1 : at + 1 + _SAMPLE]), -at) for at in tried]
    score, place = max(scores, default=(_NEVER, 0))
    if score < _ENOUGH:
        return None
    first = -place
    while first and _groups(rows[first - 1], rows[first]):
        first -= 1
    return first, 1 - place


def join_names(header: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the columns: those of several rows joined, such as "2022 Q1"."""
    width = max(map(len, header), default=0)
    filled = [_fill(row, header[-1], width) if row is not header[-1] else row for row in header]
    columns = ([row[at] if at < len(row) else "" for row in filled] for at in range(width))
    return [" ".join(dict.fromkeys(filter(None, column))) for column in columns]


def _fill(row: Sequence[str], names: Sequence[str], width: int) -> list[str]:
    """Extend each group to the right over the columns that the row of names has."""
    filled: list[str] = []
    for at in range(width):
        cell = row[at] if at < len(row) else ""
        goes_on = not cell and filled and at < len(names) and names[at]
        filled.append(filled[-1] if goes_on else cell)
    return filled


def _groups(above: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether a row above the names groups them: it spans some, or they cannot stand alone."""
    cells = [cell for cell in above if cell and not isinstance(cell, Spanned)]
    if not cells or any(_kind(cell) == "number" and not _YEAR.fullmatch(cell) for cell in cells):
        return False
    if any(isinstance(cell, Spanned) for cell in above):
        return len(cells) > 1
    own = [name for name in names if name]
    below_nothing = any(cell and not name for cell, name in zip(above, names, strict=False))
    repeated = len(set(own)) < len(own)
    reaches = len(above) >= len(names) or (repeated and not above[0])
    return len(cells) > 1 and (repeated or below_nothing) and reaches


def _score(row: Sequence[str], below: Sequence[Sequence[str]]) -> float:
    """Return the evidence that a row is a header of the rows below it."""
    filled = [at for at, cell in enumerate(row) if cell and not isinstance(cell, Spanned)]
    below = _until_label([other for other in below if list(other) != list(row)])
    if not below:
        return _NEVER
    widths = sorted(_count_filled(other) for other in below)
    usual = widths[len(widths) // 2]
    if len(filled) < 2 or len(filled) < 0.6 * usual or _is_vertical(below):
        return _NEVER
    cells = [row[at] for at in filled]
    has_corner = not row[0] and all(other[0] and _kind(other[0]) == "text" for other in below if other)
    if any(cell.endswith((":", "：")) for cell in cells) or not _may_be_names(cells, has_corner=has_corner):
        return _NEVER
    columns = ([other[at] for other in below if at < len(other) and other[at]] for at in filled)
    score = sum(map(_compare, cells, columns))
    gaps = sum(1 for width in widths if width < len(filled))
    score += 0.5 if len(widths) > 1 and 3 * gaps >= len(widths) else 0
    return score - (0 if len(set(cells)) == len(cells) else 1)


def _until_label(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the rows above one of a single cell, below which another table may begin."""
    end = next((at for at, row in enumerate(rows) if at and _count_filled(row) < 2), len(rows))
    return rows[:end]


def _may_be_names(cells: Sequence[str], *, has_corner: bool) -> bool:
    """Tell whether no cell is a figure, except years and numbers that count on evenly.

    Args:
        cells: The cells of the row.
        has_corner: Whether the row begins with an empty cell above words, as tables of two dimensions do.
    """
    if any(cell in _VALUES for cell in cells):
        return False
    figures = [cell for cell in cells if _kind(cell) == "number"]
    if not figures or all(_YEAR.fullmatch(cell) for cell in figures):
        return len(figures) < len(cells) or len(set(figures)) == len(figures) > (1 if has_corner else 2)
    if len(figures) < 3 or not all(cell.isdecimal() and len(cell) < 9 for cell in figures):
        return False
    steps = {int(after) - int(before) for before, after in pairwise(figures)}
    return steps == {1}


def _compare(name: str, column: Sequence[str]) -> float:
    """Return the evidence of one column: how its first cell differs from those below."""
    if not column:
        return 1 if _is_usual(name) else 0
    if name in column:
        return -2
    share = 1 / len(column)
    kinds = [_kind(cell) for cell in column]
    figures = share * sum(kind != "text" for kind in kinds)
    numbers = share * sum(kind == "number" for kind in kinds)
    score = 0.0
    if _kind(name) == "text" and figures >= 0.7:
        score += 2
    elif _kind(name) == "mixed" and numbers >= 0.7:
        score += 1.5
    elif _YEAR.fullmatch(name) and numbers >= 0.7 and not all(map(_YEAR.fullmatch, column)):
        score += 1
    if _is_usual(name) and share * sum(map(_is_usual, column)) < 0.3:
        score += 1
    if not _SENTENCE.search(name) and share * sum(bool(_SENTENCE.search(cell)) for cell in column) >= 0.6:
        score += 1
    if _is_written_otherwise(name, column):
        score += 0.5
    if len(column) >= 4 and len(set(column)) <= len(column) / 2:
        score += 1  # Values that repeat would hold the first cell too, were it one of them.
    return score


def _is_written_otherwise(name: str, column: Sequence[str]) -> bool:
    """Tell whether a name is in small letters, in capitals or of one long word, unlike nearly all cells."""
    signs: tuple[Callable[[str], bool], ...] = (
        lambda text: text[:1].islower(),
        lambda text: len(text) > 2 and text.isupper(),
        lambda text: "_" in text,
        lambda text: text.isascii() and any(map(str.isalpha, text)),
    )
    return any(sign(name) and 5 * sum(map(sign, column)) < len(column) for sign in signs)


def _is_usual(cell: str) -> bool:
    words = cell.casefold().replace("_", " ").replace("(", " ").split()
    return bool(words) and len(words) < 4 and not _usual_names().isdisjoint((words[0], words[-1]))


@lru_cache(maxsize=1)
def _usual_names() -> frozenset[str]:
    """Return what columns are most often called; it settles tables of words, whose rows all look alike."""
    data = resources.files("qwen_agentkit").joinpath("data", "column_names.json").read_text("utf-8")
    return frozenset(name for names in json.loads(data).values() for name in names.split())


def _is_vertical(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first column holds the names: "Phone | 0123", "Since | 2024"."""
    keys = [row[0] for row in rows if row and row[0]]
    if len(keys) > 1 and keys[-1].casefold() in _TOTALS:
        keys.pop()  # The sum below a column is no name of a field.
    named = sum(1 for key in keys if key.endswith((":", "：")) or (_is_usual(key) and _kind(key) == "text"))
    return bool(keys) and _count_filled(rows[0]) <= 2 and 10 * named >= 3 * len(keys)


def _count_filled(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell and not isinstance(cell, Spanned))


def _kind(cell: str) -> str:
    """Return "number" for figures and dates, "mixed" for codes and texts with figures, else "text"."""
    if not any(map(str.isdecimal, cell)):
        return "mixed" if cell in _VALUES else "text"
    letters = sum(map(str.isalpha, cell))
    return "number" if not letters or (letters <= 3 and not cell[0].isalpha()) else "mixed"
