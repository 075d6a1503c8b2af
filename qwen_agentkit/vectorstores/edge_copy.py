"""Reading an embedded store that another process writes, or that cannot be written: from a private copy.

A copy holds the state between two changes, and hides the documents that ingest has not finished. It is
renewed when the store has changed, but at most a tenth of the time is spent on copying.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from qwen_agentkit.errors import StoreError
from qwen_agentkit.vectorstores.conditions import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Condition,
    Match,
    Not,
    all_of,
)
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.edge_errors import forked_off, translated
from qwen_agentkit.vectorstores.edge_files import change_time, copy_shard
from qwen_agentkit.vectorstores.points import TENANT, Hit, Layout, Point, SparseVector
from qwen_agentkit.vectorstores.threads import run_in_thread

__all__ = ["CopyBackend"]

T = TypeVar("T")

_COPYING_SHARE = 0.1


class _Copy:
    """The state of a store at one time. Its files are removed with it."""

    def __init__(self, folder: Path) -> None:
        started = time.monotonic()
        self.changed = change_time(folder)
        self._process = os.getpid()
        self._files = Path(tempfile.mkdtemp(prefix="qwen-agentkit-"))
        try:
            with translated(folder):
                copy_shard(folder, self._files / folder.name)
            self.backend = EdgeBackend.acquire(self._files, folder.name, create=False)
            self.visible = _whole_documents(self.backend.scroll(EVERYTHING))
        except BaseException:
            shutil.rmtree(self._files, ignore_errors=True)
            raise
        self.made = time.monotonic()
        self.seconds = self.made - started

    def is_stale(self, folder: Path) -> bool:
        """Tell whether the store has changed since, and a new copy may be made."""
        rested = (time.monotonic() - self.made) * _COPYING_SHARE >= self.seconds
        return rested and change_time(folder) != self.changed

    def close(self) -> None:
        """Remove the copy. A process that was forked off leaves it to the one that reads it."""
        if self._process == os.getpid():
            self.backend.close()
            shutil.rmtree(self._files, ignore_errors=True)


class CopyBackend:
    """A collection that is read from copies and cannot be written.

    Args:
        folder: The shard.
        reason: The error that kept it from being opened; writing raises it.
    """

    def __init__(self, folder: Path, reason: StoreError) -> None:
        self._folder = folder
        self._reason = reason
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._copies = [_Copy(folder)]

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection."""
        return self._latest().backend.maker

    @property
    def layout(self) -> Layout | None:
        """The vectors of the collection."""
        return self._latest().backend.layout

    @property
    def has_tenants(self) -> bool:
        """Whether points may belong to tenants."""
        return self._latest().backend.has_tenants

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""
        copy = self._current()
        found = {hit.id for hit in copy.backend.scroll(copy.visible)} if copy.visible != EVERYTHING else ids
        return [hit for hit in copy.backend.retrieve(ids) if hit.id in found]

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        condition: Condition,
        with_vectors: bool = False,
        corpus: Condition = EVERYTHING,
    ) -> list[Hit]:
        """Return the nearest points, best first."""
        copy = self._current()
        wanted = all_of(copy.visible, condition)
        return copy.backend.search(query, limit, wanted, with_vectors, all_of(copy.visible, corpus))

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition, of one state."""
        copy = self._current()
        yield from copy.backend.scroll(all_of(copy.visible, condition))

    def languages(self, condition: Condition) -> list[str]:
        """Return the languages of the points that meet a condition, the most frequent first."""
        copy = self._current()
        return copy.backend.languages(all_of(copy.visible, condition))

    def export(self) -> Iterator[Point]:
        """Yield every point of the collection with its vectors, those of unfinished documents too."""
        yield from self._current().backend.export()

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""
        copy = self._current()
        return copy.backend.count(all_of(copy.visible, condition))

    async def awaited(self, work: Callable[[], T]) -> T:
        """Call a function that uses this back end, in a thread."""
        return await run_in_thread(work)

    def close(self) -> None:
        """Remove the copies."""
        with self._lock:
            for copy in self._copies:
                copy.close()

    def create(self, layout: Layout, maker: dict[str, Any]) -> None:
        """Do nothing: the collection exists."""

    def atomically(self) -> AbstractContextManager[None]:
        """Raise: the collection cannot be written."""
        self._refuse()

    def index_tenants(self) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def upsert(self, points: Sequence[Point]) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def set_words(self, id: str, words: SparseVector) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def delete(self, ids: Sequence[str]) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def delete_matching(self, condition: Condition) -> None:
        """Raise: the collection cannot be written."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise self._reason

    def _latest(self) -> _Copy:
        if self._process != os.getpid():
            raise forked_off(self._folder)
        return self._copies[-1]

    def _current(self) -> _Copy:
        self._latest()  # before the lock, which another thread may have held when the process was forked off
        with self._lock:
            if self._copies[-1].is_stale(self._folder):
                self._copies.append(_Copy(self._folder))
                # Searches that began before may still read the one before; nobody reads an older one.
                for copy in self._copies[:-2]:
                    copy.close()
                del self._copies[:-2]
            return self._copies[-1]


def _whole_documents(hits: Iterable[Hit]) -> Condition:
    """Return the condition that hides the chunks of documents that ingest has not finished.

    A document is whole when as many of its chunks carry its hash as it has, which each chunk says.
    """
    found: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    for hit in hits:
        metadata = hit.payload.get("metadata") or {}
        if {"source", "document_hash", "chunk_count"} <= metadata.keys():
            version = (hit.payload.get(TENANT), metadata["source"], metadata["document_hash"])
            found[(*version, metadata["chunk_count"])] += 1
    partial = [key for key, number in found.items() if key[-1] != number]
    hidden = tuple(
        AllOf(
            (
                *([Match((TENANT,), (tenant,))] if tenant else []),
                Match(("metadata", "source"), (source,)),
                Match(("metadata", "document_hash"), (document_hash,)),
            )
        )
        for tenant, source, document_hash, _ in partial
    )
    return Not(AnyOf(hidden)) if hidden else EVERYTHING
