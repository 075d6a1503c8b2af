"""Brings a store in step with files: embeds what is new, deletes what is gone, touches nothing else.

A document counts as done when all its chunks carry its hash and there are as many as they say. A run
that was killed leaves such a document undone, and the next run completes it: chunk ids depend on source
and text alone, so chunks that are in are never embedded again.
"""

from __future__ import annotations

import hashlib
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
from qwen_agentkit.ingest.discovery import SourceFile, discover, place_of, source_name
from qwen_agentkit.ingest.loaders import load
from qwen_agentkit.ingest.splitting import CountTokens, split
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.vectorstores.points import chunk_ids
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestReport", "Progress", "ingest", "stored_sources"]

PIPELINE_VERSION = 2
"""Part of every document's hash: raise it when reading or splitting changes, and all is done anew."""

Progress = Callable[[str, int, int], None]
"""Called with a stage ("read" counts documents, "embed" chunks), how many are done, and of how many."""

_SLICE = 256
"""Chunks embedded at a time, over file borders, so that the embedder can fill its batches."""
_TELLING = 20
"""A chunk of fewer letters is said to be in the language of its document."""


@dataclass
class IngestReport:
    """What a run did, in documents; failed ones with a reason each. A changed document counts as added."""

    added: int = 0
    skipped: int = 0
    removed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class _Cut:
    """How documents become chunks."""

    count_tokens: CountTokens
    max_tokens: int
    groups: bool

    @property
    def version(self) -> str:
        """Part of every document's hash, so that another way of cutting does all anew."""
        return f"{PIPELINE_VERSION} {self.max_tokens} {'groups ' if self.groups else ''}"


@dataclass
class _Stored:
    """What the store holds of one document."""

    ids: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    expected: int = 0

    def is_complete(self, document_hash: str) -> bool:
        return self.holds(document_hash) and len(self.ids) == self.expected

    def holds(self, document_hash: str) -> bool:
        return self.hashes == {document_hash}

    def is_from(self, place: str) -> bool:
        """Whether it came from this place; of what an early version stored, nobody knows."""
        return self.places <= {place}


@dataclass
class _Job:
    """One document to bring in: its chunks, and what is there already."""

    chunks: list[Document]
    stored: _Stored

    def new(self) -> list[Document]:
        return [chunk for chunk in self.chunks if chunk.id not in self.stored.ids]

    def finish(self, store: QwenVectorStore) -> None:
        """Once all new chunks are in: renew the kept ones, then drop the stale ones, in this order."""
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
    """Bring a store in step with the documents under some paths.

    Args:
        paths: Files and folders: md, txt, html, pdf, csv, tsv, jsonl; docx, pptx, xlsx (extra `office`).
        store: Where the chunks go.
        count_tokens: Counts tokens of texts; by default the embedder's `count_tokens`, or an estimate.
        max_tokens: Most tokens of a chunk.
        prune: Whether to delete documents whose files are gone from the given folders.
        groups: Whether the first folder below a given one names the group that may read what is in it,
            as `metadata["group"]`. A file that lies in no such folder is then one that failed.
        progress: Called as the work goes on.
        prepare: Called once with all texts that are about to be embedded, before the first of them is.

    Returns:
        The report. A file that cannot be read is listed in it and stops nothing.

    Raises:
        InputError: A path does not exist or holds no documents; the store is untouched.
        StoreMismatchError: Another embedder made the store.
        StoreWriteError: Disk full or folder read-only; run again to go on from there.
    """
    started = time.perf_counter()
    roots = [Path(path).expanduser() for path in paths]
    files = discover(roots)
    tell = progress or (lambda stage, done, total: None)
    own: CountTokens = getattr(store.embeddings, "count_tokens", _estimated_tokens)
    cut = _Cut(count_tokens or own, max_tokens, groups)
    report = IngestReport()
    registry = _registry(store)
    jobs = []
    for number, file in enumerate(files, start=1):
        job = _job(file, registry.get(file.source, _Stored()), cut, report)
        jobs += [job] if job else []
        tell("read", number, len(files))
    if prepare:
        prepare([chunk.page_content for job in jobs for chunk in job.new()])
    _embed(jobs, store, tell)
    report.added = len(jobs)
    if prune:
        report.removed = _prune(roots, files, registry, store)
    report.seconds = time.perf_counter() - started
    return report


def stored_sources(
    paths: Iterable[str | os.PathLike[str]], store: QwenVectorStore
) -> tuple[set[str], set[str]]:
    """Names of the documents that a store holds of some folders, and those of them whose files are gone.

    Raises:
        InputError: A path does not exist or holds no documents.
    """
    roots = [Path(path).expanduser() for path in paths]
    stored = _below(roots, _registry(store))
    return stored, _gone(stored, discover(roots))


