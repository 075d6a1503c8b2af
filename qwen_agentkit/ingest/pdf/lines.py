"""Glyphs into lines of text in logical order.

Lines are found by position, whatever order the producer painted them in. Glyphs painted side by side keep
the order of their painting, which is right for marks and for vowels that are drawn around others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from qwen_agentkit.ingest.pdf.bidi import is_rtl_line, logical_order, mirror_brackets
from qwen_agentkit.ingest.pdf.glyphs import Glyph, is_mark
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["Row", "Segment", "find_rows"]

_CELL_GAP = 1.5
"""A gap of so many letter sizes separates the pieces of a line: columns, cells of a table."""
_GUTTER = 0.7
"""The same where other lines have such a gap too."""
_MOST_GAPS = 400
_WORD_GAP = 0.15
"""A gap of so many letter sizes is a space."""
_DENSE_GAP = 0.6
"""The same between characters of scripts without spaces, which are spaced out to fill a line."""
_MIXED_GAP = 0.35
"""The same between one of them and one of another script."""
_DENSE = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_ENDING = re.compile(r"\s*[.,:;!?]+\s*[^\W_]")
_RAISED_GLYPHS = 12
"""Most glyphs of raised text that stands so far from its line that it could be a line."""
_RAISED_RUNS = 20
"""Most pieces of such text in a line."""
_ARABIC_SIGN = re.compile("[،؛؟۔]")
_OVERPRINT = 0.12
"""Equal glyphs closer than so many letter sizes are one glyph that is printed bold."""


@dataclass
class Segment:
    """A piece of a line without a wide gap."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    rtl: bool = False


Row = list[Segment]
"""The pieces of one line, from left to right."""


def find_rows(glyphs: Sequence[Glyph]) -> list[Row]:
    """Return the lines of one direction of writing, from the top down."""
    runs = _runs(_without_overprint(glyphs))
    rtl = is_rtl_line("".join(glyph.text for glyph in glyphs))
    lines = _group_rows(runs)
    rows = [list(_merge_row(line, rtl)) for line in lines]
    gutter = _find_gutter(rows)
    if gutter is not None:
        rows = [list(_merge_row(line, rtl, gutter)) for line in lines]
    return [row for row in rows if row]


def _find_gutter(rows: Sequence[Row]) -> float | None:
    """Return where many lines have a wide gap; a narrower one there divides columns as well."""
    gaps = [(one.x1, other.x0) for row in rows for one, other in pairwise(row)][:_MOST_GAPS]
    middles = ((left + right) / 2 for left, right in gaps)
    shared = max(
        ([gap for gap in gaps if gap[0] < middle < gap[1]] for middle in middles), key=len, default=[]
    )
    if len(shared) < max(4, 0.3 * len(rows)):
        return None
    return (max(left for left, _ in shared) + min(right for _, right in shared)) / 2


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


@dataclass
class _Run:
    """Glyphs painted one after the other, side by side, from left to right."""

    glyphs: list[Glyph]
    x0: float
    x1: float
    y: float
    size: float


def _runs(glyphs: Sequence[Glyph]) -> Iterator[_Run]:
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
    return level and -1.0 * size < gap < _CELL_GAP * size


