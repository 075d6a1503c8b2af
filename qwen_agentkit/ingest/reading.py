"""A file into its parts and its hash. Runs in this process or in one of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.loaders import read_document
from qwen_agentkit.ingest.ocr import Ocr, read_pdf_with_ocr
from qwen_agentkit.ingest.parts import Part, Reader
from qwen_agentkit.ingest.pictures import NO_OCR, PICTURE_SUFFIXES, read_picture
from qwen_agentkit.text.documents import document_hash

__all__ = ["Failure", "ReadFile", "hash_file", "read_file"]


_PDF = ".pdf"
_RECOGNIZED = PICTURE_SUFFIXES | {_PDF}
"""Endings of files whose text depends on text recognition."""


@dataclass(frozen=True)
class ReadFile:
    """What was read of a file."""

    parts: list[Part]
    hash: str


@dataclass(frozen=True)
class Failure:
    """Why a file could not be read."""

    reason: str
    passing: bool = False
    """Whether the file may be readable another time or elsewhere: what is stored of it then stays."""
    expected: bool = False
    """Whether nobody expects text of the file: a picture in a folder may hold none."""


def hash_file(path: Path, version: str, ocr: Ocr | None = None, encoding: str | None = None) -> str:
    """Return the hash that `read_file` gives, without reading more than the bytes.

    Raises:
        OSError: The file cannot be opened.
    """
    hashed = hashlib.sha256(_version(version, path.suffix, ocr, encoding).encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def _version(version: str, suffix: str, ocr: Ocr | None, encoding: str | None) -> str:
    if suffix.lower() in _RECOGNIZED:
        return version + ocr.version if ocr else version
    return f"{version}{encoding} " if encoding else version


def read_file(
    path: Path,
    suffix: str,
    version: str,
    ocr: Ocr | None = None,
    encoding: str | None = None,
    readers: Mapping[str, Reader] | None = None,
) -> ReadFile | Failure:
    """Read a file.

    Args:
        path: The file.
        suffix: The ending that names its format.
        version: Describes how the file becomes chunks; part of the hash.
        ocr: How to recognize the text of pages that are pictures.
        encoding: The encoding of text files; None to detect it.
        readers: Readers by ending that go before those of the package.
    """
    kind = suffix.lower()
    recognized = kind in _RECOGNIZED and kind not in (readers or {})
    is_picture = recognized and kind != _PDF
    if is_picture and not ocr:
        return Failure(NO_OCR, passing=True, expected=True)
    try:
        data = path.read_bytes()
        if is_picture and ocr:
            parts = read_picture(data, ocr)
            if not any(part.text or part.warnings for part in parts):
                return Failure("The picture holds no text.", expected=True)
        elif recognized and ocr:
            parts = read_pdf_with_ocr(data, ocr)
        else:
            parts = read_document(data, suffix, readers, encoding)
        return ReadFile(parts, document_hash(data, _version(version, suffix, ocr, encoding)))
    except OSError as error:
        return Failure(error.strerror or str(error), passing=True)
    except LoadError as error:
        # A package that is not installed says nothing about the file, nor does an encoding that it is not in.
        missing = isinstance(error.__cause__, ImportError)
        other = encoding is not None and isinstance(error.__cause__, UnicodeError)
        return Failure(str(error), passing=missing or other, expected=missing and is_picture)
    except (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # What a library raises for a damaged file must not end the run.
        return Failure(
            f"The file is damaged, and its reader failed ({type(error).__name__}: {error}). Save it anew and "
            "try again."
        )
