"""Lines of a page into its text: columns one by one, whole paragraphs, tables as rows with names."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

from qwen_agentkit.ingest.pdf.hyphens import JOINT
from qwen_agentkit.ingest.pdf.lines import Row
from qwen_agentkit.ingest.pdf.tables import as_table

__all__ = ["write_rows"]

_GUTTER = 0.9
"""Columns are at least so many letter sizes apart."""
_PROSE = 26
"""Pieces of lines with this many characters at the median are columns of prose, shorter ones cells."""
_ITEM = re.compile(r"[•‣◦▪–—*·-]\s|\(?\d{1,3}[.)]\s|\(?[a-z][.)]\s")
_DENSE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
# In "pre- and postwar" the hyphen stays.
_AND = re.compile(r"(?:and|or|und|oder|bzw|et|ou|y|o|e|en|of|och|og|eller|i|ja)\b")

Interval = tuple[float, float]


def write_rows(rows: Sequence[Row]) -> list[str]:
    """Return the paragraphs of some lines, in the order of reading, with a `JOINT` in divided words."""
    paragraphs: list[str] = []
    plain: list[Row] = []
    index = 0
    while index < len(rows):
        end, gutters = _band(rows, index)
        block = _write_band(rows[index:end], gutters) if gutters else None
        if block is None:
            plain.append(rows[index])
            index += 1
        else:
            paragraphs += [*_paragraphs(plain), *block]
            plain = []
            index = end
    return paragraphs + list(_paragraphs(plain))


def _band(rows: Sequence[Row], start: int) -> tuple[int, list[Interval]]:
    """Return how far lines from here on leave the same gaps free, and these gaps; none for a single line."""
    gutters = _gaps(rows[start]) or (
        _gaps(sorted(rows[start] + rows[start + 1], key=lambda one: one.x0))
        if _interleaved(rows, start)
        else []
    )
    end = start + 1
    while gutters and end < len(rows) and not _is_far(rows, start, end):
        size = max(segment.size for segment in rows[end])
        narrowed = [
            free
            for gutter in gutters
            for free in _free(gutter, rows[end])
            if free[1] - free[0] >= _GUTTER * size
        ]
        if not narrowed:
            break
        gutters = narrowed
        end += 1
    return (end, gutters) if end > start + 1 else (end, [])


def _interleaved(rows: Sequence[Row], start: int) -> bool:
    """Tell whether a line stands beside the next one, as in columns whose lines are not level."""
    if start + 1 == len(rows):
        return False
    one, other = rows[start], rows[start + 1]
    apart = other[0].x0 > one[-1].x1 or one[0].x0 > other[-1].x1
    distance = one[0].y - other[0].y
    near = 0.9 * min(one[0].size, other[0].size)
    is_prose = min(len(one[-1].text), len(other[0].text)) >= _PROSE and start + 2 < len(rows)
    if is_prose and abs(rows[start + 2][0].x0 - one[0].x0) < one[0].x1 - one[0].x0:
        near = max(near, 0.75 * (one[0].y - rows[start + 2][0].y))  # less than to the next line of a column
    return apart and distance < near


def _is_far(rows: Sequence[Row], start: int, end: int) -> bool:
    """Tell whether a line of one piece stands far below the lines above."""
    gap = rows[end - 1][0].y - rows[end][0].y
    usual = rows[start][0].y - rows[start + 1][0].y if end > start + 1 else gap
    return len(rows[end]) == 1 and gap > max(1.6 * usual, 1.6 * rows[end][0].size)


def _gaps(row: Row) -> list[Interval]:
    return [
        (before.x1, after.x0)
        for before, after in pairwise(row)
        if after.x0 - before.x1 >= _GUTTER * max(before.size, after.size)
    ]


def _free(gutter: Interval, row: Row) -> Iterator[Interval]:
    """Yield what a line leaves free of a gap."""
    left, right = gutter
    for segment in row:
        if segment.x1 > left and segment.x0 < right:
            if segment.x0 > left:
                yield left, segment.x0
            left = max(left, segment.x1)
    if left < right:
        yield left, right


def _write_band(rows: Sequence[Row], gutters: Sequence[Interval]) -> list[str] | None:
    """Write lines that leave gaps free as columns or as a table; None if they are neither."""
    columns = _columns(rows, gutters)
    if sum(any(column) for column in columns) < 2:
        return None
    rtl = _mostly_rtl(rows)
    lengths = [
        statistics.median(_length(" ".join(one.text for one in cell)) for cell in column if cell)
        for column in columns
        if any(column)
    ]
    if min(lengths) < _PROSE and statistics.mean(lengths) < 2 * _PROSE:
        filled = [cell for column in columns for cell in column if cell]
        if sum(len(cell) > 1 for cell in filled) > 0.2 * len(filled):  # The columns could not be told apart.
            return ["\n".join(" | ".join(one.text for one in _in_order(row)) for row in rows)]
        order = reversed(columns) if rtl else iter(columns)
        cells = [[_line_text(cell) for cell in row] for row in zip(*order, strict=True)]
        return as_table(cells)
    ordered = reversed(columns) if rtl else iter(columns)
    return [text for column in ordered for text in write_rows([cell for cell in column if cell])]


def _columns(rows: Sequence[Row], gutters: Sequence[Interval]) -> list[list[Row]]:
    """Return for each column its piece of each line."""
    edges = [(left + right) / 2 for left, right in sorted(gutters)]
    columns: list[list[Row]] = [[] for _ in range(len(edges) + 1)]
    for row in rows:
        for column in columns:
            column.append([])
        for segment in row:
            columns[sum(edge <= segment.x0 for edge in edges)][-1].append(segment)
    return columns


def _length(text: str) -> int:
    return len(text) + len(_DENSE.findall(text))


def _mostly_rtl(rows: Sequence[Row]) -> bool:
    segments = [segment for row in rows for segment in row]
    return 2 * sum(segment.rtl for segment in segments) > len(segments)


def _in_order(row: Row) -> Row:
    return row[::-1] if _mostly_rtl([row]) else row


def _line_text(row: Row) -> str:
    return " ".join(segment.text for segment in _in_order(row))


def _paragraphs(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the paragraphs of one column."""
    if not rows:
        return
    left = min(row[0].x0 for row in rows)
    right = max(row[-1].x1 for row in rows)
    usual = _usual_distance(rows)
    text = ""
    for index, row in enumerate(rows):
        line = _line_text(row)
        if index == 0:
            text = line
            continue
        above = rows[index - 1]
        size, size_above = _size(row), _size(above)
        distance = above[0].y - row[0].y
        if distance > max(1.35 * usual, 1.1 * size) or not 0.87 < size / size_above < 1.15:
            yield text
            text = line
        elif _is_full(above, row, line, left, right) and not _ITEM.match(line):
            text = join_lines(text, line)
        else:
            text = f"{text}\n{line}"
    yield text


