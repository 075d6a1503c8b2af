"""HTML into tags and text, as forgiving as browsers and in time proportional to its length.

The standard library's parser takes quadratic time for some malformed pages in older Pythons, and parsers that
build the tree of the HTML standard for some nested ones. Here no character is read twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

__all__ = ["Tag", "read_markup"]

_NAME = re.compile(r"/?[a-zA-Z][^\s/<>]*")
_SPACE = re.compile(r"[\s/]*")
_ATTRIBUTE = re.compile(r"([^\s/<>=][^\s/<>=]*)(\s*=\s*)?")
_UNQUOTED = re.compile(r"[^\s<>]*")
_RAW = frozenset({"script", "style"})
"""Elements whose content is no markup."""


class Tag(NamedTuple):
    """A tag. Names and keys are in small letters; `ends` tells an end tag, `alone` one that ends itself."""

    name: str
    attributes: dict[str, str]
    ends: bool
    alone: bool


def read_markup(html: str) -> Iterator[Tag | str]:
    """Yield the tags and texts of a page. Comments, declarations, scripts and styles are left out."""
    scanner = _Scanner(html)
    position = 0
    while position < len(html):
        start = scanner.find("<", position)
        text = html[position : len(html) if start < 0 else start]
        if text:
            yield unescape(text)
        if start < 0:
            return
        if html.startswith(("<!", "<?"), start):
            position = scanner.end_of_declaration(start)
        elif name := _NAME.match(html, start + 1):
            tag, position = scanner.read_tag(name[0].lower(), name.end())
            yield tag
            if tag.name in _RAW and not tag.ends and not tag.alone:
                end = scanner.end_of_raw(tag.name, position)
                if tag.name == "style":
                    yield Tag("style", {"": html[position:end]}, False, True)
                position = end
        else:
            yield "<"
            position = start + 1


class _Scanner:
    """Finds what comes next, and remembers what does not come any more."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.missing: set[str] = set()

    def find(self, piece: str, start: int) -> int:
        """Return where a piece of text comes next; -1 if it does not."""
        if piece in self.missing:
            return -1
        place = self.html.find(piece, start)
        if place < 0:
            self.missing.add(piece)
        return place

    def end_of_declaration(self, start: int) -> int:
        """Return the end of a comment or declaration; one that is not closed hides nothing but its mark."""
        for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<", ">")):
            if self.html.startswith(opening, start):
                if opening == "<!--" and self.html.startswith((">", "->"), start + 4):
                    return self.html.index(">", start) + 1
                if opening == "<![CDATA[":  # Its content is text.
                    return start + len(opening)
                end = self.find(closing, start + len(opening))
                if end >= 0:
                    return end + len(closing)
        return start + 2

    def end_of_raw(self, name: str, start: int) -> int:
        """Return where the end tag of a script or a style begins; the end of the page if there is none."""
        key = f"</{name}"
        if key in self.missing:
            return len(self.html)
        found = re.compile(f"</{name}(?=[\\s/>])", re.I).search(self.html, start)
        if not found:
            self.missing.add(key)
        return found.start() if found else len(self.html)

    def read_tag(self, name: str, position: int) -> tuple[Tag, int]:
        """Read the attributes of a tag up to its ">", or up to the next "<" if that comes first."""
        html = self.html
        attributes: dict[str, str] = {}
        while True:
            position = self._skip_space(position)
            found = _ATTRIBUTE.match(html, position)
            if not found:
                break
            value, position = self._read_value(found.end()) if found[2] else ("", found.end())
            attributes.setdefault(found[1].lower(), unescape(value))
        alone = html[position - 1 : position] == "/"
        if html[position : position + 1] in (">", "="):
            position += 1
        return Tag(name.lstrip("/"), attributes, name.startswith("/"), alone), position

    def _skip_space(self, position: int) -> int:
        found = _SPACE.match(self.html, position)
        return found.end() if found else position

    def _read_value(self, position: int) -> tuple[str, int]:
        quote = self.html[position : position + 1]
        if quote in ("'", '"'):
            end = self.find(quote, position + 1)
            if end >= 0:
                return self.html[position + 1 : end], end + 1
        found = _UNQUOTED.match(self.html, position)
        end = found.end() if found else position
        return self.html[position:end], end
