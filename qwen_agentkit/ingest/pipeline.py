"""Bring a store in step with files: embed what is new, delete what is gone, leave the rest.

A document is complete if all its chunks carry its hash and their number is right. A run that was killed
leaves it incomplete, and the next run completes it. Chunk ids depend on source and text alone, so a stored
chunk is never embedded again. Files are read ahead, in other processes, while chunks are embedded.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.indexing import RecordManager
from langchain_core.vectorstores import VectorStore

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.chunking import Chunking, estimate_tokens, make_chunks
from qwen_agentkit.ingest.discovery import SourceFile, find_documents, no_documents, read_paths
from qwen_agentkit.ingest.encodings import check_encoding
from qwen_agentkit.ingest.ocr import Ocr, OcrMode, choose_ocr
from qwen_agentkit.ingest.parts import Reader
from qwen_agentkit.ingest.reading import Failure, ReadFile, hash_file
from qwen_agentkit.ingest.recorded import RecordedStore
from qwen_agentkit.ingest.registry import (
    Registry,
    StoredDocument,
    read_registry,
    sources_in,
    sources_without_file,
)
from qwen_agentkit.ingest.splitting import CountTokens
from qwen_agentkit.ingest.workers import FileReaders, Limits
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestReport", "Progress", "Run", "ingest", "stored_sources"]

Progress = Callable[[str, int, int], None]
"""Called with a stage ("read" counts documents, "embed" chunks), the number done and the total so far."""

_BATCH_SIZE = 256
"""Chunks embedded at a time, across files, so that the embedder can fill its batches."""
_OCR_SECONDS = 1800.0
"""Most seconds for a document where text is recognized, which takes seconds for a page."""


@dataclass
class IngestReport:
    """The result of a run, in documents. A changed document counts as added."""

    added: int = 0
    skipped: int = 0
    removed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    """Files that could not be read: "source" and "reason". What was stored of a file that is empty or
    damaged now is removed; of one that could only not be opened, it stays."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Parts of added documents that could not be read, or with doubt: "source", "page" or None, "reason"."""
    passed_over: list[dict[str, str]] = field(default_factory=list)
    """Files in the folders that no reader is for, and pictures that hold no text or cannot be read here:
    "source" and "reason". Hidden ones are not listed."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self)


@dataclass
class Update:
    """A new or changed document: its chunks, and what the store already holds of it."""

    chunks: list[Document]
    stored: StoredDocument

    @property
    def new_chunks(self) -> list[Document]:
        return [chunk for chunk in self.chunks if chunk.id not in self.stored.ids]

    def finish(self, store: Target) -> None:
        """Update the kept chunks, then delete the stale ones. Call it when all new chunks are stored."""
        store.update_metadata(chunk for chunk in self.chunks if chunk.id in self.stored.ids)
        store.delete(sorted(self.stored.ids.difference(chunk.id or "" for chunk in self.chunks)))


def ingest(
    paths: Iterable[str | os.PathLike[str]],
    store: VectorStore,
    *,
    records: RecordManager | None = None,
    count_tokens: CountTokens | None = None,
    max_tokens: int = 320,
    prune: bool = True,
    groups: bool = False,
    ocr: OcrMode = "auto",
    ocr_languages: Sequence[str] = (),
    encoding: str | None = None,
    readers: Mapping[str, Reader] | None = None,
    progress: Progress | None = None,
    prepare: Callable[[list[str]], None] | None = None,
) -> IngestReport:
    """Bring a store in step with files and folders.

    Args:
        paths: Files and folders: md, txt, html, pdf, csv, json, eml, zip, epub, odt, source code and more;
            docx, pptx, xlsx (extra `office`); msg, rtf, rst (extra `formats`); png, jpg, tiff, webp
            (Tesseract and extra `ocr`).
        store: The store of the chunks: this package's, or any of LangChain's that deletes by id.
        records: What remembers the chunks in another store than this package's: one of LangChain's record
            managers, for this store alone.
        count_tokens: Counts the tokens of texts. Default: `count_tokens` of the embedder, or an estimate.
        max_tokens: Most tokens of a chunk.
        prune: Whether to delete documents of the given folders whose files are gone.
        groups: Whether the first folder below a given one names the group that may read its files, stored
            as `metadata["group"]`. A file in no such folder fails.
        ocr: Whether text is recognized by Tesseract: in pictures, and in PDF files on pages without legible
            text, where it is installed ("auto"), on all pages ("force"), or not ("off").
        ocr_languages: The languages to look for, such as ``["ar", "en"]``. Default: those of the store.
        encoding: The encoding of text files, such as "windows-1256". Default: marked, declared or detected.
        readers: Readers of your own by ending, such as ``{".foo": read_foo}``; they go before the package's.
        progress: Called as the work goes on.
        prepare: Called once, before anything is embedded, with all texts to embed.

    Returns:
        The report. It lists the files that could not be read, which do not stop the run. A file fails that
        takes more than five minutes, four gigabytes of memory or one gigabyte of size.

    Raises:
        InputError: A path does not exist, or holds no documents and the store has none of it, or `ocr` or its
            languages cannot be used here, or the encoding is unknown, or `records` is missing. The store is
            unchanged.
        StoreMismatchError: Another embedder made the store.
        StoreWriteError: The disk is full or the folder is read-only; run it again to continue.
    """
    started = time.perf_counter()
    if encoding:
        check_encoding(encoding)
    roots = read_paths(paths)
    own_readers = {suffix.lower(): reader for suffix, reader in (readers or {}).items()}
    found = find_documents(roots, own_readers)
    target = _as_target(store, records)
    registry = read_registry(target.scroll())
    stored = sources_in(roots, registry)
    if not found.files and not stored:
        raise no_documents(roots)
    own_counter: CountTokens = getattr(store.embeddings, "count_tokens", estimate_tokens)
    run = Run(
        Chunking(count_tokens or own_counter, max_tokens, groups),
        choose_ocr(ocr, ocr_languages, target.languages()),
        encoding,
        own_readers,
        registry,
        IngestReport(passed_over=found.passed_over),
        progress or (lambda stage, done, total: None),
    )
    updates: Iterable[Update] = run.read(found.files)
    if prepare:
        updates = list(updates)
        prepare([chunk.page_content for update in updates for chunk in update.new_chunks])
    report = run.report
    report.added = _store_updates(updates, target, run.report_progress)
    for lost in run.lost:
        target.delete(sorted(lost.ids))
    report.removed = len(run.lost)
    for listed in (report.failed, report.passed_over):
        listed.sort(key=lambda file: file["source"])
    if prune:
        gone = sources_without_file(stored, found.files)
        for source in gone:
            target.delete(filter={"source": source})
        report.removed += len(gone)
    report.seconds = time.perf_counter() - started
    return report


Target = QwenVectorStore | RecordedStore


def _as_target(store: VectorStore, records: RecordManager | None) -> Target:
    if isinstance(store, QwenVectorStore) and records is None:
        return store
    if records is None or isinstance(store, QwenVectorStore):
        raise InputError(
            f"The store is a {type(store).__name__} and records is {records!r}; expected records for any "
            "store but QwenVectorStore, which remembers its chunks itself. Pass for example "
            "records=SQLRecordManager('docs', db_url='sqlite:///records.sqlite') of langchain-classic."
        )
    if not isinstance(store, VectorStore) or not isinstance(records, RecordManager):
        raise InputError(
            f"The store is a {type(store).__name__} and records a {type(records).__name__}; expected a "
            "VectorStore and a RecordManager of LangChain."
        )
    return RecordedStore(store, records)


def stored_sources(
    paths: Iterable[str | os.PathLike[str]], store: QwenVectorStore
) -> tuple[set[str], set[str]]:
    """Return the stored documents of some folders, and those of them whose files are gone.

    Raises:
        InputError: A path does not exist, or holds no documents and the store none of it.
    """
    roots = read_paths(paths)
    stored = sources_in(roots, read_registry(store.scroll()))
    files = find_documents(roots).files
    if not files and not stored:
        raise no_documents(roots)
    return stored, sources_without_file(stored, files)


@dataclass
class Run:
    """The reading of one run: what to read, and what became of it."""

    chunking: Chunking
    ocr: Ocr | None
    encoding: str | None
    readers: Mapping[str, Reader]
    registry: Registry
    report: IngestReport
    report_progress: Progress
    lost: list[StoredDocument] = field(default_factory=list)
    """Stored documents whose files are empty or damaged now."""

    def read(self, files: Sequence[SourceFile]) -> Iterator[Update]:
        """Read the files that are not in the store as they are, in order."""
        changed = []
        for file in files:
            outcome = self._screen(file)
            if outcome is None:
                changed.append(file)
            elif isinstance(outcome, Failure):
                self._fail(file, outcome)
            else:
                self.report.skipped += 1
        done = len(files) - len(changed)
        if done:
            self.report_progress("read", done, len(files))
        limits = Limits(seconds=_OCR_SECONDS) if self.ocr else Limits()
        with FileReaders(self.chunking.version, limits, self.ocr, self.encoding, self.readers) as reading:
            paths = [file.path for file in changed]
            for file, read in zip(changed, reading.read(paths), strict=True):
                if isinstance(read, Failure):
                    self._fail(file, read)
                else:
                    yield self._update(file, read)
                done += 1
                self.report_progress("read", done, len(files))

    def _screen(self, file: SourceFile) -> Failure | bool | None:
        """Return why a file must not be read, or True if the store holds it as it is, or None."""
        if failure := _check_place(file, groups=self.chunking.groups):
            return failure
        stored = self.registry.get(file.source)
        if stored is None:
            return None
        try:
            current = hash_file(file.path, self.chunking.version, self.ocr, self.encoding)
        except OSError as error:
            return Failure(error.strerror or str(error), passing=True)
        if stored.is_from(file.place):
            return stored.is_complete(current) or None
        if stored.has_hash(current):  # A folder that was moved has equal hashes.
            return None
        return Failure(
            "A document from another folder has this name; expected one file per name. Ingest a folder "
            "that holds both, or use another store, or delete the old document: "
            f"store.delete(filter={{'source': {file.source!r}}}).",
            passing=True,
        )

    def _update(self, file: SourceFile, read: ReadFile) -> Update:
        self.report.warnings += [
            {"source": file.source, "page": part.metadata.get("page"), "reason": warning}
            for part in read.parts
            for warning in part.warnings
        ]
        stored = self.registry.get(file.source, StoredDocument())
        return Update(make_chunks(file, read, self.chunking), stored)

    def _fail(self, file: SourceFile, failure: Failure) -> None:
        reason = failure.reason
        # A file that was given itself is meant to be read; one in a folder may be a logo.
        listed = self.report.passed_over if failure.expected and file.folder else self.report.failed
        stored = self.registry.get(file.source)
        if stored and not failure.passing and stored.is_from(file.place):
            self.lost.append(stored)
            reason += " What was stored of it is removed."
        listed.append({"source": file.source, "reason": reason})


def _check_place(file: SourceFile, *, groups: bool) -> Failure | None:
    """Say why a file is outside its folder: a link must not publish what lies elsewhere.

    A file must lie in a group's folder, if groups are asked for, and a link must lead to a file inside.
    """
    if groups and not file.group:
        return Failure(
            "The file lies in no group's folder. Move it into the folder of the group that may read it."
        )
    # No other file leads out: folders behind links are not searched.
    if file.folder is not None and file.path.is_symlink():
        folder = file.folder / file.group if groups else file.folder
        # realpath, since Path.resolve raises for a link to itself before Python 3.13.
        if not Path(os.path.realpath(file.path)).is_relative_to(os.path.realpath(folder)):
            return Failure(
                f"The file is a link to a file outside {folder.name!r}; expected a file inside. Copy the "
                "file there, or pass its own path."
            )
    return None


def _store_updates(updates: Iterable[Update], store: Target, report_progress: Progress) -> int:
    """Write new chunks in batches, and finish each document as soon as its last chunk is stored.

    Returns:
        How many documents were written.
    """
    waiting: deque[tuple[int, Update]] = deque()
    new: list[Document] = []
    written = done = total = 0

    def write(batch: list[Document]) -> None:
        nonlocal done, written
        with store.atomically():  # Readers see no document twice: the new version, or the old one.
            store.add_documents(batch)
            done += len(batch)
            report_progress("embed", done, total)
            while waiting and waiting[0][0] <= done:
                waiting.popleft()[1].finish(store)
                written += 1

    for update in updates:
        new += update.new_chunks
        total += len(update.new_chunks)
        waiting.append((total, update))
        while len(new) >= _BATCH_SIZE:
            write(new[:_BATCH_SIZE])
            del new[:_BATCH_SIZE]
    while new or waiting:
        write(new[:_BATCH_SIZE])
        del new[:_BATCH_SIZE]
    return written
