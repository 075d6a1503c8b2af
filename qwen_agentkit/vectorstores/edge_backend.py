"""The embedded back end: one qdrant-edge shard per collection, in a folder.

Knows the behavior of qdrant-edge. One process at a time has a shard open; within the process all stores on
one folder share it. A process that was forked off has to open it itself.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge

from qwen_agentkit.errors import StoreError
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition
from qwen_agentkit.vectorstores.edge_errors import forked_off, translated
from qwen_agentkit.vectorstores.edge_files import (
    CONFIG,
    MAKER,
    OPENING,
    changing,
    check_closing,
    check_folder,
    check_space,
    damaged,
    forget_closing,
    make_room,
    recover,
    write_closing,
)
from qwen_agentkit.vectorstores.edge_indexes import NewIndex, PayloadIndexes
from qwen_agentkit.vectorstores.edge_points import (
    LANGUAGE_PATH,
    create_index,
    create_shard,
    dense_vector,
    edge_filter,
    edge_payload,
    edge_point,
    read_layout,
    read_point,
)
from qwen_agentkit.vectorstores.edge_search import search_request
from qwen_agentkit.vectorstores.points import (
    MOST_LANGUAGES,
    SPARSE,
    TENANT,
    Hit,
    Layout,
    Point,
    SparseVector,
)
from qwen_agentkit.vectorstores.remembered import RememberedResults
from qwen_agentkit.vectorstores.threads import run_in_thread

__all__ = ["EdgeBackend"]

T = TypeVar("T")

_PAGE = 1000
_WORTH_AN_INDEX = 2000
"""Points from which on reading all payloads takes longer than it takes to make an index."""


class EdgeBackend:
    """A shard, opened at most once per process. Open it with `acquire`, release it with `close`."""

    _open: dict[Path, EdgeBackend] = {}  # noqa: RUF012 - shared by the whole process
    _opening = threading.RLock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maker: dict[str, Any] | None = None
        self._layout: Layout | None = None
        self._has_tenants = False
        self._users = 0
        self._process = os.getpid()
        self._shard: edge.EdgeShard | None = None
        self._changing = threading.RLock()
        self._block = threading.local()
        self._changes = 0
        self._results = RememberedResults()
        self._indexes: PayloadIndexes | None = None
        if (folder / CONFIG).is_file():
            self._load()

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection."""
        self._opened()
        return self._maker

    @property
    def layout(self) -> Layout | None:
        """The vectors of the collection."""
        self._opened()
        return self._layout

    @property
    def has_tenants(self) -> bool:
        """Whether points may belong to tenants."""
        self._opened()
        return self._has_tenants

    @property
    def shared(self) -> bool:
        """Whether others in this process use the shard too."""
        return self._users > 1

    @classmethod
    def acquire(cls, path: str | os.PathLike[str], collection: str, *, create: bool) -> EdgeBackend:
        """Open a collection, or share the one that this process has open.

        Nothing is written; the first write creates the shard.

        Raises:
            StoreNotFoundError: The folder holds other files, or no store and `create` is False.
            StoreLockedError: Another process has it open.
            StoreWriteError: It is in a read-only place.
            StoreError: It is damaged.
        """
        root = Path(path).expanduser().resolve()
        folder = root / collection
        recover(folder)
        check_folder(root, folder, create=create)
        with cls._opening:
            backend = cls._open.get(folder)
            if backend is None:
                backend = cls._open[folder] = cls(folder)
            backend._users += 1
            return backend

    @classmethod
    def _forget(cls) -> None:
        """Leave all shards to the parent process: qdrant-edge's threads are not in this one."""
        cls._opening = threading.RLock()
        cls._open = {}

    def close(self, *, moved: bool = False) -> None:
        """Release the shard; the last user closes it, and other processes can open it.

        Args:
            moved: Whether another shard has taken its place in the meantime.
        """
        if self._process != os.getpid():
            return
        with self._opening:
            self._users -= 1
            if self._users:
                return
            self._open.pop(self.folder, None)
            if self._shard is not None:
                self._close_shard(self._shard, moved=moved)

    def _close_shard(self, shard: edge.EdgeShard, *, moved: bool) -> None:
        with translated(self.folder):
            points = shard.count(edge.CountRequest(exact=True))
            shard.close()
            self._shard = None
            if not moved:
                write_closing(self.folder, points)

    def create(self, layout: Layout, maker: dict[str, Any]) -> None:
        """Create the shard under another name and rename it, so that it is never incomplete."""
        with self._opening:
            if self._opened() is not None:
                return
            with translated(self.folder):
                check_space(self.folder, 0)
                with make_room(self.folder) as building:
                    create_shard(building, layout).close()
                    (building / MAKER).write_text(json.dumps(maker), "utf-8")
                    building.rename(self.folder)
            self._load()

    @contextmanager
    def atomically(self) -> Iterator[None]:
        """Let readers in other processes see all changes of a block, or none.

        They wait from the first change on, and not for what comes before it, such as embedding.
        """
        if getattr(self._block, "locks", None) is not None:
            yield
            return
        with ExitStack() as locks:
            self._block.locks, self._block.locked = locks, False
            try:
                yield
            finally:
                self._block.locks = None

    async def awaited(self, work: Callable[[], T]) -> T:
        """Call a function that uses this back end in a thread; within an atomic block, in the block's."""
        if getattr(self._block, "locks", None) is not None:
            return work()
        return await run_in_thread(work)

    @contextmanager
    def _change(self) -> Iterator[edge.EdgeShard]:
        with self.atomically(), translated(self.folder):
            shard = self._require()
            if not self._block.locked:
                check_space(self.folder, 0)
                self._block.locks.enter_context(self._changing)
                self._block.locks.enter_context(changing(self.folder))
                self._block.locked = True
            self._changes += 1
            try:
                yield shard
            finally:
                self._changes += 1

    def index_tenants(self) -> None:
        """Prepare the collection for tenants."""
        if not self.has_tenants:
            with self._change() as shard:
                index = edge.KeywordIndexParams(is_tenant=True)
                shard.update(edge.UpdateOperation.create_field_index(TENANT, index))
                self._has_tenants = True

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; points of the same id are replaced."""
        with self._change() as shard:
            size = sum(4 * len(point.dense) + 8 * len(point.sparse[0]) for point in points)
            check_space(self.folder, 3 * size)
            layout = self._layout or Layout(0)
            shard.update(edge.UpdateOperation.upsert_points([edge_point(one, layout) for one in points]))

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point; its vectors stay."""
        with self._change() as shard:
            shard.update(edge.UpdateOperation.overwrite_payload([id], edge_payload(payload)))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""
        if self._opened() is not None and ids:
            with self._change() as shard:
                shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def delete_matching(self, condition: Condition) -> None:
        """Delete the points that meet a condition."""
        if self._opened() is not None:
            self._index_for(condition)
            with self._change() as shard:
                shard.update(edge.UpdateOperation.delete_points_by_filter(edge_filter(condition)))

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""
        if (shard := self._opened()) is None:
            return []
        with translated(self.folder):
            found = {str(record.id): record for record in shard.retrieve(list(ids), True, False)}
        return [Hit(id, found[id].payload or {}) for id in ids if id in found]

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        condition: Condition,
        with_vectors: bool = False,
        corpus: Condition = EVERYTHING,
    ) -> list[Hit]:
        """Return the nearest points, best first."""
        if (shard := self._opened()) is None:
            return []
        self._index_for(condition)
        layout = self._layout or Layout(0)
        request = search_request(query, limit, condition, layout, corpus, with_vectors=with_vectors)
        with translated(self.folder):
            found = shard.query(request)
        return [Hit(str(p.id), p.payload or {}, p.score, dense_vector(p.vector)) for p in found]

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition."""
        offset, more = None, self._opened() is not None
        self._index_for(condition)
        while more:
            request = edge.ScrollRequest(
                offset=offset, limit=_PAGE, filter=edge_filter(condition), with_payload=True
            )
            with translated(self.folder):
                page, offset = self._require().scroll(request)
            yield from (Hit(str(record.id), record.payload or {}) for record in page)
            more = offset is not None

    def export(self) -> Iterator[Point]:
        """Yield every point of the collection with its vectors, in the order of their ids."""
        offset, more = None, self._opened() is not None
        while more:
            request = edge.ScrollRequest(offset=offset, limit=_PAGE, with_payload=True, with_vector=True)
            with translated(self.folder):
                page, offset = self._require().scroll(request)
            yield from map(read_point, page)
            more = offset is not None

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""
        if (shard := self._opened()) is None:
            return 0
        self._index_for(condition)
        request = edge.CountRequest(exact=True, filter=edge_filter(condition))
        with translated(self.folder):
            return self._remembered(f"count {condition}", lambda: int(shard.count(request)))

    def set_words(self, id: str, words: SparseVector) -> None:
        """Replace the BM25 vector of one point."""
        vector = edge.PointVectors(id, {SPARSE: edge.SparseVector(*words)})
        with self._change() as shard:
            shard.update(edge.UpdateOperation.update_vectors([vector]))

    def languages(self, condition: Condition) -> list[str]:
        """Return the languages of the points that meet a condition, the most frequent first."""
        if (shard := self._opened()) is None:
            return []
        self._index_for(condition)
        request = edge.FacetRequest(LANGUAGE_PATH, MOST_LANGUAGES, True, edge_filter(condition))

        def count() -> list[str]:
            hits = shard.facet(request).hits
            return [str(hit.value) for hit in sorted(hits, key=lambda hit: (-hit.count, str(hit.value)))]

        with translated(self.folder):
            return self._remembered(f"languages {condition}", count)

    def _remembered(self, key: str, compute: Callable[[], T]) -> T:
        """Return what was computed before, unless the collection has changed since."""
        return self._results.get(key, self._changes, compute)

    def _index_for(self, condition: Condition) -> None:
        """Index the metadata that a condition asks for."""
        indexes = self._indexes
        if indexes is None or indexes.are_settled(condition):
            return
        is_large = self.count(EVERYTHING) >= _WORTH_AN_INDEX
        with self._changing:
            for index in indexes.choose(condition):
                if index.is_needed:
                    self._make_index(index)
                elif is_large:
                    with suppress(StoreError):  # without one, a search is slow and right
                        self._make_index(index)
            if is_large:
                indexes.settle(condition)

    def _make_index(self, index: NewIndex) -> None:
        with self._change() as shard:
            shard.update(create_index(index.path, index.kind))
        if self._indexes is not None:
            self._indexes.add(index)

    def _opened(self) -> edge.EdgeShard | None:
        """Return the shard. A missing one is looked for again: another process may have created it."""
        if self._process != os.getpid():
            raise forked_off(self.folder)
        if self._shard is None and self._users:
            with self._opening:
                if self._shard is None and (self.folder / CONFIG).is_file():
                    self._load()
        return self._shard

    def _require(self) -> edge.EdgeShard:
        shard = self._opened()
        if shard is None:
            raise StoreError(f"The store {str(self.folder)!r} is closed. Open it again.")
        return shard

    def _load(self) -> None:
        with translated(self.folder):
            closing = check_closing(self.folder)
            check_space(self.folder, 0, OPENING)
            shard = edge.EdgeShard.load(str(self.folder))
            points = shard.count(edge.CountRequest(exact=True))
            if closing is not None and points != closing.points:
                shard.close()
                raise damaged(
                    self.folder, f"it has {points} passages, and had {closing.points} when it was closed"
                )
            forget_closing(self.folder)
            config = json.loads((self.folder / CONFIG).read_text("utf-8"))
            self._layout = read_layout(config)
            if (self.folder / MAKER).is_file():
                self._maker = json.loads((self.folder / MAKER).read_text("utf-8"))
            self._indexes = PayloadIndexes(shard.info().payload_schema)
            self._has_tenants = (TENANT,) in self._indexes
            self._shard = shard


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=EdgeBackend._forget)
