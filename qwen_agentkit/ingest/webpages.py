"""Web pages into text, with headings, list items and code as Markdown, which splitting understands."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import groupby
from operator import itemgetter

from qwen_agentkit.ingest.parts import Part, decode_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_html"]


def read_html(data: bytes) -> list[Part]:
    """Read a page: UTF-8, or else the encoding that it declares."""
    page = _Page()
    page.feed(decode_text(data, _declared_encoding(data)))
    page.close()
    title = " ".join("".join(page.title).split())
    return [Part(page.text(), {"title": title} if title else {})]


_CHARSET = re.compile(rb"<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_HEAD = 4096
"""The first bytes of a page, in which it has to declare its encoding."""
# Pages name the smaller character set and use the larger, as browsers do.
_LARGER = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "shift_jis": "cp932",
}


def _declared_encoding(data: bytes) -> str:
    """Return Python's name of the encoding that a page declares; empty if it is unknown or wrong."""
    found = _CHARSET.search(data, 0, _HEAD)
    label = found[1] if found else b""
    try:
        name = codecs.lookup(label.decode()).name
        # The label was found as ASCII, so an encoding that reads it differently is wrong.
        return _LARGER.get(name, name) if label.decode(name) == label.decode() else ""
    except (LookupError, ValueError):
        return ""


class _Page(HTMLParser):
    """Collects the text of a page. Unclosed elements hide nothing, except scripts and styles."""

    _HIDDEN = frozenset({"noscript", "template", "svg", "iframe", "object"})
    _HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
    _BLOCKS = frozenset(
        {
            "p",
            "div",
            "section",
            "article",
            "header",
            "footer",
            "main",
            "aside",
            "nav",
            "ul",
            "ol",
            "dl",
            "table",
        }
        | {
            "blockquote",
            "pre",
            "figure",
            "figcaption",
            "form",
            "fieldset",
            "hr",
            "address",
            "body",
            "details",
        }
    )
    _LINES = frozenset({"br", "tr", "dt", "dd", "option", "summary", "caption"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._pieces = [(False, "")]  # Whether it is code, and the text.
        # Open hidden elements: name, number of pieces at the start, whether in code.
        self._hiding: list[tuple[str, int, bool]] = []
        self._hiding_names: Counter[str] = Counter()
        self._in_code = False
        self._in_title = False
        self._raised = ""  # "sup" or "sub" inside such an element
        self._in_cell = False

    def text(self) -> str:
        """Return the collected text: tidied, and code in fences."""
        groups = groupby(self._pieces, key=itemgetter(0))
        texts = ((code, "".join(piece for _, piece in pieces)) for code, pieces in groups)
        return "\n\n".join(filter(None, (_fenced(text) if code else _tidy(text) for code, text in texts)))

    def set_cdata_mode(self, elem: str, **options: bool) -> None:
        """Treat only scripts and styles as raw text; newer Pythons also do so with unclosed titles."""
        if elem in ("script", "style"):
            super().set_cdata_mode(elem)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        border = self._border(tag)
        if border:
            self._in_title, self._in_cell, self._raised = False, False, ""
        if tag in self._HEADINGS:
            self._in_code = False
        if tag in self._HIDDEN:
            self._hiding.append((tag, len(self._pieces), self._in_code))
            self._hiding_names[tag] += 1
        elif tag in ("td", "th"):
            self._end_cell()  # An end tag may be left out.
            self._in_cell = True
        elif tag in ("sup", "sub"):
            self._raised = tag
        elif tag == "title":
            self._in_title = not self._hiding
        elif self._in_code and tag == "br":
            self._pieces.append((True, "\n"))
        else:
            self._put(border)
        self._in_code = self._in_code or tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in self._HIDDEN:
            self._cut_off(tag)
        elif tag in ("title", "head"):
            self._in_title = False
        elif tag in ("sup", "sub"):
            self._raised = ""
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag != "li" and tag not in self._LINES:
            self._in_code = self._in_code and tag not in ("pre", "body")
            self._put("\n\n" if self._border(tag) else "")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:  # A script or a style.
            return
        if self._in_title:
            self.title.append(data)
        else:
            text = data if self._in_code else re.sub(r"\s+", " ", data)
            if self._raised:
                text = mark_raised(text, self._last_text(), lowered=self._raised == "sub")
            self._pieces.append((self._in_code, text))

    def _last_text(self) -> str:
        return next((piece for _, piece in reversed(self._pieces) if piece), "")

    def _end_cell(self) -> None:
        if self._in_cell:
            self._in_cell, self._raised = False, ""
            self._put(" | ")

    def _cut_off(self, tag: str) -> None:
        """Drop everything since the last open element of this name; a stray end tag drops nothing."""
        # Counted, since looking through all open elements at each end tag would take quadratic time.
        if not self._hiding_names[tag]:
            return
        name = ""
        while name != tag:
            name, start, self._in_code = self._hiding.pop()
            self._hiding_names[name] -= 1
        del self._pieces[start:]

    def _put(self, border: str) -> None:
        """Add a border between blocks. In code it is a line end, unless a line just ended."""
        if not self._in_code:
            self._pieces.append((False, border))
        elif border and not self._pieces[-1][1].endswith("\n"):
            self._pieces.append((True, "\n"))

    def _border(self, tag: str) -> str:
        if tag in self._HEADINGS:
            return f"\n\n{'#' * int(tag[1])} "
        if tag in self._BLOCKS:
            return "\n\n"
        if tag == "li":
            return "\n- "
        return "\n" if tag in self._LINES else ""


def _tidy(text: str) -> str:
    lines = (line.strip(" \t") for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _fenced(text: str) -> str:
    return f"```\n{text.strip(chr(10)).rstrip()}\n```" if text.strip() else ""
