"""Bring a store in step with files: embed what is new, delete what is gone, leave the rest.

A document is complete if all its chunks carry its hash and their number is right. A run that was killed
leaves it incomplete, and the next run completes it. Chunk ids depend on source and text alone, so a stored
chunk is never embedded again.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.discovery import SourceFile, discover
from qwen_agentkit.ingest.loaders import has_text, read_document
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.registry import StoredDocument, read_registry, sources_in, sources_without_file
from qwen_agentkit.ingest.splitting import CountTokens, split
from qwen_agentkit.text.documents import chunk_ids, document_hash
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestReport", "Progress", "ingest", "stored_sources"]

PIPELINE_VERSION = 4
"""Part of every document's hash. Raise it when reading, splitting or the terms of words change; all documents
are read again, and what is not embedded again gets new word vectors."""

Progress = Callable[[str, int, int], None]
"""Called with a stage ("read" counts documents, "embed" chunks), the number done and the total."""

_BATCH_SIZE = 256
"""Chunks embedded at a time, across files, so that the embedder can fill its batches."""
_MIN_LETTERS = 20
"""A chunk with fewer letters gets the language of its document."""


@dataclass
class IngestReport:
    """The result of a run, in documents. A changed document counts as added."""

    added: int = 0
    skipped: int = 0
    removed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    """Files that could not be read: "source" and "reason"."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Parts of added documents that could not be read, or with doubt: "source", "page" or None, "reason"."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class _Chunking:
    """How documents become chunks."""

    count_tokens: CountTokens
    max_tokens: int
    groups: bool

    @property
    def version(self) -> str:
        """Describes the settings in every document's hash."""
        return f"{PIPELINE_VERSION} {self.max_tokens} {'groups ' if self.groups else ''}"


@dataclass
class _Update:
    """A new or changed document: its chunks, and what the store already holds of it."""

    chunks: list[Document]
    stored: StoredDocument

    @property
    def new_chunks(self) -> list[Document]:
        return [chunk for chunk in self.chunks if chunk.id not in self.stored.ids]

    def finish(self, store: QwenVectorStore) -> None:
        """Update the kept chunks, then delete the stale ones. Call it when all new chunks are stored."""
        store.update_metadata(chunk for chunk in self.chunks if chunk.id in self.stored.ids)
        store.delete(sorted(self.stored.ids.difference(chunk.id or "" for chunk in self.chunks)))


def ingest(
    paths: Iterable[str | os.PathLike[str]],
    store: QwenVectorStore,
    *,
    count_tokens: CountTokens | None = None,
    max_tokens: int = 320,
    prune: bool = True,
    groups: bool = False,
    progress: Progress | None = None,
    prepare: Callable[[list[str]], None] | None = None,
) -> IngestReport:
    """Bring a store in step with files and folders.

    Args:
        paths: Files and folders: md, txt, html, pdf, csv, tsv, jsonl; docx, pptx, xlsx (extra `office`).
        store: The store of the chunks.
        count_tokens: Counts the tokens of texts. Default: `count_tokens` of the embedder, or an estimate.
        max_tokens: Most tokens of a chunk.
        prune: Whether to delete documents of the given folders whose files are gone.
        groups: Whether the first folder below a given one names the group that may read its files, stored
            as `metadata["group"]`. A file in no such folder fails.
        progress: Called as the work goes on.
        prepare: Called once, before anything is embedded, with all texts to embed.

    Returns:
        The report. It lists the files that could not be read; they do not stop the run.

    Raises:
        InputError: A path does not exist or holds no documents; the store is unchanged.
        StoreMismatchError: Another embedder made the store.
        StoreWriteError: The disk is full or the folder is read-only; run it again to continue.
    """
    started = time.perf_counter()
    roots = [Path(path).expanduser() for path in paths]
    files = discover(roots)
    report_progress = progress or (lambda stage, done, total: None)
    own_counter: CountTokens = getattr(store.embeddings, "count_tokens", _estimate_tokens)
    chunking = _Chunking(count_tokens or own_counter, max_tokens, groups)
    report = IngestReport()
    registry = read_registry(store.scroll())
    updates = []
    for number, file in enumerate(files, start=1):
        update = _read_update(file, registry.get(file.source, StoredDocument()), chunking, report)
        updates += [update] if update else []
        report_progress("read", number, len(files))
    if prepare:
        prepare([chunk.page_content for update in updates for chunk in update.new_chunks])
    _store_updates(updates, store, report_progress)
    report.added = len(updates)
    if prune:
        gone = sources_without_file(sources_in(roots, registry), files)
        for source in gone:
            store.delete(filter={"source": source})
        report.removed = len(gone)
    report.seconds = time.perf_counter() - started
    return report


