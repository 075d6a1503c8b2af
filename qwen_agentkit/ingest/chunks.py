"""Files as chunks for any LangChain vector store, without this package's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.ingest.chunking import Chunking, estimate_tokens
from qwen_agentkit.ingest.discovery import discover
from qwen_agentkit.ingest.ocr import choose_ocr
from qwen_agentkit.ingest.pipeline import IngestReport, Run
from qwen_agentkit.ingest.splitting import CountTokens

__all__ = ["LoadedChunks", "load_chunks"]


@dataclass
class LoadedChunks:
    """Chunks with ids and metadata, and what could not be read, as in `IngestReport`."""

    documents: list[Document] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)


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
    run = Run(
        chunking=Chunking(count_tokens or estimate_tokens, max_tokens, groups),
        ocr=choose_ocr("auto", (), ()),
        encoding=None,
        readers={},
        registry={},
        report=IngestReport(),
        report_progress=lambda stage, done, total: None,
    )
    files = discover(paths)
    documents = [chunk for update in run.read(files) for chunk in update.chunks]
    return LoadedChunks(documents, run.report.failed, run.report.warnings)
