"""Bytes of a document into text: picks the reader of a format. Opens no file and knows no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.archives import ReadMember, read_epub, read_zip
from qwen_agentkit.ingest.encodings import to_utf8
from qwen_agentkit.ingest.excel import read_xlsx
from qwen_agentkit.ingest.mail import read_eml, read_msg
from qwen_agentkit.ingest.markdown import read_markdown
from qwen_agentkit.ingest.office import refuse_old
from qwen_agentkit.ingest.opendocument import read_odp, read_ods, read_odt
from qwen_agentkit.ingest.parts import Part, Reader
from qwen_agentkit.ingest.pdf import read_pdf
from qwen_agentkit.ingest.plaintext import CODE_SUFFIXES, read_code, read_text
from qwen_agentkit.ingest.powerpoint import read_pptx
from qwen_agentkit.ingest.records import read_ipynb, read_json, read_jsonl
from qwen_agentkit.ingest.restructured import read_rst
from qwen_agentkit.ingest.rtf import read_rtf
from qwen_agentkit.ingest.tables import read_csv, read_tsv
from qwen_agentkit.ingest.webpages import read_html
from qwen_agentkit.ingest.word import read_docx
from qwen_agentkit.ingest.xmlfiles import read_xml

__all__ = ["Part", "has_text", "read_document"]


def read_document(
    data: bytes, suffix: str, readers: Mapping[str, Reader] | None = None, encoding: str | None = None
) -> list[Part]:
    """Read a document.

    Args:
        data: The bytes of the file.
        suffix: The ending of its name, such as ".md", in any case.
        readers: Readers of your own by ending, such as ``{".foo": read_foo}``; they go before those here.
        encoding: The encoding of text files, such as "windows-1256". Default: marked, declared or detected.

    Returns:
        The parts that hold text or a warning, in order. Their metadata may have "title"; "page", the
        number of the page, slide, sheet or line, from 1; and "member", the name of a file in an archive or
        a message.

    Raises:
        LoadError: The bytes do not match the ending, are encrypted or hold no text, or an extra is needed
            and not installed.
    """
    suffix = suffix.lower()
    reader = _find_reader(suffix, readers or {}, encoding)
    if encoding and suffix in _TEXTS and not (readers and suffix in readers):
        data = to_utf8(data, encoding)
    parts = [_without_soft_hyphens(part) for part in reader(data) if part.warnings or has_text(part)]
    if not any(map(has_text, parts)):
        reasons = [warning for part in parts for warning in part.warnings]
        raise LoadError(
            reasons[0]
            if reasons
            else "The file holds no text; what pictures in it show is not read. Write into it, or remove it."
        )
    return parts


def _find_reader(suffix: str, readers: Mapping[str, Reader], encoding: str | None) -> Reader:
    if suffix in readers:
        return readers[suffix]
    if suffix in _CONTAINERS:
        return _read_with(_CONTAINERS[suffix], partial(read_document, readers=readers, encoding=encoding))
    if suffix in _READERS:
        return _READERS[suffix]
    refused = {known for known, reader in _READERS.items() if reader is refuse_old}
    raise LoadError(
        f"There is no reader for {suffix!r} files; expected one of "
        f"{', '.join(sorted({*_READERS, *readers} - CODE_SUFFIXES - refused))}, or source code. Convert it."
    )


def _read_with(reader: Callable[[bytes, ReadMember], list[Part]], read: ReadMember) -> Reader:
    return lambda data: reader(data, read)


def _without_soft_hyphens(part: Part) -> Part:
    """Leave out hyphens that are shown at the end of a line only."""
    return part._replace(text=part.text.replace("\u00ad", "")) if "\u00ad" in part.text else part


def has_text(part: Part) -> bool:
    """Tell whether a part holds a letter or a digit."""
    return any(char.isalnum() for char in part.text)


_CONTAINERS: dict[str, Callable[[bytes, ReadMember], list[Part]]] = {
    ".eml": read_eml,
    ".msg": read_msg,
    ".zip": read_zip,
}
"""Readers of files that hold others."""
_READERS: dict[str, Reader] = {
    **dict.fromkeys(CODE_SUFFIXES, read_code),
    **{suffix: _read_with(reader, read_document) for suffix, reader in _CONTAINERS.items()},
    ".csv": read_csv,
    ".doc": refuse_old,
    ".docx": read_docx,
    ".epub": read_epub,
    ".htm": read_html,
    ".html": read_html,
    ".ipynb": read_ipynb,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".markdown": read_markdown,
    ".md": read_markdown,
    ".odp": read_odp,
    ".ods": read_ods,
    ".odt": read_odt,
    ".pdf": read_pdf,
    ".ppt": refuse_old,
    ".pptx": read_pptx,
    ".rst": read_rst,
    ".rtf": read_rtf,
    ".tsv": read_tsv,
    ".txt": read_text,
    ".xhtml": read_html,
    ".xls": refuse_old,
    ".xlsx": read_xlsx,
    ".xml": read_xml,
}
_TEXTS = CODE_SUFFIXES | {
    *(".csv", ".htm", ".html", ".json", ".jsonl", ".ipynb", ".markdown", ".md", ".rst", ".tsv", ".txt"),
    *(".xhtml", ".xml"),
}
"""Formats that an encoding may be given for."""
