"""The embedded back end: one qdrant-edge shard per collection, in a folder.

::

    DIR/documents/            the shard of collection "documents"
        edge_config.json      written by qdrant-edge
        embedder.json         which embedder made it
        segments/, wal/

Knows files, locks and qdrant-edge's quirks; every error of qdrant-edge is translated here. One process
holds a shard at a time; within the process all stores on one folder share it.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
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
from qwen_agentkit.vectorstores.filters import Condition
from qwen_agentkit.vectorstores.points import DENSE, SPARSE, Hit, Point, SparseVector

__all__ = ["EdgeBackend"]

_CONFIG = "edge_config.json"
_MAKER = "embedder.json"
_INDEXED = ("source", "language")
_PAGE = 1000
_RESERVE = 128 << 20
"""Bytes that must stay free on the disk: segments and log grow by mapped files, and running out of disk
under a mapped file kills the process instead of raising."""

# MatchValue(True) of qdrant-edge 0.9 looks for the integer 1, so true and false are also kept as text.
_BOOLEANS = "booleans"


class EdgeBackend:
    """A shard, opened at most once per process. Get it with `acquire`, give it back with `close`."""

    _open: dict[Path, EdgeBackend] = {}  # noqa: RUF012 - meant to be shared by the whole process
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
        """Fingerprint of the embedder that made the collection."""
        self._opened()
        return self._maker

    @property
    def dimensions(self) -> int | None:
        """Length of the dense vectors."""
        self._opened()
        return self._dimensions

    @classmethod
    def acquire(cls, path: str | os.PathLike[str], collection: str, *, create: bool) -> EdgeBackend:
        """Open a collection, or the one this process has open already.

        Nothing is written; the shard is made by the first write.

        Raises:
            StoreNotFoundError: The folder holds other things, or nothing and `create` is False.
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
        """Give the shard back; the last user closes it and lets other processes in."""
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
        """Make the shard beside its place and move it there whole, so that no half of one can be left."""
        with self._opening:
            if self._opened() is not None:
                return
            building = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
            with self._translated():
                self._check_space(0)
                try:
                    building.mkdir(parents=True)
                    shard = edge.EdgeShard.create(str(building), _config(dimensions))
                    for key in _INDEXED:
                        shard.update(
                            edge.UpdateOperation.create_field_index(
                                _path(key), edge.PayloadSchemaType.Keyword
                            )
                        )
                    shard.close()
                    (building / _MAKER).write_text(json.dumps(maker), "utf-8")
                    building.rename(self.folder)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
            self._load()

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, replacing those of the same id."""
        with self._translated():
            self._check_space(sum(4 * len(point.dense) + 8 * len(point.sparse[0]) for point in points) * 3)
            self._require().update(
                edge.UpdateOperation.upsert_points([_edge_point(point) for point in points])
            )

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point and keep its vectors."""
        with self._translated():
            self._require().update(edge.UpdateOperation.overwrite_payload([id], _with_booleans(payload)))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""
        if (shard := self._opened()) is not None:
            with self._translated():
                shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def delete_matching(self, conditions: Sequence[Condition]) -> None:
        """Delete the points for which all conditions hold."""
        if (shard := self._opened()) is not None:
            with self._translated():
                shard.update(edge.UpdateOperation.delete_points_by_filter(_filter(conditions)))

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
            filter=_filter(conditions),
            with_payload=True,
            with_vector=[DENSE] if with_vectors else False,
        )
        with self._translated():
            found = shard.query(request)
        return [Hit(str(p.id), p.payload or {}, p.score, _dense(p.vector)) for p in found]

    def scroll(self, conditions: Sequence[Condition]) -> Iterator[Hit]:
        """Yield every matching point."""
        offset, more = None, self._opened() is not None
        while more:
            request = edge.ScrollRequest(
                offset=offset, limit=_PAGE, filter=_filter(conditions), with_payload=True
            )
            with self._translated():
                page, offset = self._require().scroll(request)
            yield from (Hit(str(record.id), record.payload or {}) for record in page)
            more = offset is not None

    def count(self, conditions: Sequence[Condition]) -> int:
        """Count the matching points."""
        if (shard := self._opened()) is None:
            return 0
        with self._translated():
            return int(shard.count(edge.CountRequest(exact=True, filter=_filter(conditions))))

    def _opened(self) -> edge.EdgeShard | None:
        """The shard, looked for again while there is none: another process may have made it."""
        if self._shard is None and self._users:
            with self._opening:
                if self._shard is None and (self.folder / _CONFIG).is_file():
                    self._load()
        return self._shard

    def _require(self) -> edge.EdgeShard:
        shard = self._opened()
        if shard is None:
            raise StoreError(f"the store {str(self.folder)!r} is closed; open it again")
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
                f"the disk of {str(self.folder)!r} has {free >> 20} MB left, expected at least "
                f"{needed + _RESERVE >> 20} MB; free some space and run it again: nothing was written"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what qdrant-edge and the file system raise into this package's errors."""
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
            f"the store {str(folder.parent)!r} is in use by another process, and a folder serves one at a "
            f"time; stop that process (an ingest, langgraph dev, a notebook), or share a Qdrant server: url="
        )
    if isinstance(error, OSError) or any(sign in text for sign in ("os error", "I/O error", "Os {")):
        return StoreWriteError(
            f"the store {str(folder.parent)!r} cannot be written ({text}): expected a writable folder "
            f"with free space; check its permissions and the disk, or choose another folder"
        )
    return StoreError(
        f"the store {str(folder.parent)!r} does not work ({text}); make a new one by ingesting again"
    )