def _registry(store: QwenVectorStore) -> dict[str, _Stored]:
    """Gather what the store holds of each ingested document."""
    registry: dict[str, _Stored] = {}
    for document in store.scroll():
        metadata = document.metadata
        if {"source", "document_hash", "chunk_count"} <= metadata.keys():
            stored = registry.setdefault(metadata["source"], _Stored())
            stored.ids.add(document.id or "")
            stored.hashes.add(metadata["document_hash"])
            stored.places |= {metadata["place"]} if "place" in metadata else set()
            stored.expected = metadata["chunk_count"]
    return registry


def _job(file: SourceFile, stored: _Stored, cut: _Cut, report: IngestReport) -> _Job | None:
    """Read and split a file, unless it is in already or unreadable; the report is told which."""
    try:
        data = file.path.read_bytes()
        document_hash = hashlib.sha256(cut.version.encode() + data).hexdigest()
        known = stored.is_from(file.place)
        if known and stored.is_complete(document_hash):
            report.skipped += 1
            return None
        if not known and not stored.holds(document_hash):  # a folder that was moved holds the same
            raise LoadError(
                "has the name of a document that came from another folder, expected one file a name; ingest "
                "a folder that holds both, or into another store, or delete the old one: "
                f"store.delete(filter={{'source': {file.source!r}}})"
            )
        return _Job(_chunks(file, data, document_hash, cut), stored)
    except (OSError, LoadError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        report.failed.append({"source": file.source, "reason": reason})
        return None


def _chunks(file: SourceFile, data: bytes, document_hash: str, cut: _Cut) -> list[Document]:
    if cut.groups and not file.group:
        raise LoadError("lies in no group's folder; move it into the folder of the group that may read it")
    parts = load(data, file.path.suffix)
    language = detect_language("\n".join(part.text for part in parts))
    pieces = [(part, chunk) for part in parts for chunk in split(part.text, cut.count_tokens, cut.max_tokens)]
    texts = [chunk.text for _, chunk in pieces]
    metadatas: list[dict[str, Any]] = [
        {
            "source": file.source,
            "place": file.place,
            **({"group": file.group} if cut.groups else {}),
            "language": _language(chunk.text, language),
            **part.metadata,
            **({"section": chunk.section} if chunk.section else {}),
            "start": chunk.start,
            "end": chunk.end,
            "chunk": number,
            "chunk_count": len(pieces),
            "document_hash": document_hash,
        }
        for number, (part, chunk) in enumerate(pieces)
    ]
    ids = chunk_ids(texts, metadatas)
    return [Document(id=i, page_content=t, metadata=m) for i, t, m in zip(ids, texts, metadatas, strict=True)]


def _language(text: str, default: str) -> str:
    return detect_language(text, default) if sum(map(str.isalpha, text)) >= _TELLING else default


def _embed(jobs: Sequence[_Job], store: QwenVectorStore, tell: Progress) -> None:
    """Write new chunks slice by slice; finish each document as soon as its last chunk is in."""
    new = [chunk for job in jobs for chunk in job.new()]
    waiting = deque(zip(accumulate(len(job.new()) for job in jobs), jobs, strict=True))
    done = 0
    while waiting:
        batch = new[done : done + _SLICE]
        store.add_documents(batch)
        done += len(batch)
        tell("embed", done, len(new))
        while waiting and waiting[0][0] <= done:
            waiting.popleft()[1].finish(store)


def _prune(
    roots: Sequence[Path], files: Sequence[SourceFile], registry: dict[str, _Stored], store: QwenVectorStore
) -> int:
    """Delete the documents below the given folders whose files are gone."""
    gone = _gone(_below(roots, registry), files)
    for source in gone:
        store.delete(filter={"source": source})
    return len(gone)


def _below(roots: Sequence[Path], registry: dict[str, _Stored]) -> set[str]:
    """The documents that came from these folders."""
    folders = [(root, f"{source_name(root)}/") for root in roots if root.is_dir()]
    return {
        source
        for source, stored in registry.items()
        for root, name in folders
        if source.startswith(name) and stored.is_from(place_of(root, source.removeprefix(name)))
    }


def _gone(stored: set[str], files: Sequence[SourceFile]) -> set[str]:
    """The stored documents without a file, but for those in a folder that cannot be listed."""
    present = {file.source for file in files}
    unlisted = tuple(source for source in present if source.endswith("/"))
    return {source for source in stored - present if not source.startswith(unlisted)}


def _estimated_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate on the high side: three bytes a token hold for every script."""
    return [len(text.encode()) // 3 + 1 for text in texts]
