"""The glyphs of a plain PDF page, many at a time: PDFium is asked where pieces end, not for each letter.

A piece is what one text object paints side by side. This takes a fraction of the time, and holds where
letters are characters one by one, stand upright and run to the right. Other pages are left to `glyphs`.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise, repeat
from typing import Any

import pypdfium2.raw as pdfium

from qwen_agentkit.ingest.pdf.characters import needs_care
from qwen_agentkit.ingest.pdf.glyphs import Glyph, pdfium_glyphs, text_angle

__all__ = ["read_glyphs"]

_HYPHEN = re.compile("[\x02\xad\u2010\ufffe]")
"""What PDFium gives for a hyphen at the end of a line."""
_LETTERS = re.compile(r"(?:\b\w +){4}")
"""A heading with a space behind each letter, whose words only the places of the letters tell apart."""
_OTHER = re.compile(
    "[\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u2e80-\u9fff\ud800-\udfff\uf900-\ufaff\uff00-\uffef]"
)
"""Characters that take no place, may stand below each other, or are halves of one."""
_SPACE = re.compile("[ \r\n]")
_WORD = re.compile(r"\S+")
_WIDE = 0.9
"""A gap of so many letter sizes between words is no plain space."""
_SPACED = 0.06
"""Letters that stand so many letter sizes apart are spaced out."""
_COVERED = 0.3
"""Pieces that cover each other by so many letter sizes are printed twice, or are no line."""


def read_glyphs(textpage: Any) -> list[Glyph]:
    """Return what stands on a text page of pypdfium2, nearly in the order in which it is painted.

    A glyph of the result is a piece of a line where that is safe.
    """
    pieces = _read_pieces(textpage.raw)
    return pdfium_glyphs(textpage) if pieces is None else pieces


def _read_pieces(page: Any) -> list[Glyph] | None:
    count = pdfium.FPDFText_CountChars(page)
    text = _read_text(page, count)
    if len(text) != count or needs_care(text) or _OTHER.search(text) or _LETTERS.search(text):
        return None
    asked = _Page(page)
    if asked.has_unknown(count):
        return None
    pieces: list[Glyph] = []
    start = 0
    # Ends of lines and spaces that PDFium adds are not painted.
    added = [at.start() for at in _SPACE.finditer(text) if at[0] != " " or asked.is_generated(at.start())]
    for end in [*added, count]:
        for first, behind in asked.objects(start, end):
            found = _read_object(asked, text, first, behind)
            if found is None:
                return None
            pieces += found
        start = end + 1
    return None if _is_covered(pieces) else pieces


def _read_text(page: Any, count: int) -> str:
    """Return the text of a page, a character for each of PDFium's."""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(page, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", "surrogatepass")
    for match in _HYPHEN.finditer(text):
        if pdfium.FPDFText_IsHyphen(page, match.start()) > 0:
            text = f"{text[: match.start()]}-{text[match.end() :]}"
    return text


@lru_cache
def _bare(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of PDFium without the checks of its arguments, which take most of its time."""
    address = ctypes.cast(getattr(pdfium, name), ctypes.c_void_p).value or 0
    return ctypes.CFUNCTYPE(result, ctypes.c_void_p, ctypes.c_int, *arguments)(address)


class _Page:
    """Answers questions about the characters of a text page."""

    def __init__(self, page: Any) -> None:
        self.raw = page
        self._handle = ctypes.cast(page, ctypes.c_void_p)
        self._rectangle = pdfium.FS_RECTF()
        self._at = ctypes.addressof(self._rectangle)
        self._box = _bare("FPDFText_GetLooseCharBox", ctypes.c_int, ctypes.c_void_p)
        self._object = _bare("FPDFText_GetTextObject", ctypes.c_void_p)

    def has_unknown(self, count: int) -> bool:
        """Tell whether the file does not say what one of the characters is."""
        is_unknown = _bare("FPDFText_HasUnicodeMapError", ctypes.c_int)
        return any(map(is_unknown, repeat(self._handle), range(count)))

    def is_generated(self, index: int) -> bool:
        return bool(_bare("FPDFText_IsGenerated", ctypes.c_int)(self._handle, index))

    def objects(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield where the characters of each text object start and end. They stand side by side."""
        while start < end:
            painted = self._object(self._handle, start)
            low, high = start, end
            while high - low > 1:
                middle = end - 1 if high == end and low == start else (low + high) // 2
                if self._object(self._handle, middle) == painted:
                    low = middle
                else:
                    high = middle
            yield start, high
            start = high

    def left(self, index: int) -> float:
        self._box(self._handle, index, self._at)
        return float(self._rectangle.left)

    def right(self, index: int) -> float:
        self._box(self._handle, index, self._at)
        return float(self._rectangle.right)


def _read_object(page: _Page, text: str, start: int, end: int) -> list[Glyph] | None:
    """Return the pieces of a text object; None if it does not run to the right."""
    x, y, end_y, matrix = ctypes.c_double(), ctypes.c_double(), ctypes.c_double(), pdfium.FS_MATRIX()
    pdfium.FPDFText_GetMatrix(page.raw, start, matrix)
    size = pdfium.FPDFText_GetFontSize(page.raw, start) * math.hypot(matrix.c, matrix.d)
    pdfium.FPDFText_GetCharOrigin(page.raw, end - 1, x, end_y)
    pdfium.FPDFText_GetCharOrigin(page.raw, start, x, y)
    if text_angle(matrix.a, matrix.b, matrix.c, matrix.d) or abs(end_y.value - y.value) > 0.1 * size:
        return None
    pieces: list[Glyph] = []
    first, done = start, start
    x0 = x1 = page.left(start)
    for match in _WORD.finditer(text, start, end):
        word, behind = match.span()
        gap = page.left(word) - x1
        if gap < -_COVERED * size:
            return None
        if done == start and behind > word + 1 and page.left(word + 1) - page.right(word) > _SPACED * size:
            return None
        if gap > _WIDE * size:  # Perhaps a column: each part keeps its own place.
            if done > first:
                pieces.append(Glyph(text[first:done], x0, x1, y.value, size))
            pieces += [
                Glyph(" ", page.left(space), page.right(space), y.value, size) for space in range(done, word)
            ]
            first, x0 = word, x1 + gap
        done = behind
        x1 = page.right(done - 1)
    x1 = page.right(end - 1)
    if x1 < x0:
        return None
    pieces.append(Glyph(text[first:end], x0, x1, y.value, size))
    return pieces


def _is_covered(pieces: list[Glyph]) -> bool:
    """Tell whether a piece stands on another one of its line."""
    ordered = sorted(pieces, key=lambda one: (round(one.y), one.x0))
    return any(
        abs(one.y - other.y) < 0.5 * other.size and one.x1 - other.x0 > _COVERED * max(one.size, other.size)
        for one, other in pairwise(ordered)
    )
