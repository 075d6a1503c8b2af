"""What the readers of Word, PowerPoint and Excel files share: checks, errors and titles.

The readers use the libraries of the extra `office` and import them when called.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any, NoReturn

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part

__all__ = ["check_archive", "first_title", "local_name", "read_office", "refuse_old"]

_LARGEST = 1 << 30
"""The largest unpacked size in bytes; the libraries hold all of it in memory."""
_COMPOUND = b"\xd0\xcf\x11\xe0"
"""The first bytes of files from before 2007, and of files with a password."""
_UNTITLED = ("Word Document", "PowerPoint Presentation")
"""The titles that the libraries give to a file without properties."""
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
"""The names of Strict Open XML (ISO/IEC 29500), which Word and Excel offer when they save."""
_OLD = {
    "WordDocument": ("Word", "docx"),
    "Workbook": ("Excel", "xlsx"),
    "PowerPoint Document": ("PowerPoint", "pptx"),
}
"""The streams of files from before 2007, and what they should become."""


def read_office(
    data: bytes, kind: str, reader: Callable[[bytes], list[Part]], extra: str = "office"
) -> list[Part]:
    """Run the reader of an office file, and turn whatever it raises into LoadError.

    Args:
        data: The bytes of the file.
        kind: The name of the program or format, for messages.
        reader: Reads the parts of the file; may raise anything.
        extra: The extra that holds the libraries of the reader.

    Raises:
        LoadError: The file is broken, encrypted or too large, or the extra is not installed.
    """
    try:
        check_archive(data, kind)
        return reader(_to_transitional(data))
    except LoadError:
        raise
    except ImportError as error:
        raise LoadError(
            f"The file is a {kind} file, which needs the extra {extra!r} ({error}). "
            f"Type: pip install 'qwen-agentkit[{extra}]'"
        ) from error
    except Exception as error:  # The libraries raise nearly anything for a damaged file.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is a broken {kind} file ({reason}); expected a readable one. Save it anew and "
            "try again."
        ) from error


def check_archive(data: bytes, kind: str) -> None:
    """Refuse a file that is not an archive or would fill the memory.

    Raises:
        LoadError: The file is encrypted, from before 2007, or too large.
    """
    if data.startswith(_COMPOUND):
        _refuse_compound(data, kind)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise LoadError(
            f"The file unpacks to {size / 2**30:.1f} GB; expected {_LARGEST / 2**30:.0f} GB or less. "
            "Remove pictures and films, or save it as several files."
        )


def refuse_old(data: bytes) -> list[Part]:
    """Refuse a file from before 2007, which no library here reads.

    Raises:
        LoadError: Always.
    """
    for start, ending in ((b"{\\rtf", ".rtf"), (b"PK", ".docx, .xlsx or .pptx"), (b"<", ".html")):
        if data.lstrip()[:5].startswith(start):
            raise LoadError(f"The file has an old ending, but is a newer one; expected {ending}. Rename it.")
    return _refuse_compound(data, "Office")


def _refuse_compound(data: bytes, kind: str) -> NoReturn:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise LoadError(
            f"The file is an encrypted {kind} file, which needs a password; expected one without. Remove the "
            "password and try again."
        )
    for stream, (program, ending) in _OLD.items():
        if stream.encode("utf-16-le") in data:
            raise LoadError(
                f"The file was written by {program} before 2007, whatever its ending; expected .{ending}. "
                f"Open it in {program} or LibreOffice, save it as .{ending}, and try again."
            )
    raise LoadError(
        f"The file is an encrypted {kind} file or one from before 2007; expected a newer one without a "
        "password. Save it as such and try again."
    )


def _to_transitional(data: bytes) -> bytes:
    """Rewrite a Strict file with the names that all libraries know; any other file stays as it is."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if "_rels/.rels" not in names or not _STRICT.search(archive.read("_rels/.rels")):
            return data
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as rewritten:
            for name in dict.fromkeys(names):
                content = archive.read(name)
                if name.endswith((".xml", ".rels")):
                    content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", content)
                    content = content.replace(b"/extendedProperties", b"/extended-properties")
                    content = content.replace(b"/customProperties", b"/custom-properties")
                rewritten.writestr(name, content)
    return out.getvalue()


def first_title(*titles: str | None) -> dict[str, Any]:
    """Return metadata with the first meaningful title."""
    cleaned = (" ".join((title or "").split()) for title in titles)
    title = next((title for title in cleaned if title and title not in _UNTITLED), None)
    return {"title": title} if title else {}


def local_name(element: Any) -> str:
    """Return the name of an XML element without its namespace; comments have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
