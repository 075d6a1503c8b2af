"""Files as chunks for any LangChain vector store, without this package's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.documents import Document

from qwen_agentkit.ingest.discovery import discover
from qwen_agentkit.ingest.pipeline import IngestReport, _Chunking, _estimate_tokens, _read_update
from qwen_agentkit.ingest.registry import StoredDocument
from qwen_agentkit.ingest.splitting import CountTokens

__all__ = ["LoadedChunks", "load_chunks"]


@dataclass
class LoadedChunks:
    """Chunks with ids and metadata, and the files that could not be read."""

    documents: list[Document] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)


def load_chunks(
    paths: Iterable[str | os.PathLike[str]],
    *,
    count_tokens: CountTokens | None = None,
    max_tokens: int = 320,
    groups: bool = False,
) -> LoadedChunks:
    """Read and split files and folders as `ingest` does, and store nothing.

    Any vector store takes the chunks with `add_documents`. LangChain's indexing API keeps it in step::

        index(load_chunks(["docs"]).documents, records, store, cleanup="full", source_id_key="source",
              key_encoder="sha256")

    Arguments and errors are those of `ingest`.
    """
    chunking = _Chunking(count_tokens or _estimate_tokens, max_tokens, groups)
    report = IngestReport()
    found = LoadedChunks(failed=report.failed)
    for file in discover([Path(path).expanduser() for path in paths]):
        update = _read_update(file, StoredDocument(), chunking, report)
        found.documents += update.chunks if update else []
    return found