def _make_run(glyphs: list[Glyph]) -> _Run:
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
    return _Run(
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


def _group_rows(runs: Iterator[_Run]) -> list[list[_Run]]:
    """Group runs by the line they stand on. Smaller raised and lowered text belongs to the line beside it."""
    rows: list[list[_Run]] = []
    for run in sorted(_join_initials(list(runs)), key=lambda run: (-run.y, run.x0)):
        for row in rows[-1:-4:-1]:
            if _on_same_line(max(row, key=lambda one: one.size), run):
                row.append(run)
                break
        else:
            rows.append([run])
    joined: list[list[_Run]] = []
    for row in rows:
        if joined and _stands_around(joined[-1], row):
            joined[-1] += row
        else:
            joined.append(row)
    return joined


def _stands_around(one: list[_Run], other: list[_Run]) -> bool:
    """Tell whether all of a row is raised or lowered text of the row beside it."""
    few, many = sorted((one, other), key=lambda row: sum(len(run.glyphs) for run in row))
    return len(few) <= _RAISED_RUNS and all(any(_is_raised(run, beside) for beside in many) for run in few)


def _join_initials(runs: list[_Run]) -> list[_Run]:
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


def _on_same_line(one: _Run, other: _Run) -> bool:
    large, small = (one, other) if one.size >= other.size else (other, one)
    if large.size > 2.2 * small.size:
        return abs(large.y - small.y) < 0.5 * small.size
    top = min(large.y + 0.75 * large.size, small.y + 0.75 * small.size)
    bottom = max(large.y - 0.2 * large.size, small.y - 0.2 * small.size)
    return top - bottom > 0.6 * 0.95 * small.size


def _is_raised(one: _Run, other: _Run) -> bool:
    """Tell whether the shorter of two runs is raised or lowered text beside the other one."""
    short, long = sorted((one, other), key=lambda run: (run.size, len(run.glyphs)))
    shift = (short.y - long.y) / max(long.size, 0.1)
    if len(short.glyphs) > _RAISED_GLYPHS or short.size > 1.02 * long.size or not -0.6 < shift < 0.65:
        return False
    edges = [glyph for glyph in long.glyphs if glyph.text.strip()]
    near, middle = 0.25 * long.size, (short.x0 + short.x1) / 2
    beside = any(abs(short.x0 - glyph.x1) < near or abs(glyph.x0 - short.x1) < near for glyph in edges)
    return beside and not any(glyph.x0 < middle < glyph.x1 for glyph in edges)


def _merge_row(runs: list[_Run], rtl_page: bool, gutter: float | None = None) -> Iterator[Segment]:
    """Yield the pieces of a line, from left to right."""
    runs = _disentangle(sorted(runs, key=lambda run: run.x0))
    piece: list[_Run] = []
    for run in runs:
        if piece:
            size = max(run.size, piece[-1].size)
            end = max(one.x1 for one in piece)
            wide = _GUTTER if gutter is not None and end < gutter < run.x0 else _CELL_GAP
            if run.x0 - end > wide * size:
                yield from _make_segment(piece, rtl_page)
                piece = []
        piece.append(run)
    yield from _make_segment(piece, rtl_page)


def _disentangle(runs: list[_Run]) -> list[_Run]:
    """Divide runs into words where one stands inside another, as if a word in another font was painted later.

    Otherwise 1,250 with its sign painted last would be 1,2 and 50.
    """
    if all(after.x0 > before.x1 - 0.5 * after.size for before, after in pairwise(runs)):
        return runs
    return sorted((word for run in runs for word in _words(run)), key=lambda word: word.x0)


def _words(run: _Run) -> Iterator[_Run]:
    """Divide a run at its gaps and spaces."""
    word: list[Glyph] = []
    end = 0.0
    for glyph in run.glyphs:
        blank = glyph.text.isspace()
        if word and not is_mark(glyph.text) and (blank or glyph.x0 - end > _WORD_GAP * run.size):
            yield _make_run(word)
            word = []
        word.append(glyph)
        end = glyph.x0 - run.size if blank else glyph.x1
    if word:
        yield _make_run(word)


def _make_segment(runs: list[_Run], rtl_page: bool) -> Iterator[Segment]:
    body = max(runs, key=lambda run: (round(run.size, 1), sum(len(glyph.text) or 1 for glyph in run.glyphs)))
    line = "".join(glyph.text for run in runs for glyph in run.glyphs)
    # On a right-to-left page, the end of a sentence stands to the left of a Latin word as well.
    rtl = is_rtl_line(line) or (rtl_page and bool(_ENDING.match(line) or _ARABIC_SIGN.search(line)))
    visual: list[str] = []
    previous: Glyph | None = None
    spacing = _letter_spacing([glyph for run in runs for glyph in run.glyphs])
    for run in runs:
        shift = run.y - body.y
        small = run.size < 0.85 * body.size
        raised = shift > (0.15 if small else 0.3) * body.size
        lowered = shift < (-0.08 if small else -0.3) * body.size
        pieces: list[str] = []
        for glyph in run.glyphs:
            if not glyph.text:
                if previous is not None:  # What has no text still takes its place.
                    previous = replace(previous, x1=max(previous.x1, glyph.x1))
                continue
            if previous is not None and not is_mark(glyph.text) and _is_gap(previous, glyph, spacing):
                if pieces:
                    pieces.append(" ")
                else:
                    visual.append(" ")
            pieces.append(glyph.text)
            if not is_mark(glyph.text):
                previous = glyph
        if (raised or lowered) and not any(map(is_rtl_line, pieces)):
            pieces = [mark_raised("".join(pieces), "" if rtl else "".join(visual[-1:]), lowered=lowered)]
        visual += pieces
    visual = _join_spaced_letters(visual)
    turns = rtl or any(map(is_rtl_line, visual))
    text = logical_order(visual, rtl) if turns else mirror_brackets("".join(visual))
    text = " ".join(text.split())
    if text:
        x0, x1 = runs[0].x0, max(run.x1 for run in runs)
        yield Segment(text, x0, x1, body.y, body.size, rtl)


def _letter_spacing(glyphs: Sequence[Glyph]) -> float:
    """Return the usual gap between letters in letter sizes: spaced headings have one, other text has none."""
    gaps = [
        (after.x0 - before.x1) / max(min(before.size, after.size), 0.1)
        for before, after in pairwise(glyphs)
        if before.text[-1:].isalpha() and after.text[:1].isalpha()
    ]
    gaps += [0.0] * sum(len(glyph.text) - 1 for glyph in glyphs if glyph.text)  # within pieces
    return max(0.0, sorted(gaps)[len(gaps) // 4]) if len(gaps) > 5 else 0.0


def _is_gap(before: Glyph, after: Glyph, spacing: float) -> bool:
    """Tell whether the distance of two glyphs is a space between words."""
    size = max(min(before.size, after.size), 0.1)
    gap = (after.x0 - before.x1) / size
    last, first = before.text[-1], after.text[0]
    if last.isspace() or first.isspace():
        return gap > _WORD_GAP  # a second space, which tells the words of a spaced heading apart
    if _is_dense(last) and _is_dense(first):
        return gap > _DENSE_GAP
    if _is_dense(last) != _is_dense(first):  # Programs set figures in Chinese text apart by a hair.
        return gap > _MIXED_GAP
    return gap > max(_WORD_GAP, spacing + 0.12)


def _is_dense(char: str) -> bool:
    return bool(_DENSE.match(char))


def _join_spaced_letters(visual: list[str]) -> list[str]:
    """Join the letters of a heading that is set with a space behind each letter: "S A F E T Y"."""
    words = [word for word in "".join(visual).split() if any(map(str.isalnum, word))]
    letters = [word for word in words if len(word) == 1 and word.isalpha()]
    if len(letters) < 4 or len(letters) < 0.8 * len(words):
        return visual
    joined: list[str] = []
    for space, group in groupby("".join(visual), str.isspace):
        spaces = list(group)
        if not space:
            joined += spaces
        elif len(spaces) > 1:
            joined.append(" ")
    return joined
