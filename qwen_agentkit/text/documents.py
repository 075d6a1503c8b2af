"""The identity of a document: how its name, its place, its hash and the ids of its chunks are made.

This is the only place that knows it: ingest writes these values, the store maps ids to points, and citations
and graphs compare documents by them. Stores on disk depend on every value here, so none may change.
Knows paths and documents. Opens no file.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.documents import Document

__all__ = [
    "chunk_ids",
    "decode_file_name",
    "document_hash",
    "document_ids",
    "document_key",
    "document_source",
    "place_of",
    "places_in",
    "point_id",
    "source_name",
]

_NAMESPACE = uuid.UUID("5b0f7d52-9f52-5d6c-8a9e-0d5f3c0b1a47")


def source_name(path: Path) -> str:
    """Return the name of a file or folder in the store, with forward slashes.

    A plain relative path keeps its name. Any other path is named by its last folder, so that the store does
    not depend on where the folder lies.
    """
    if path.is_absolute() or ".." in path.parts or path == Path():
        resolved = path.resolve()
        named = resolved.name if path.is_dir() else f"{resolved.parent.name}/{resolved.name}".lstrip("/")
        return decode_file_name(named)
    return decode_file_name(path.as_posix())


def place_of(folder: Path, below: str) -> str:
    """Return a hash of where a file lies.

    It distinguishes files of the same name in different folders without storing the path.

    Args:
        folder: The folder that was given to ingest.
        below: The path of the file below it. The file need not exist.
    """
    return places_in(folder)(below)


def places_in(folder: Path) -> Callable[[str], str]:
    """Return a function that does what `place_of` does for files of one folder; it asks the disk once."""
    start = hashlib.sha256(f"{decode_file_name(folder.resolve().as_posix())}/".encode())

    def place(below: str) -> str:
        whole = start.copy()
        whole.update(below.encode())
        return whole.hexdigest()[:16]

    return place


def decode_file_name(name: str) -> str:
    r"""Return a file name as valid Unicode: bytes that are not UTF-8 are written as ``\udcXX``."""
    return name.encode("utf-8", "backslashreplace").decode()


def document_hash(data: bytes, version: str) -> str:
    """Return the hash of a document.

    Args:
        data: The bytes of the file.
        version: Describes how the file becomes chunks. Another version gives another hash, so that the
            document is read again.
    """
    return hashlib.sha256(version.encode() + data).hexdigest()


def chunk_ids(texts: Sequence[str], metadatas: Sequence[dict[str, Any]]) -> list[str]:
    """Return one id per chunk, a UUID that depends on its source and text alone.

    A text that occurs several times in one source is numbered. Without a source, all metadata takes its
    place.
    """
    seen: Counter[str] = Counter()
    ids = []
    for text, metadata in zip(texts, metadatas, strict=True):
        origin = metadata.get("source") or _serialize(metadata)
        # Broken Unicode must not fail here: the store refuses it with a better message.
        origin = str(origin).encode("utf-8", "backslashreplace").decode()
        key = f"{origin}\n{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
        ids.append(str(uuid.uuid5(_NAMESPACE, f"{key}\n{seen[key]}")))
        seen[key] += 1
    return ids


def document_ids(texts: Sequence[str], metadatas: Sequence[dict[str, Any]]) -> list[str]:
    """Return one id per document, a UUID that depends on its text and all its metadata.

    Documents that differ in any metadata, such as the name of a customer, never share an id. Equal ones are
    numbered.
    """
    seen: Counter[str] = Counter()
    ids = []
    for text, metadata in zip(texts, metadatas, strict=True):
        content = f"{_serialize(metadata)}\n{text}".encode("utf-8", "surrogatepass")
        key = f"document\n{hashlib.sha256(content).hexdigest()}"
        ids.append(str(uuid.uuid5(_NAMESPACE, f"{key}\n{seen[key]}")))
        seen[key] += 1
    return ids


def _serialize(metadata: dict[str, Any]) -> str:
    try:
        return json.dumps(metadata, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):  # The store refuses it with a better message.
        return ""


@lru_cache(maxsize=1 << 14)  # Adding a document asks three times.
def point_id(given: str) -> str:
    """Map the id of a document to the UUID of its point. A UUID maps to itself."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, given))


def document_source(document: Document) -> str:
    """Return where a document comes from: its `source`, else its id, else an empty string."""
    return str(document.metadata.get("source") or document.id or "")


def document_key(document: Document) -> str:
    """Return a hash of source and text. Documents with equal keys are the same passage."""
    content = f"{document_source(document)}\n{document.page_content}"
    return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32]