def stored_sources(
    paths: Iterable[str | os.PathLike[str]], store: QwenVectorStore
) -> tuple[set[str], set[str]]:
    """Return the stored documents of some folders, and those of them whose files are gone.

    Raises:
        InputError: A path does not exist or holds no documents.
    """
    roots = [Path(path).expanduser() for path in paths]
    stored = sources_in(roots, read_registry(store.scroll()))
    return stored, sources_without_file(stored, discover(roots))


def _read_update(
    file: SourceFile, stored: StoredDocument, chunking: _Chunking, report: IngestReport
) -> _Update | None:
    """Read and split a file, unless it is complete or unreadable, which the report then says."""
    try:
        _check_place(file, groups=chunking.groups)
        data = file.path.read_bytes()
        current = document_hash(data, chunking.version)
        same_place = stored.is_from(file.place)
        if same_place and stored.is_complete(current):
            report.skipped += 1
            return None
        if not same_place and not stored.has_hash(current):  # A folder that was moved has equal hashes.
            raise LoadError(
                "A document from another folder has this name; expected one file per name. Ingest a folder "
                "that holds both, or use another store, or delete the old document: "
                f"store.delete(filter={{'source': {file.source!r}}})."
            )
        parts = read_document(data, file.path.suffix)
        report.warnings += [
            {"source": file.source, "page": part.metadata.get("page"), "reason": warning}
            for part in parts
            for warning in part.warnings
        ]
        return _Update(_make_chunks(file, list(filter(has_text, parts)), current, chunking), stored)
    except (OSError, LoadError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        report.failed.append({"source": file.source, "reason": reason})
        return None


def _check_place(file: SourceFile, *, groups: bool) -> None:
    """Refuse a file that is outside its folder: a link must not publish what lies elsewhere.

    Raises:
        LoadError: The file lies in no group's folder, or is a link to a file outside the given folder; with
            groups, outside the folder of its group.
    """
    if groups and not file.group:
        raise LoadError(
            "The file lies in no group's folder. Move it into the folder of the group that may read it."
        )
    if file.folder is not None:
        folder = file.folder / file.group if groups else file.folder
        # realpath, since Path.resolve raises for a link to itself before Python 3.13.
        if not Path(os.path.realpath(file.path)).is_relative_to(os.path.realpath(folder)):
            raise LoadError(
                f"The file is a link to a file outside {folder.name!r}; expected a file inside. Copy the "
                "file there, or pass its own path."
            )


def _make_chunks(
    file: SourceFile, parts: Sequence[Part], current: str, chunking: _Chunking
) -> list[Document]:
    language = detect_language("\n".join(part.text for part in parts))
    pieces = [
        (part, chunk)
        for part in parts
        for chunk in split(part.text, chunking.count_tokens, chunking.max_tokens)
    ]
    texts = [chunk.text for _, chunk in pieces]
    metadatas: list[dict[str, Any]] = [
        {
            "source": file.source,
            "place": file.place,
            **({"group": file.group} if chunking.groups else {}),
            "language": _detect_chunk_language(chunk.text, language),
            **part.metadata,
            **({"section": chunk.section} if chunk.section else {}),
            "start": chunk.start,
            "end": chunk.end,
            "chunk": number,
            "chunk_count": len(pieces),
            "document_hash": current,
        }
        for number, (part, chunk) in enumerate(pieces)
    ]
    ids = chunk_ids(texts, metadatas)
    return [Document(id=i, page_content=t, metadata=m) for i, t, m in zip(ids, texts, metadatas, strict=True)]


def _detect_chunk_language(text: str, default: str) -> str:
    return detect_language(text, default) if sum(map(str.isalpha, text)) >= _MIN_LETTERS else default


def _store_updates(updates: Sequence[_Update], store: QwenVectorStore, report_progress: Progress) -> None:
    """Write new chunks in batches, and finish each document as soon as its last chunk is stored."""
    new = [chunk for update in updates for chunk in update.new_chunks]
    last_chunks = accumulate(len(update.new_chunks) for update in updates)
    waiting = deque(zip(last_chunks, updates, strict=True))
    done = 0
    while waiting:
        batch = new[done : done + _BATCH_SIZE]
        with store.atomically():  # Readers see no document twice: the new version, or the old one.
            store.add_documents(batch)
            done += len(batch)
            report_progress("embed", done, len(new))
            while waiting and waiting[0][0] <= done:
                waiting.popleft()[1].finish(store)


def _estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate the tokens of texts on the high side: three bytes per token hold for every script."""
    return [len(text.encode()) // 3 + 1 for text in texts]
