"""Web pages into text, with headings, list items and code as Markdown, so that splitting sees them."""

from __future__ import annotations

import codecs
import re
from html.parser import HTMLParser
from itertools import groupby
from operator import itemgetter

from qwen_agentkit.ingest.parts import Part, decoded

__all__ = ["read_html"]


def read_html(data: bytes) -> list[Part]:
    """Read a page, in the encoding that it declares where it is not UTF-8."""
    page = _Page()
    page.feed(decoded(data, _declared(data)))
    page.close()
    title = " ".join("".join(page.title).split())
    return [Part(page.text(), {"title": title} if title else {})]


_CHARSET = re.compile(rb"<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_HEAD = 4096
"""Bytes in which a page has to declare its encoding."""
# Pages name the smaller set and use the larger, because browsers read them so.
_LARGER = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "shift_jis": "cp932",
}


def _declared(data: bytes) -> str:
    """Return Python's name for the encoding that a page declares; empty where it is unknown or untrue."""
    found = _CHARSET.search(data, 0, _HEAD)
    label = found[1] if found else b""
    try:
        name = codecs.lookup(label.decode()).name
        # The label was legible as ASCII, so the page is in no encoding where it reads otherwise.
        return _LARGER.get(name, name) if label.decode(name) == label.decode() else ""
    except (LookupError, ValueError):
        return ""


class _Page(HTMLParser):
    """Gathers the text of a page. What is never closed swallows nothing, scripts and styles excepted."""

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
        self._pieces = [(False, "")]  # whether it is code, and the text
        # Open elements whose text is cut off at their end: where they began, and whether in code.
        self._hiding: list[tuple[str, int, bool]] = []
        self._in_code = False
        self._in_title = False

    def text(self) -> str:
        """Everything gathered, tidied except in code, which is fenced."""
        groups = groupby(self._pieces, key=itemgetter(0))
        texts = ((code, "".join(piece for _, piece in pieces)) for code, pieces in groups)
        return "\n\n".join(filter(None, (_fenced(text) if code else _tidy(text) for code, text in texts)))

    def set_cdata_mode(self, elem: str, **options: bool) -> None:
        """Read nothing but scripts and styles as bare text: newer Pythons do so with unclosed titles."""
        if elem in ("script", "style"):
            super().set_cdata_mode(elem)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        border = self._border(tag)
        if border:
            self._in_title = False
        if tag in self._HEADINGS:
            self._in_code = False
        if tag in self._HIDDEN:
            self._hiding.append((tag, len(self._pieces), self._in_code))
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
        elif tag in ("td", "th"):
            self._put(" | ")
        elif tag != "li" and tag not in self._LINES:
            self._in_code = self._in_code and tag not in ("pre", "body")
            self._put("\n\n" if self._border(tag) else "")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:  # a script or a style
            return
        if self._in_title:
            self.title.append(data)
        else:
            self._pieces.append((self._in_code, data if self._in_code else re.sub(r"\s+", " ", data)))

    def _cut_off(self, tag: str) -> None:
        """Drop all since the last open element of a name; there is none where its end is a stray one."""
        opened = [number for number, (name, _, _) in enumerate(self._hiding) if name == tag]
        if opened:
            _, start, self._in_code = self._hiding[opened[-1]]
            del self._hiding[opened[-1] :]
            del self._pieces[start:]

    def _put(self, border: str) -> None:
        """Set a border; in code it is the end of a line, unless one ended just before."""
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
