"""The glyphs of a PDF page as PDFium reads them: their text and where they stand.

PDFium is fast, repairs damaged files and knows the encodings of Asian fonts. It puts the characters of a line
into an order of its own, which nothing here relies on.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

__all__ = ["Glyph", "is_mark", "pdfium_glyphs", "text_angle"]


_SPACE = 0x20
_HYPHENS = (0x02, 0x2D, 0xAD, 0x2010, 0xFFFE)
"""What PDFium gives for a hyphen at the end of a line, and what it is."""


@dataclass(slots=True)
class Glyph:
    """A glyph as it stands on the page, turned so that its line runs to the right.

    Lengths are in points of 1/72 inch; y grows upwards.
    """

    text: str
    """Its characters in logical order; empty if the file does not say what the glyph means."""
    x0: float
    x1: float
    y: float
    """The height of the baseline."""
    size: float
    angle: int = 0
    """The direction of its line, in degrees."""
    guess: str = ""
    """What PDFium takes a glyph without text for: the character with the number of its code."""


def is_mark(text: str) -> bool:
    """Tell whether a text is a combining mark, which has no place of its own in a line."""
    return not text.isascii() and all(unicodedata.category(char) in ("Mn", "Me") for char in text)


def pdfium_glyphs(textpage: Any) -> list[Glyph]:
    """Return the glyphs of a text page of pypdfium2, nearly in the order in which they are painted."""
    page = textpage.raw
    x, y, box, matrix = ctypes.c_double(), ctypes.c_double(), pdfium.FS_RECTF(), pdfium.FS_MATRIX()
    at_x, at_y, at_box, at_matrix = map(ctypes.byref, (x, y, box, matrix))
    glyphs: list[Glyph] = []
    painted, size, angle = None, 0.0, 0
    for index in range(pdfium.FPDFText_CountChars(page)):
        code = pdfium.FPDFText_GetUnicode(page, index)
        # Only spaces and ends of lines are generated.
        if code in (10, 13) or (code == _SPACE and pdfium.FPDFText_IsGenerated(page, index) > 0):
            continue
        pdfium.FPDFText_GetCharOrigin(page, index, at_x, at_y)
        pdfium.FPDFText_GetLooseCharBox(page, index, at_box)
        item = pdfium.FPDFText_GetTextObject(page, index)
        address = ctypes.addressof(item.contents) if item else None
        if address is None or address != painted:  # The glyphs of one text object share font and direction.
            painted = address
            pdfium.FPDFText_GetMatrix(page, index, at_matrix)
            size = pdfium.FPDFText_GetFontSize(page, index) * math.hypot(matrix.c, matrix.d)
            angle = text_angle(matrix.a, matrix.b, matrix.c, matrix.d)
        text = chr(code) if code < 0x110000 else ""
        if code in _HYPHENS and pdfium.FPDFText_IsHyphen(page, index) > 0:
            text = "-"
        glyph = _place(text, x.value, y.value, box, size, angle)
        if text != "-" and pdfium.FPDFText_HasUnicodeMapError(page, index) > 0:
            glyph.text, glyph.guess = "", text
        glyphs.append(glyph)
    return _join_pieces(glyphs)


def text_angle(a: float, b: float, c: float, d: float) -> int:
    """Return the direction of a line in degrees. Mirrored text keeps the direction of the page."""
    if b == c == 0 and d > 0:
        return 0
    mirrored = a * d - b * c < 0
    return round(math.degrees(math.atan2(-b, -a) if mirrored and a < 0 else math.atan2(b, a))) % 360


def _place(text: str, x: float, y: float, box: Any, size: float, angle: int) -> Glyph:
    if angle == 0:
        return Glyph(text, box.left, box.right, y, size)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    if angle % 90:  # The box of slanted text is larger than the text.
        start = x * cos + y * sin
        ends = (start, start + size / 2)
    else:
        ends = (box.left * cos + box.bottom * sin, box.right * cos + box.top * sin)
    return Glyph(text, min(ends), max(ends), y * cos - x * sin, size, angle)


def _join_pieces(glyphs: list[Glyph]) -> list[Glyph]:
    """Join the characters of one glyph, which PDFium lists one by one at one place."""
    joined: list[Glyph] = []
    for glyph in glyphs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and glyph.text
            and last.text
            and glyph.x1 > glyph.x0
            and (last.x0, last.x1, last.y) == (glyph.x0, glyph.x1, glyph.y)
            and not glyph.text.isspace()
        ):
            # It turns the letters of a right-to-left ligature around.
            turned = unicodedata.bidirectional(glyph.text[:1]) in ("R", "AL")
            last.text = glyph.text + last.text if turned else last.text + glyph.text
        else:
            joined.append(glyph)
    for glyph in joined:  # PDFium gives characters beyond U+FFFF as two halves.
        if any(map(_is_half, glyph.text)):
            glyph.text = glyph.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined


def _is_half(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"
