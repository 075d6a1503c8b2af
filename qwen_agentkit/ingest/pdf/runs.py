"""Glyphs into runs, and runs into the lines they stand on.

A run is what is painted side by side, one glyph after the other. Lines are found by position, whatever order
the producer painted them in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from qwen_agentkit.ingest.pdf.bidi import is_rtl_line
from qwen_agentkit.ingest.pdf.glyphs import Glyph, is_mark

__all__ = ["CELL_GAP", "WORD_GAP", "Run", "disentangle", "group_lines"]

CELL_GAP = 1.5
"""A gap of so many letter sizes separates the pieces of a line: columns, cells of a table."""
WORD_GAP = 0.15
"""A gap of so many letter sizes is a space."""
_RAISED_GLYPHS = 12
"""Most glyphs of raised text that stands so far from its line that it could be a line."""
_RAISED_RUNS = 20
"""Most pieces of such text in a line."""
_OVERPRINT = 0.12
"""Equal glyphs closer than so many letter sizes are one glyph that is printed bold."""


def group_lines(glyphs: Sequence[Glyph]) -> list[list[Run]]:
    """Return the runs of each line, from the top down."""
    return _group_rows(_runs(_without_overprint(glyphs)))


@dataclass
class Run:
    """Glyphs painted one after the other, side by side, from left to right."""

    glyphs: list[Glyph]
    x0: float
    x1: float
    y: float
    size: float


def _without_overprint(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """Leave out glyphs that are printed again a hair's breadth away, to look bold."""
    kept: list[Glyph] = []
    places: dict[tuple[str, int, int], list[Glyph]] = {}
    for glyph in glyphs:
        if not glyph.text or glyph.text.isspace():
            kept.append(glyph)
            continue
        cell, limit = max(glyph.size, 1.0) / 2, _OVERPRINT * glyph.size
        columns = {int((glyph.x0 + shift) // cell) for shift in (-limit, limit)}
        lines = {int((glyph.y + shift) // cell) for shift in (-limit, limit)}
        if not any(
            abs(other.x0 - glyph.x0) <= limit and abs(other.y - glyph.y) <= limit
            for column in columns
            for line in lines
            for other in places.get((glyph.text, column, line), ())
        ):
            kept.append(glyph)
            place = (glyph.text, int(glyph.x0 // cell), int(glyph.y // cell))
            places.setdefault(place, []).append(glyph)
    return kept


def _runs(glyphs: Sequence[Glyph]) -> Iterator[Run]:
    current: list[Glyph] = []
    last: Glyph | None = None
    for glyph in glyphs:
        if last is not None and not is_mark(glyph.text) and not _continues(last, glyph):
            yield _make_run(current)
            current = []
        current.append(glyph)
        if not is_mark(glyph.text) or last is None:
            last = glyph
    if current:
        yield _make_run(current)


def _continues(last: Glyph, glyph: Glyph) -> bool:
    """Tell whether a glyph stands beside the one painted before, on either side."""
    size = max(last.size, glyph.size, 0.1)
    level = abs(last.y - glyph.y) < 0.1 * size and 0.8 < (glyph.size or 0.1) / (last.size or 0.1) < 1.25
    gap = max(glyph.x0 - last.x1, last.x0 - glyph.x1)
    return level and -1.0 * size < gap < CELL_GAP * size


def _make_run(glyphs: list[Glyph]) -> Run:
    bases = [glyph for glyph in glyphs if not is_mark(glyph.text)] or glyphs
    steps = [1 if after.x0 >= before.x0 else -1 for before, after in pairwise(bases)]
    backwards = steps.count(-1)
    if steps and backwards == len(steps):
        ordered = glyphs[::-1]  # The marks behind their letter then stand to its left.
    elif backwards > 0.1 * len(steps):  # painted in both directions
        clusters = sorted(_clusters(glyphs), key=lambda cluster: cluster[0].x0)
        ordered = [
            glyph
            for cluster in clusters
            for glyph in (reversed(cluster) if is_rtl_line(cluster[0].text) else cluster)
        ]
    else:
        ordered = glyphs
    return Run(
        ordered,
        min(glyph.x0 for glyph in bases),
        max(glyph.x1 for glyph in bases),
        sorted(glyph.y for glyph in bases)[len(bases) // 2],
        max(glyph.size for glyph in bases),
    )


def _clusters(glyphs: list[Glyph]) -> list[list[Glyph]]:
    """Return letters with their marks behind them."""
    clusters: list[list[Glyph]] = []
    for glyph in glyphs:
        if is_mark(glyph.text) and clusters:
            clusters[-1].append(glyph)
        else:
            clusters.append([glyph])
    return clusters


def _group_rows(runs: Iterator[Run]) -> list[list[Run]]:
    """Group runs by the line they stand on. Smaller raised and lowered text belongs to the line beside it."""
    rows: list[list[Run]] = []
    for run in sorted(_join_initials(list(runs)), key=lambda run: (-run.y, run.x0)):
        for row in rows[-1:-4:-1]:
            if _on_same_line(max(row, key=lambda one: one.size), run):
                row.append(run)
                break
        else:
            rows.append([run])
    joined: list[list[Run]] = []
    for row in rows:
        if joined and _stands_around(joined[-1], row):
            joined[-1] += row
        else:
            joined.append(row)
    return joined


def _stands_around(one: list[Run], other: list[Run]) -> bool:
    """Tell whether all of a row is raised or lowered text of the row beside it."""
    few, many = sorted((one, other), key=lambda row: sum(len(run.glyphs) for run in row))
    return len(few) <= _RAISED_RUNS and all(any(_is_raised(run, beside) for beside in many) for run in few)


def _join_initials(runs: list[Run]) -> list[Run]:
    """Put large first letters, which reach over several lines, in front of the first of these lines."""
    sizes = sorted(run.size for run in runs for _ in run.glyphs)
    usual = sizes[len(sizes) // 2] if sizes else 0.0
    for initial in [run for run in runs if run.size > 1.8 * usual and len(run.glyphs) < 3]:
        top = initial.y + 0.75 * initial.size
        lines = [
            run
            for run in runs
            if run.size < 0.6 * initial.size
            and abs(run.y + 0.75 * run.size - top) < 0.6 * run.size
            and -0.1 * initial.size < run.x0 - initial.x0
            and run.x0 - initial.x1 < 1.5 * run.size
        ]
        if lines and all(glyph.text.isalnum() for glyph in initial.glyphs):
            line = min(lines, key=lambda run: run.x0)
            letters = [
                replace(glyph, x0=line.x0, x1=line.x0, y=line.y, size=line.size) for glyph in initial.glyphs
            ]
            line.glyphs = [*letters, *line.glyphs]
            runs.remove(initial)
    return runs


def _on_same_line(one: Run, other: Run) -> bool:
    large, small = (one, other) if one.size >= other.size else (other, one)
    if large.size > 2.2 * small.size:
        return abs(large.y - small.y) < 0.5 * small.size
    top = min(large.y + 0.75 * large.size, small.y + 0.75 * small.size)
    bottom = max(large.y - 0.2 * large.size, small.y - 0.2 * small.size)
    return top - bottom > 0.6 * 0.95 * small.size


def _is_raised(one: Run, other: Run) -> bool:
    """Tell whether the shorter of two runs is raised or lowered text beside the other one."""
    short, long = sorted((one, other), key=lambda run: (run.size, len(run.glyphs)))
    shift = (short.y - long.y) / max(long.size, 0.1)
    if len(short.glyphs) > _RAISED_GLYPHS or short.size > 1.02 * long.size or not -0.6 < shift < 0.65:
        return False
    edges = [glyph for glyph in long.glyphs if glyph.text.strip()]
    near, middle = 0.25 * long.size, (short.x0 + short.x1) / 2
    beside = any(abs(short.x0 - glyph.x1) < near or abs(glyph.x0 - short.x1) < near for glyph in edges)
    return beside and not any(glyph.x0 < middle < glyph.x1 for glyph in edges)


def disentangle(runs: list[Run]) -> list[Run]:
    """Divide runs into words where one stands inside another, as if a word in another font was painted later.

    Otherwise 1,250 with its sign painted last would be 1,2 and 50.
    """
    if not any(
        after.x0 < before.x1 - 0.5 * after.size and abs(after.y - before.y) < 0.1 * after.size
        for before, after in pairwise(runs)
    ):
        return runs
    return sorted((word for run in runs for word in _words(run)), key=lambda word: word.x0)


def _words(run: Run) -> Iterator[Run]:
    """Divide a run at its gaps and spaces."""
    word: list[Glyph] = []
    end = 0.0
    for glyph in run.glyphs:
        blank = glyph.text.isspace()
        if word and not is_mark(glyph.text) and (blank or glyph.x0 - end > WORD_GAP * run.size):
            yield _make_run(word)
            word = []
        word.append(glyph)
        end = glyph.x0 - run.size if blank else glyph.x1
    if word:
        yield _make_run(word)