def _check_folder(root: Path, folder: Path, *, create: bool) -> None:
    """Refuse a folder that is full of something else before anything touches it."""
    if (folder / _CONFIG).is_file():
        return
    if root.exists() and not root.is_dir():
        raise StoreNotFoundError(f"{str(root)!r} is a file, expected the folder of a store; choose a folder")
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")] if root.exists() else []
    if any((entry / _CONFIG).is_file() for entry in entries) and create and folder not in entries:
        return
    if entries:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no collection {folder.name!r} but other things, such as "
            f"{entries[0].name!r}: expected a store or an empty folder; choose another, nothing was touched"
        )
    if not create:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no store; make one with: qwen-agentkit ingest DOCS --store {root}"
        )


def _config(dimensions: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine),
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        wal_enabled=True,
    )


def _edge_point(point: Point) -> edge.Point:
    vector: dict[str, edge.NamedVector] = {DENSE: point.dense, SPARSE: edge.SparseVector(*point.sparse)}
    return edge.Point(id=point.id, vector=vector, payload=_with_booleans(point.payload))


def _with_booleans(payload: dict[str, Any]) -> dict[str, Any]:
    flags = [
        _flag(key, item)
        for key, value in payload["metadata"].items()
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, bool)
    ]
    return {**payload, _BOOLEANS: flags} if flags else payload


def _flag(key: str, value: bool) -> str:
    return f"{key}={value}"


def _path(key: str) -> str:
    return f'metadata."{key}"'


def _filter(conditions: Sequence[Condition]) -> edge.Filter:
    return edge.Filter(must=[_condition(condition) for condition in conditions])


def _condition(condition: Condition) -> edge.Filter | edge.FieldCondition:
    if condition.bounds:
        return edge.FieldCondition(key=_path(condition.key), range=edge.RangeFloat(**condition.bounds))
    return edge.Filter(should=[_match(condition.key, value) for value in condition.any_of])


def _match(key: str, value: str | int | float) -> edge.FieldCondition:
    if isinstance(value, bool):
        return edge.FieldCondition(key=_BOOLEANS, match=edge.MatchValue(_flag(key, value)))
    if isinstance(value, float):
        return edge.FieldCondition(key=_path(key), range=edge.RangeFloat(gte=value, lte=value))
    return edge.FieldCondition(key=_path(key), match=edge.MatchValue(value))


def _dense(vector: Any) -> list[float] | None:
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
