"""Bytes of a document into text. One function a format; nothing here opens a file or knows a store."""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, NamedTuple

from pypdf import PdfReader

from qwen_agentkit.errors import LoadError

__all__ = ["Part", "load"]

# What it logs of a damaged file is said by the report.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


class Part(NamedTuple):
    """A piece of a document with its own place in it, such as a page."""

    text: str
    metadata: dict[str, Any]


def load(data: bytes, suffix: str) -> list[Part]:
    """Read a document.

    Args:
        data: The bytes of the file.
        suffix: Its ending, such as ".md", in any case.

    Returns:
        Parts with text, in order. Metadata may hold "title" and "page" (from 1).

    Raises:
        LoadError: The bytes are not what the ending says, are encrypted, or hold no text.
    """
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise LoadError(f"no reader for {suffix!r} files; expected one of {', '.join(sorted(_READERS))}")
    parts = [part for part in reader(data) if any(char.isalnum() for char in part.text)]
    if not parts:
        raise LoadError("holds no text; a scanned document has to go through text recognition first")
    return parts


def _decoded(data: bytes) -> str:
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if marked else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise LoadError(
                "is a binary file, expected text; give it its true ending or remove it"
            ) from error
        raise LoadError(
            f"is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise LoadError("is a binary file, expected text; give it its true ending or remove it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _text(data: bytes) -> list[Part]:
    return [Part(_decoded(data), {})]


_FRONT_MATTER = re.compile(r"---\n(.*?\n)---[ \t]*(?:\n|$)", re.S)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.M)
_FIRST_HEADING = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.M)


def _markdown(data: bytes) -> list[Part]:
    text = _decoded(data)
    front = _FRONT_MATTER.match(text)
    titles = [_FRONT_TITLE.search(front[1]) if front else None, _FIRST_HEADING.search(text)]
    title = next((found[1].strip() for found in titles if found), None)
    return [Part(text[front.end() :] if front else text, {"title": title} if title else {})]


def _html(data: bytes) -> list[Part]:
    extractor = _HtmlText()
    extractor.feed(_decoded(data))
    extractor.close()
    title = " ".join("".join(extractor.title).split())
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(extractor.pieces))
    return [Part(re.sub(r"\n{3,}", "\n\n", text).strip(), {"title": title} if title else {})]


class _HtmlText(HTMLParser):
    """Text of a page with its headings and list items as Markdown, so that splitting sees them."""

    _SKIPPED = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object"})
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
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._skipping = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SKIPPED:
            self._skipping += 1
        elif tag == "title":
            self._in_title = not self._skipping
        else:
            self.pieces.append(self._border(tag))

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SKIPPED:
            self._skipping = max(0, self._skipping - 1)
        elif tag == "title":
            self._in_title = False
        elif tag in ("td", "th"):
            self.pieces.append(" | ")
        elif tag != "li" and tag not in self._LINES:
            self.pieces.append("\n\n" if self._border(tag) else "")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._skipping:
            self.pieces.append(re.sub(r"\s+", " ", data))

    def _border(self, tag: str) -> str:
        if re.fullmatch("h[1-6]", tag):
            return f"\n\n{'#' * int(tag[1])} "
        if tag in self._BLOCKS:
            return "\n\n"
        if tag == "li":
            return "\n- "
        return "\n" if tag in self._LINES else ""


def _pdf(data: bytes) -> list[Part]:
    try:
        reader = PdfReader(io.BytesIO(data))
        # Many files are encrypted with an empty password, only to restrict printing.
        if reader.is_encrypted and not reader.decrypt(""):
            raise LoadError(
                "is an encrypted PDF, expected one without a password; save it without and try again"
            )
        texts = [page.extract_text() for page in reader.pages]
        title = str(reader.metadata.title or "").strip() if reader.metadata else ""
    except LoadError:
        raise
    except Exception as error:  # pypdf raises nearly anything on a damaged file
        encrypted = "encrypt" in str(error).lower() or "AES" in str(error)
        what = "is an encrypted PDF" if encrypted else "is a broken PDF"
        raise LoadError(f"{what} ({error}), expected a readable one; save it anew and try again") from error
    shared = {"title": title} if title else {}
    # Fonts without a proper table give half characters, which no store can keep.
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    return [Part(text, {**shared, "page": number}) for number, text in enumerate(clean, start=1)]


_READERS: dict[str, Callable[[bytes], list[Part]]] = {
    ".md": _markdown,
    ".txt": _text,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}
