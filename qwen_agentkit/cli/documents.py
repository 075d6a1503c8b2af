"""The documents of a store: lists, reads, removes and exports them. Loads no model."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.documents import document_source, point_id
from qwen_agentkit.vectorstores.backend import open_backend
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.filters import parse_filter
from qwen_agentkit.vectorstores.tenants import TenantBackend
from qwen_agentkit.vectorstores.whole_files import written_whole

__all__ = ["COLLECTION", "export_documents", "list_documents", "read_document", "remove_documents"]

COLLECTION = "documents"


def list_documents(folder: Path, tenant: str | None = None) -> list[dict[str, Any]]:
    """Return the documents by name: passages, languages, and whether ingest has finished them."""
    found: dict[str, dict[str, Any]] = {}
    with _opened(folder, tenant) as backend:
        for document in _documents(backend):
            metadata = document.metadata
            row = found.setdefault(
                document_source(document),
                {"source": document_source(document), "passages": 0, "languages": set(), "expected": None},
            )
            row["passages"] += 1
            row["languages"] |= {str(metadata["language"])} if metadata.get("language") else set()
            row["expected"] = metadata.get("chunk_count", row["expected"])
    return [
        {
            "source": source,
            "passages": row["passages"],
            "languages": " ".join(sorted(row["languages"])),
            "complete": row["expected"] in (None, row["passages"]),
        }
        for source, row in sorted(found.items())
    ]


def read_document(folder: Path, source: str, tenant: str | None = None) -> list[dict[str, Any]]:
    """Return the passages of a document, in order.

    Raises:
        InputError: There is no such document.
    """
    with _opened(folder, tenant) as backend:
        found = _find(backend, source)
    found.sort(key=lambda document: (str(document.metadata.get("document_hash")), _place(document)))
    return [_describe(document) for document in found]


def remove_documents(folder: Path, sources: Sequence[str], tenant: str | None = None) -> int:
    """Remove documents, all or none, and return how many passages they had.

    Raises:
        InputError: There is no document of one of the names.
        StoreLockedError: Another process uses the store.
    """
    with _opened(folder, tenant) as backend:
        found = {point_id(d.id or "") for source in sources for d in _find(backend, source)}
        backend.delete(sorted(found))
    return len(found)


def export_documents(folder: Path, file: Path, tenant: str | None = None) -> int:
    """Write all passages as JSON lines, and return their number. The file is complete or absent.

    Raises:
        StoreWriteError: The file cannot be written.
    """
    count = 0
    with (
        _opened(folder, tenant) as backend,
        written_whole(file) as temporary,
        temporary.open("w", encoding="utf-8") as lines,
    ):
        for document in _documents(backend):
            lines.write(json.dumps(_describe(document), ensure_ascii=False) + "\n")
            count += 1
    return count


@contextmanager
def _opened(folder: Path, tenant: str | None) -> Iterator[TenantBackend]:
    backend = TenantBackend(open_backend(folder, None, None, COLLECTION, create=False), tenant)
    try:
        yield backend
    finally:
        backend.close()


def _documents(backend: TenantBackend) -> Iterator[Document]:
    return (hit.document() for hit in backend.scroll(EVERYTHING))


def _find(backend: TenantBackend, source: str) -> list[Document]:
    """Return the passages of a document: by its source, or by its id if it has none."""
    named = [hit.document() for hit in backend.scroll(parse_filter({"source": source}))]
    found = named or [d for d in _documents(backend) if document_source(d) == source]
    if not found:
        known = sorted({document_source(document) for document in _documents(backend)})
        near = difflib.get_close_matches(source, known, n=1, cutoff=0.3) or known[:1]
        hint = f"Did you mean {near[0]!r}?" if near else "The store is empty."
        raise InputError(f"The store has no document {source!r}; expected a name of `docs list`. {hint}")
    return found


def _place(document: Document) -> int:
    place = document.metadata.get("chunk")
    return place if isinstance(place, int) else 0


def _describe(document: Document) -> dict[str, Any]:
    return {"id": document.id, "text": document.page_content, "metadata": document.metadata}