def _usual_distance(rows: Sequence[Row]) -> float:
    """Return the distance of lines in paragraphs: the lower quartile, since gaps only widen it."""
    distances = sorted(
        above[0].y - below[0].y
        for above, below in pairwise(rows)
        if above[0].y - below[0].y < 2.2 * _size(below)
    )
    return distances[len(distances) // 4] if distances else 1.5 * _size(rows[0])


def _size(row: Row) -> float:
    return max(row, key=lambda segment: len(segment.text)).size or 1.0


def _is_full(above: Row, row: Row, line: str, left: float, right: float) -> bool:
    """Tell whether the line above ends because the next word did not fit."""
    word = line[:2] if _DENSE.match(line) else line.split(" ", 1)[0]
    width = (row[-1].x1 - row[0].x0) * len(word) / max(1, len(line))
    room = above[0].x0 - left if _mostly_rtl([above]) else right - above[-1].x1
    return room < width + 0.6 * _size(row)


def join_lines(text: str, line: str) -> str:
    """Join two lines of a paragraph: divided words get a `JOINT`, scripts without spaces no space."""
    if re.search(r"[^\W\d_][-\u2010\u00ad]$", text) and line[:1].islower() and not _AND.match(line):
        return text[:-1] + ("" if text[-1] == "\u00ad" else JOINT) + line
    if re.search(r"[\w][-\u2010]$", text) and not _AND.match(line):
        return text + line
    dense = _DENSE.match(text[-1:]) and _DENSE.match(line[:1])
    return text + line if dense else f"{text} {line}"
