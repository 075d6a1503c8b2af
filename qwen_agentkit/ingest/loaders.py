"""Bytes of a document into text. One function a format; nothing here opens a file or knows a store."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from pypdf import PdfReader

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.office import read_docx, read_pptx, read_xlsx
from qwen_agentkit.ingest.parts import Part, decoded, storable
from qwen_agentkit.ingest.tables import read_csv, read_jsonl, read_tsv
from qwen_agentkit.ingest.webpages import read_html

__all__ = ["Part", "load"]


def load(data: bytes, suffix: str) -> list[Part]:
    """Read a document.

    Args:
        data: The bytes of the file.
        suffix: Its ending, such as ".md", in any case.

    Returns:
        Parts with text, in order. Metadata may hold "title" and "page": the number of the page, slide,
        sheet or line of records, from 1.

    Raises:
        LoadError: The bytes are not what the ending says, are encrypted, or hold no text; or they need
            the extra `office`, which is not installed.
    """
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise LoadError(f"no reader for {suffix!r} files; expected one of {', '.join(sorted(_READERS))}")
    parts = [part for part in reader(data) if any(char.isalnum() for char in part.text)]
    if not parts:
        raise LoadError("holds no text; a scanned document has to go through text recognition first")
    return parts


def _text(data: bytes) -> list[Part]:
    return [Part(decoded(data), {})]


_FRONT_MATTER = re.compile(r"---\n(.*?\n)---[ \t]*(?:\n|$)", re.S)
_FRONT_TITLE = re.compile(r"^title:(.*)$", re.M)
_FIRST_HEADING = re.compile(r"^#[ \t]+(.*)$", re.M)


def _markdown(data: bytes) -> list[Part]:
    text = decoded(data)
    front = _FRONT_MATTER.match(text)
    named = _FRONT_TITLE.findall(front[1]) if front else []
    headings = (found[1].rstrip(" \t#") for found in _FIRST_HEADING.finditer(text))
    titles = (*(re.sub("^[\"']|[\"']$", "", name.strip()) for name in named), *headings)
    title = next((title.strip() for title in titles if title.strip()), None)
    return [Part(text[front.end() :] if front else text, {"title": title} if title else {})]


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
    return [Part(storable(text), {**shared, "page": number}) for number, text in enumerate(texts, start=1)]


_READERS: dict[str, Callable[[bytes], list[Part]]] = {
    ".csv": read_csv,
    ".docx": read_docx,
    ".htm": read_html,
    ".html": read_html,
    ".jsonl": read_jsonl,
    ".md": _markdown,
    ".pdf": _pdf,
    ".pptx": read_pptx,
    ".tsv": read_tsv,
    ".txt": _text,
    ".xlsx": read_xlsx,
}
