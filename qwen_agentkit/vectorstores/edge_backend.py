"""The embedded back end: one qdrant-edge shard per collection, in a folder.

::

    DIR/documents/            the shard of collection "documents"
        edge_config.json      written by qdrant-edge
        embedder.json         which embedder made it
        segments/, wal/

Knows files, locks and the behavior of qdrant-edge; all its errors are translated here. One process at a time
has a shard open; within the process all stores on one folder share it.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from qwen_agentkit.errors import (
    StoreError,
    StoreLockedError,
    StoreNotFoundError,
    StoreWriteError,
)
from qwen_agentkit.vectorstores.edge_points import (
    LANGUAGE_PATH,
    create_shard,
    dense_vector,
    edge_filter,
    edge_payload,
    edge_point,
)
from qwen_agentkit.vectorstores.filters import Condition
from qwen_agentkit.vectorstores.points import DENSE, MOST_LANGUAGES, SPARSE, Hit, Point, SparseVector

__all__ = ["EdgeBackend"]

_CONFIG = "edge_config.json"
_MAKER = "embedder.json"
_PAGE = 1000
_RESERVE = 128 << 20
"""Bytes that must stay free: a full disk under a memory-mapped file kills the process without an error."""


class EdgeBackend:
    """A shard, opened at most once per process. Open it with `acquire`, release it with `close`."""

    _open: dict[Path, EdgeBackend] = {}  # noqa: RUF012 - shared by the whole process
    _opening = threading.RLock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maker: dict[str, Any] | None = None
        self._dimensions: int | None = None
        self._users = 0
        self._shard: edge.EdgeShard | None = None
        if (folder / _CONFIG).is_file():
            self._load()

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection."""
        self._opened()
        return self._maker

    @property
    def dimensions(self) -> int | None:
        """The length of the dense vectors."""
        self._opened()
        return self._dimensions

    @classmethod
    def acquire(cls, path: str | os.PathLike[str], collection: str, *, create: bool) -> EdgeBackend:
        """Open a collection, or share the one that this process has open.

        Nothing is written; the first write creates the shard.

        Raises:
            StoreNotFoundError: The folder holds other files, or no store and `create` is False.
            StoreLockedError: Another process has it open.
        """
        root = Path(path).expanduser().resolve()
        folder = root / collection
        _check_folder(root, folder, create=create)
        with cls._opening:
            backend = cls._open.get(folder)
            if backend is None:
                backend = cls._open[folder] = cls(folder)
            backend._users += 1
            return backend

    def close(self) -> None:
        """Release the shard; the last user closes it, and other processes can open it."""
        with self._opening:
            self._users -= 1
            if self._users:
                return
            self._open.pop(self.folder, None)
            if self._shard is not None:
                with self._translated():
                    self._shard.close()
                self._shard = None

    def create(self, dimensions: int, maker: dict[str, Any]) -> None:
        """Create the shard under another name and rename it, so that it is never incomplete."""
        with self._opening:
            if self._opened() is not None:
                return
            building = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex}")
            with self._translated():
                self._check_space(0)
                try:
                    building.mkdir(parents=True)
                    shard = create_shard(building, dimensions)
                    shard.close()
                    (building / _MAKER).write_text(json.dumps(maker), "utf-8")
                    building.rename(self.folder)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
            self._load()

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; points of the same id are replaced."""
        with self._translated():
            self._check_space(sum(4 * len(point.dense) + 8 * len(point.sparse[0]) for point in points) * 3)
            self._require().update(
                edge.UpdateOperation.upsert_points([edge_point(point) for point in points])
            )

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point; its vectors stay."""
        with self._translated():
            self._require().update(edge.UpdateOperation.overwrite_payload([id], edge_payload(payload)))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""
        if (shard := self._opened()) is not None:
            with self._translated():
                shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def delete_matching(self, conditions: Sequence[Condition]) -> None:
        """Delete the points that meet all conditions."""
        if (shard := self._opened()) is not None:
            with self._translated():
                shard.update(edge.UpdateOperation.delete_points_by_filter(edge_filter(conditions)))

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""
        if (shard := self._opened()) is None:
            return []
        with self._translated():
            found = {str(record.id): record for record in shard.retrieve(list(ids), True, False)}
        return [Hit(id, found[id].payload or {}) for id in ids if id in found]

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        conditions: Sequence[Condition],
        with_vectors: bool = False,
    ) -> list[Hit]:
        """Return the nearest points, best first."""
        if (shard := self._opened()) is None:
            return []
        if isinstance(query, tuple):
            nearest = edge.Query.Nearest(edge.SparseVector(*query), using=SPARSE)
        else:
            nearest = edge.Query.Nearest(query, using=DENSE)
        request = edge.QueryRequest(
            limit=limit,
            query=nearest,
            filter=edge_filter(conditions),
            with_payload=True,
            with_vector=[DENSE] if with_vectors else False,
        )
        with self._translated():
            found = shard.query(request)
        return [Hit(str(p.id), p.payload or {}, p.score, dense_vector(p.vector)) for p in found]

    def scroll(self, conditions: Sequence[Condition]) -> Iterator[Hit]:
        """Yield every point that meets all conditions."""
        offset, more = None, self._opened() is not None
        while more:
            request = edge.ScrollRequest(
                offset=offset, limit=_PAGE, filter=edge_filter(conditions), with_payload=True
            )
            with self._translated():
                page, offset = self._require().scroll(request)
            yield from (Hit(str(record.id), record.payload or {}) for record in page)
            more = offset is not None

    def count(self, conditions: Sequence[Condition]) -> int:
        """Count the points that meet all conditions."""
        if (shard := self._opened()) is None:
            return 0
        with self._translated():
            return int(shard.count(edge.CountRequest(exact=True, filter=edge_filter(conditions))))

    def set_words(self, id: str, words: SparseVector) -> None:
        """Replace the BM25 vector of one point."""
        vector = edge.PointVectors(id, {SPARSE: edge.SparseVector(*words)})
        with self._translated():
            self._require().update(edge.UpdateOperation.update_vectors([vector]))

    def languages(self, conditions: Sequence[Condition]) -> list[str]:
        """Return the languages of the points that meet all conditions, the most frequent first."""
        if (shard := self._opened()) is None:
            return []
        request = edge.FacetRequest(LANGUAGE_PATH, MOST_LANGUAGES, True, edge_filter(conditions))
        with self._translated():
            hits = shard.facet(request).hits
        return [str(hit.value) for hit in sorted(hits, key=lambda hit: (-hit.count, str(hit.value)))]

    def _opened(self) -> edge.EdgeShard | None:
        """Return the shard. A missing one is looked for again: another process may have created it."""
        if self._shard is None and self._users:
            with self._opening:
                if self._shard is None and (self.folder / _CONFIG).is_file():
                    self._load()
        return self._shard

    def _require(self) -> edge.EdgeShard:
        shard = self._opened()
        if shard is None:
            raise StoreError(f"The store {str(self.folder)!r} is closed. Open it again.")
        return shard

    def _load(self) -> None:
        with self._translated():
            self._shard = edge.EdgeShard.load(str(self.folder))
            config = json.loads((self.folder / _CONFIG).read_text("utf-8"))
            self._dimensions = int(config["vectors"][DENSE]["size"])
            if (self.folder / _MAKER).is_file():
                self._maker = json.loads((self.folder / _MAKER).read_text("utf-8"))

    def _check_space(self, needed: int) -> None:
        place = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        free = shutil.disk_usage(place).free
        if free < needed + _RESERVE:
            raise StoreWriteError(
                f"The disk of {str(self.folder)!r} has {free >> 20} MB left; expected at least "
                f"{needed + _RESERVE >> 20} MB. Nothing was written. Free some space and run it again."
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate the errors of qdrant-edge and of the file system."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise _translate(error, self.folder) from error


def _translate(error: Exception, folder: Path) -> StoreError:
    text = str(error)
    if "WouldBlock" in text:
        return StoreLockedError(
            f"The store {str(folder.parent)!r} is in use by another process, and only one at a time can open "
            "it. Stop that process (an ingest, langgraph dev, a notebook), or share a Qdrant server: url="
        )
    if isinstance(error, OSError) or any(sign in text for sign in ("os error", "I/O error", "Os {")):
        return StoreWriteError(
            f"The store {str(folder.parent)!r} cannot be written ({text}); expected a writable folder with "
            "free space. Check its permissions and the disk, or choose another folder."
        )
    return StoreError(
        f"The store {str(folder.parent)!r} does not work ({text}). Create a new one by ingesting again."
    )


def _check_folder(root: Path, folder: Path, *, create: bool) -> None:
    """Refuse a folder that holds other files, before anything is written."""
    if (folder / _CONFIG).is_file():
        return
    if root.exists() and not root.is_dir():
        raise StoreNotFoundError(f"{str(root)!r} is a file; expected the folder of a store. Choose a folder.")
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")] if root.exists() else []
    if any((entry / _CONFIG).is_file() for entry in entries) and create and folder not in entries:
        return
    if entries:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no collection {folder.name!r} but other files, such as "
            f"{entries[0].name!r}; expected a store or an empty folder. Nothing was written. Choose another "
            "folder."
        )
    if not create:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no store; expected one. Create it with: "
            f"qwen-agentkit ingest DOCS --store {root}"
        )
