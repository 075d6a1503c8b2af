"""Lines of glyphs into pieces of text in logical order.

Glyphs painted side by side keep the order of their painting, which is right for marks and for vowels that are
drawn around others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from qwen_agentkit.ingest.pdf.bidi import is_rtl_line, logical_order, mirror_brackets
from qwen_agentkit.ingest.pdf.glyphs import Glyph, is_mark
from qwen_agentkit.ingest.pdf.runs import CELL_GAP, WORD_GAP, Run, disentangle, group_lines
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["Row", "Segment", "find_rows"]

_GUTTER = 0.7
"""A gap of so many letter sizes divides columns where other lines have one too."""
_MOST_GAPS = 400
_MOST_GUTTERS = 5
"""Limits of the search for such gaps."""
_DENSE_GAP = 0.6
"""A gap of so many letter sizes is a space in scripts without spaces, which are spaced out to fill a line."""
_MIXED_GAP = 0.35
"""The same between a character of such a script and one of another."""
_DENSE = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_ENDING = re.compile(r"\s*[.,:;!?]+\s*[^\W_]")
_ARABIC_SIGN = re.compile("[،؛؟۔]")


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
    rtl = is_rtl_line("".join(glyph.text for glyph in glyphs))
    lines = group_lines(glyphs)
    gutters = _find_gutters(lines)
    return [row for line in lines if (row := list(_merge_row(line, rtl, gutters)))]


def _find_gutters(lines: Sequence[list[Run]]) -> list[float]:
    """Return where many lines have a gap: there it divides columns, even if it is narrow."""
    gaps = [gap for line in lines for gap in _gaps(line)][:_MOST_GAPS]
    gutters: list[float] = []
    while len(gutters) < _MOST_GUTTERS:
        middles = ((left + right) / 2 for left, right in gaps)
        shared = max(
            ([gap for gap in gaps if gap[0] < middle < gap[1]] for middle in middles), key=len, default=[]
        )
        if len(shared) < max(4, 0.3 * len(lines)):
            break
        gutters.append((max(left for left, _ in shared) + min(right for _, right in shared)) / 2)
        gaps = [gap for gap in gaps if gap not in shared]
    return gutters


def _gaps(line: Sequence[Run]) -> Iterator[tuple[float, float]]:
    runs = sorted(line, key=lambda run: run.x0)
    end = runs[0].x1
    for run in runs[1:]:
        if run.x0 - end > _GUTTER * run.size:
            yield end, run.x0
        end = max(end, run.x1)


def _merge_row(runs: list[Run], rtl_page: bool, gutters: Sequence[float]) -> Iterator[Segment]:
    """Yield the pieces of a line, from left to right."""
    runs = disentangle(sorted(runs, key=lambda run: run.x0))
    piece: list[Run] = []
    for run in runs:
        if piece:
            size = max(run.size, piece[-1].size)
            end = max(one.x1 for one in piece)
            divides = any(end < gutter < run.x0 for gutter in gutters)
            wide = _GUTTER if divides else CELL_GAP
            if run.x0 - end > wide * size:
                yield from _make_segment(piece, rtl_page)
                piece = []
        piece.append(run)
    yield from _make_segment(piece, rtl_page)


def _make_segment(runs: list[Run], rtl_page: bool) -> Iterator[Segment]:
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
        return gap > WORD_GAP  # a second space, which tells the words of a spaced heading apart
    if _is_dense(last) and _is_dense(first):
        return gap > _DENSE_GAP
    if _is_dense(last) != _is_dense(first):  # Programs set figures in Chinese text apart by a hair.
        return gap > _MIXED_GAP
    return gap > max(WORD_GAP, spacing + 0.12)


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
