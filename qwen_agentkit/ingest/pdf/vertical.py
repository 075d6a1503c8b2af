"""Vertical Chinese and Japanese text, turned so that its lines run to the right like others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from qwen_agentkit.ingest.pdf.glyphs import Glyph

__all__ = ["turn_vertical"]

_SIDEWAYS = 270
"""The direction of figures and Latin words that lie on their side in vertical text."""
_ABOVE = 0.88
"""The part of an upright character above its baseline, in letter sizes."""
_NEAR = 0.8
"""Glyphs of so many letter sizes beside a line belong to it: signs stand in a corner of their square."""


def turn_vertical(glyphs: Sequence[Glyph]) -> Sequence[Glyph]:
    """Turn vertical text with what lies on its side in it; other text stays as it is."""
    upright = [glyph for glyph in glyphs if glyph.angle == 0]
    down = sum(_is_below(after, before) for before, after in pairwise(upright))
    dense = sum("\u2e80" <= glyph.text[:1] <= "\u9fff" for glyph in upright)
    if not upright or 2 * down < len(upright) or 2 * dense < len(upright):
        return glyphs
    lines = _find_lines(upright)
    turned: list[Glyph] = []
    before: Glyph | None = None
    for glyph in glyphs:
        if glyph.angle == 0 and turned and before is not None and _is_beside(glyph, before):
            turned[-1].text += glyph.text  # Two figures side by side in one square.
        elif glyph.angle == 0:
            top = -(glyph.y + _ABOVE * glyph.size)
            turned.append(Glyph(glyph.text, top, top + glyph.size, glyph.x0, glyph.size))
        else:
            turned.append(replace(glyph, angle=0 if glyph.angle == _SIDEWAYS else glyph.angle))
        before = glyph
    for glyph in turned:
        nearest = min(lines, key=lambda line: abs(line - glyph.y), default=glyph.y)
        if glyph.angle == 0 and abs(nearest - glyph.y) < _NEAR * glyph.size:
            glyph.y = nearest
    return turned


def _is_below(after: Glyph, before: Glyph) -> bool:
    size = before.size or 1
    return abs(after.x0 - before.x0) < 0.2 * size and 0.5 < (before.y - after.y) / size < 1.6


def _is_beside(after: Glyph, before: Glyph) -> bool:
    same = before.angle == 0 and abs(after.y - before.y) < 0.1 * before.size
    return same and after.text.isascii() and before.text.isascii() and 0 < after.x0 - before.x0 < before.size


def _find_lines(glyphs: Sequence[Glyph]) -> list[float]:
    """Return where the lines stand: the left edges of Han characters and kana."""
    edges = sorted(glyph.x0 for glyph in glyphs if "\u3041" <= glyph.text[:1] <= "\u9fff")
    size = max(glyph.size for glyph in glyphs)
    return [
        edge for edge, other in zip(edges, [float("-inf"), *edges], strict=False) if edge - other > size / 2
    ]
