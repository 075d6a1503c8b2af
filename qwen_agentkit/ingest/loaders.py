"""Bytes of a document into text: picks the reader of a format. Opens no file and knows no store."""

from __future__ import annotations

from collections.abc import Callable

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.excel import read_xlsx
from qwen_agentkit.ingest.markdown import read_markdown
from qwen_agentkit.ingest.parts import Part, decode_text
from qwen_agentkit.ingest.pdf import read_pdf
from qwen_agentkit.ingest.powerpoint import read_pptx
from qwen_agentkit.ingest.tables import read_csv, read_jsonl, read_tsv
from qwen_agentkit.ingest.webpages import read_html
from qwen_agentkit.ingest.word import read_docx

__all__ = ["Part", "has_text", "read_document"]


def read_document(data: bytes, suffix: str) -> list[Part]:
    """Read a document.

    Args:
        data: The bytes of the file.
        suffix: The ending of its name, such as ".md", in any case.

    Returns:
        The parts that hold text or a warning, in order. Their metadata may have "title" and "page": the
        number of the page, slide, sheet or line, from 1.

    Raises:
        LoadError: The bytes do not match the ending, are encrypted or hold no text, or the extra `office`
            is needed and not installed.
    """
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise LoadError(
            f"There is no reader for {suffix!r} files; expected one of {', '.join(sorted(_READERS))}. "
            "Convert the file."
        )
    parts = [part for part in reader(data) if part.warnings or has_text(part)]
    if not any(map(has_text, parts)):
        reasons = [warning for part in parts for warning in part.warnings]
        raise LoadError(
            reasons[0]
            if reasons
            else "The file holds no text. If it is a scanned document, run text recognition first."
        )
    return parts


def has_text(part: Part) -> bool:
    """Tell whether a part holds a letter or a digit."""
    return any(char.isalnum() for char in part.text)


def _read_text(data: bytes) -> list[Part]:
    return [Part(decode_text(data), {})]


_READERS: dict[str, Callable[[bytes], list[Part]]] = {
    ".csv": read_csv,
    ".docx": read_docx,
    ".htm": read_html,
    ".html": read_html,
    ".jsonl": read_jsonl,
    ".md": read_markdown,
    ".pdf": read_pdf,
    ".pptx": read_pptx,
    ".tsv": read_tsv,
    ".txt": _read_text,
    ".xlsx": read_xlsx,
}
