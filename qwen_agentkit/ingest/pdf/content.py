"""The glyphs of a PDF page as its content paints them, through pdfminer.six.

Slower than PDFium, but exact where a glyph is not a character: each glyph keeps its whole text, the order is
that of the painting, and the text that a producer states for a group of glyphs ("ActualText") counts.
"""

from __future__ import annotations

import io
import logging
import math
import unicodedata
import warnings
from typing import Any

from pdfminer.pdfdevice import PDFTextDevice
from pdfminer.pdfdocument import PDFDocument
from pdfminer.pdffont import PDFCIDFont, TrueTypeFont
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
from pdfminer.pdfpage import PDFPage
from pdfminer.pdfparser import PDFParser
from pdfminer.pdftypes import stream_value
from pdfminer.psparser import PSLiteral
from pdfminer.utils import apply_matrix_pt, decode_text

from qwen_agentkit.ingest.pdf.characters import is_left_vowel
from qwen_agentkit.ingest.pdf.glyphs import Glyph, text_angle

__all__ = ["ContentReader"]


class ContentReader:
    """Reads the pages of one file. Opening it is put off until a page is asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pages: list[PDFPage] | None = None
        self._resources = PDFResourceManager()

    def glyphs(self, number: int) -> list[Glyph] | None:
        """Return the glyphs of a page, counted from 0; None if pdfminer cannot read it."""
        device = _GlyphDevice(self._resources)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                PDFPageInterpreter(self._resources, device).process_page(self._page(number))
        except Exception:  # It raises nearly anything for a damaged file.
            return None
        device.recover()
        return device.glyphs

    def is_damaged(self, number: int) -> bool:
        """Tell whether a page has content that cannot be decoded."""
        try:
            streams = [stream_value(stream) for stream in self._page(number).contents]
            return any(stream.rawdata and not stream.get_data() for stream in streams)
        except Exception:  # an unknown filter, or anything else in a damaged file
            return True

    def _page(self, number: int) -> PDFPage:
        if self._pages is None:
            # pdfminer logs what is wrong. Without this, Python prints it where no logging is set up.
            logging.getLogger("pdfminer").addHandler(_NO_OUTPUT)
            self._pages = []  # what a file that cannot be opened has
            document = PDFDocument(PDFParser(io.BytesIO(self._data)))
            self._pages = list(PDFPage.create_pages(document))
        return self._pages[number]


class _GlyphDevice(PDFTextDevice):
    """Collects the glyphs that a page paints."""

    def __init__(self, resources: PDFResourceManager) -> None:
        super().__init__(resources)
        self.glyphs: list[Glyph] = []
        self._tags: list[tuple[str | None, int]] = []
        """For each open group: the text it stands for, if it says so, and its first glyph."""
        self._font_maps: dict[int, dict[int, str]] = {}
        self._named: dict[int, str] = {}
        self._own: dict[int, str] = {}
        """What the font has for glyphs that are said to stand for a vowel in front of them as well."""

    def begin_tag(self, tag: PSLiteral, props: Any = None) -> None:
        stated = props.get("ActualText") if isinstance(props, dict) else None
        text = (
            decode_text(stated) if isinstance(stated, bytes) else stated if isinstance(stated, str) else None
        )
        self._tags.append((text, len(self.glyphs)))

    def end_tag(self) -> None:
        text, first = self._tags.pop() if self._tags else (None, 0)
        if text is not None and first < len(self.glyphs):
            self._replace(first, text)

    def _replace(self, first: int, text: str) -> None:
        """Put the stated text in the place of the glyphs of its group that stand on one line."""
        group = self.glyphs[first:]
        body = max(group, key=lambda glyph: glyph.x1 - glyph.x0)  # Marks stand above or below the line.
        line = [one for one in group if one.x1 > one.x0 and abs(one.y - body.y) < body.size] or [body]
        x0, x1 = min(glyph.x0 for glyph in line), max(glyph.x1 for glyph in line)
        self.glyphs[first:] = [Glyph(text, x0, x1, body.y, body.size, body.angle)]

    def render_char(
        self,
        matrix: Any,
        font: Any,
        fontsize: float,
        scaling: float,
        rise: float,
        cid: int,
        ncs: Any,
        graphicstate: Any,
    ) -> float:
        try:
            text: str | None = str(font.to_unichr(cid)).strip("\0")
        except Exception:  # PDFUnicodeNotDefined, and others in damaged fonts
            text = None
        advance = float(font.char_width(cid) * fontsize * (1 if font.is_vertical() else scaling))
        size = abs(fontsize) * math.hypot(matrix[2], matrix[3])
        if font.is_vertical():
            x, y = apply_matrix_pt(matrix, (0, rise))
            self.glyphs.append(Glyph(text or "", x, x + size, y, size))
            return advance
        start, end = apply_matrix_pt(matrix, (0, rise)), apply_matrix_pt(matrix, (advance, rise))
        glyph = _turned(text or "", start, end, matrix, size)
        self.glyphs.append(glyph)
        # What is stated to be empty may be a sign that the producer forgot; what is not stated is no sign.
        if text == "" and isinstance(font, PDFCIDFont) and (named := self._font_map(font).get(cid)):
            self._named[id(glyph)] = named
        elif text and isinstance(font, PDFCIDFont) and any(map(is_left_vowel, parts := _parts(text))):
            own = self._font_map(font).get(cid)
            if own and own != text and own in parts and not is_left_vowel(own):
                self._own[id(glyph)] = own
        return advance

    def _font_map(self, font: PDFCIDFont) -> dict[int, str]:
        if id(font) not in self._font_maps:
            self._font_maps[id(font)] = _read_font_map(font)
        return self._font_maps[id(font)]

    def recover(self) -> None:
        """Give glyphs for which the PDF states no text the one that the embedded font has for them.

        Not if a glyph beside it states this text already.
        """
        self._correct_vowels()
        vowel: Glyph | None = None
        for index, glyph in enumerate(self.glyphs):
            named = self._named.get(id(glyph), "")
            if named and not any(named in other.text for other in self.glyphs[max(0, index - 1) : index + 2]):
                glyph.text = named
                if is_left_vowel(named):
                    vowel = glyph
                    continue
            if vowel is not None:
                # The font names glyphs in the order of the paper; in Unicode the vowel follows its consonant.
                vowel.text, glyph.text = glyph.text, vowel.text
                vowel = None

    def _correct_vowels(self) -> None:
        """Take from consonants a vowel that no glyph in front of them paints.

        Some producers state the text of a glyph once, as it stood with the vowel where it came first.
        """
        for index, glyph in enumerate(self.glyphs):
            own = self._own.get(id(glyph))
            if own is None:
                continue
            place = index - (
                1 if glyph.text.startswith(own) else 2
            )  # A vowel of two parts is around its consonant.
            before = self.glyphs[place] if place >= 0 else glyph
            if before.text or id(before) in self._named:
                glyph.text = own


def _parts(text: str) -> str:
    return "" if text.isascii() else unicodedata.normalize("NFD", text)


def _turned(
    text: str, start: tuple[float, float], end: tuple[float, float], matrix: Any, size: float
) -> Glyph:
    """Return the glyph in the coordinates of its line."""
    angle = text_angle(*matrix[:4])
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along = sorted(x * cos + y * sin for x, y in (start, end))
    return Glyph(text, along[0], along[1], start[1] * cos - start[0] * sin, size, angle)


def _read_font_map(font: PDFCIDFont) -> dict[int, str]:
    """Return the characters of the glyphs of an embedded TrueType font, by its own table."""
    try:
        data = stream_value(font.descriptor["FontFile2"]).get_data()
        unicode_map = TrueTypeFont(font.basefont, io.BytesIO(data)).create_unicode_map()
        return dict(unicode_map.cid2unichr)
    except Exception:  # no embedded font, none with a table, or a damaged one
        return {}


_NO_OUTPUT = logging.NullHandler()
