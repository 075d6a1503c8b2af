"""What the readers of Word, PowerPoint and Excel files share: checks, errors, titles and rows.

The readers use the libraries of the extra `office` and import them when called.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part

__all__ = ["first_title", "local_name", "read_office", "write_row"]

_LARGEST = 1 << 30
"""The largest unpacked size in bytes; the libraries hold all of it in memory."""
_COMPOUND = b"\xd0\xcf\x11\xe0"
"""The first bytes of files from before 2007, and of files with a password."""
_UNTITLED = ("Word Document", "PowerPoint Presentation")
"""The titles that the libraries give to a file without properties."""


def read_office(data: bytes, kind: str, reader: Callable[[bytes], list[Part]]) -> list[Part]:
    """Run the reader of an office file, and turn whatever it raises into LoadError.

    Args:
        data: The bytes of the file.
        kind: The name of the program, for messages.
        reader: Reads the parts of the file; may raise anything.

    Raises:
        LoadError: The file is broken, encrypted or too large, or the extra `office` is not installed.
    """
    try:
        _check_archive(data, kind)
        return reader(data)
    except LoadError:
        raise
    except ImportError as error:
        raise LoadError(
            f"The file is a {kind} file, which needs the extra 'office' ({error}). "
            "Type: pip install 'qwen-agentkit[office]'"
        ) from error
    except Exception as error:  # The libraries raise nearly anything for a damaged file.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is a broken {kind} file ({reason}); expected a readable one. Save it anew and "
            "try again."
        ) from error


def _check_archive(data: bytes, kind: str) -> None:
    """Refuse a file that is not an archive or would fill the memory."""
    if data.startswith(_COMPOUND):
        raise LoadError(
            f"The file is an encrypted {kind} file or one from before 2007; expected a newer one without a "
            "password. Save it as such and try again."
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise LoadError(
            f"The file unpacks to {size / 2**30:.1f} GB; expected {_LARGEST / 2**30:.0f} GB or less. "
            "Remove pictures and films, or save it as several files."
        )


def first_title(*titles: str | None) -> dict[str, Any]:
    """Return metadata with the first meaningful title."""
    cleaned = (" ".join((title or "").split()) for title in titles)
    title = next((title for title in cleaned if title and title not in _UNTITLED), None)
    return {"title": title} if title else {}


def write_row(cells: Iterable[str]) -> str:
    """Write cells as a row of a Markdown table; empty if all of them are."""
    texts = [" ".join(cell.split()) for cell in cells]
    return f"| {' | '.join(texts)} |" if any(texts) else ""


def local_name(element: Any) -> str:
    """Return the name of an XML element without its namespace; comments have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
