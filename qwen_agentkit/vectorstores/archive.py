"""Backups of a collection, and copies to another one; both hold every point of every tenant with its vectors.

A backup is a zip file::

    points-00000.jsonl    {"id", "payload", "indices", "values"} of 1,000 points; "indices" are BM25's
    vectors-00000.npy     their dense vectors, fp32, (n, dimensions)
    ...
    manifest.json         {"format", "collection", "maker", "points", "dimensions", ...}, written last

A zip file has a checksum for each part and its table of contents at the end, so that a backup that was cut
short or damaged cannot be read as a whole one.
"""

from __future__ import annotations

import io
import json
import math
import operator
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import (
    QwenAgentKitError,
    StoreError,
    StoreLockedError,
    StoreMismatchError,
    StoreNotFoundError,
    StoreWriteError,
)
from qwen_agentkit.vectorstores.backend import Collection
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.edge_files import check_replaceable, exchange, make_room, recover
from qwen_agentkit.vectorstores.points import TENANT, Layout, Point, find_problem
from qwen_agentkit.vectorstores.whole_files import written_whole

__all__ = ["Progress", "copy_points", "make_backup", "replace_shard", "restore_backup"]

Progress = Callable[[str, int, int], None]
"""Called with "points", the number done and the total."""

_FORMAT = 1
_MANIFEST = "manifest.json"
_PER_PART = 1000
# Of damage, zlib and the readers of zip files, JSON and arrays make all of these.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def make_backup(backend: Collection, file: Path, collection: str, progress: Progress | None = None) -> int:
    """Write a backup; the file is complete or absent, and an existing one is replaced at the end.

    Args:
        backend: The collection.
        file: Where the backup is to be.
        collection: The name of the collection.
        progress: Called as the work goes on.

    Returns:
        The number of points.

    Raises:
        StoreWriteError: The file cannot be written.
    """
    total, done = backend.count(EVERYTHING), 0
    with (
        written_whole(file) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for number, points in enumerate(_parts(backend.export())):
            _write_part(archive, number, points)
            done += len(points)
            if progress:
                progress("points", done, max(done, total))
        manifest = {"format": _FORMAT, "collection": collection, "points": done}
        manifest |= {"maker": backend.maker, **(asdict(backend.layout) if backend.layout else {})}
        archive.writestr(_MANIFEST, json.dumps(manifest))
    return done


def restore_backup(
    file: Path, root: Path, collection: str, *, replace: bool = False, progress: Progress | None = None
) -> int:
    """Make an embedded store from a backup. The store is the whole backup, or what it was before.

    Args:
        file: The backup.
        root: The folder of the store.
        collection: The name of the collection.
        replace: Whether to replace a store that is there.
        progress: Called as the work goes on.

    Returns:
        The number of points.

    Raises:
        StoreNotFoundError: There is no such file.
        StoreError: The file is not a whole backup, or there is a store and `replace` is False.
        StoreLockedError: The store is in use.
    """
    folder = root.expanduser().resolve() / collection
    recover(folder)
    if folder.exists() and not replace:
        raise StoreError(
            f"{str(root)!r} holds a store; expected a new folder. Choose another one, or add --replace."
        )
    check_replaceable(root, folder)
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _read_manifest(archive, file)
            layout = _read_layout(manifest)
            points = _read_parts(archive, manifest, progress)
            return replace_shard(folder, points, layout, manifest["maker"])
    except QwenAgentKitError:
        raise
    except FileNotFoundError as error:
        raise StoreNotFoundError(f"There is no backup {str(file)!r}. Check its name.") from error
    except OSError as error:
        raise StoreWriteError(
            f"{str(file)!r} cannot be restored to {str(root)!r} ({error.strerror or error}); expected a "
            "readable file and a writable folder with free space."
        ) from error
    except _DAMAGE as error:
        raise StoreError(
            f"{str(file)!r} is not a whole backup ({error}): it was cut short, damaged, or is another kind "
            "of file. Nothing was restored. Use another backup."
        ) from error


def replace_shard(folder: Path, points: Iterable[Point], layout: Layout, maker: dict[str, Any]) -> int:
    """Create a shard of some points, and put it in the place of the one that is there, if any.

    Returns:
        The number of points.

    Raises:
        StoreLockedError: The shard that is there is in use.
        ValueError: Two points have one id.
    """
    old = _hold(folder) if folder.exists() else None
    replaced: Path | None = None
    try:
        with make_room(folder) as building:
            new = EdgeBackend.acquire(building, folder.name, create=True)
            try:
                new.create(layout, maker)
                written = 0
                for part in _parts(points):
                    if any(TENANT in point.payload for point in part):
                        new.index_tenants()
                    new.upsert(part)
                    written += len(part)
                count = new.count(EVERYTHING)
            finally:
                new.close()
            if count != written:
                raise ValueError(f"it has {written} points and {count} ids")
            replaced = exchange(building / folder.name, folder)
            return count
    finally:
        if old is not None:
            old.close(moved=replaced is not None)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)


def _hold(folder: Path) -> EdgeBackend | None:
    """Keep others from opening a shard; None if it is too damaged to be opened by anybody."""
    try:
        held = EdgeBackend.acquire(folder.parent, folder.name, create=False)
    except StoreLockedError:
        raise
    except StoreError:
        return None
    if held.shared:
        held.close()
        raise StoreLockedError(
            f"The store {str(folder.parent)!r} is in use by this process. Close it, and try again."
        )
    return held


def copy_points(source: Collection, target: Collection, progress: Progress | None = None) -> dict[str, int]:
    """Copy all points to another collection, which is created if it is missing.

    What the target has already is left out, so that a copy that died half way is resumed by starting it
    again.

    Returns:
        The numbers of points "copied", "present" before, and "total" of the target.

    Raises:
        StoreNotFoundError: The source is empty and was never created.
        StoreMismatchError: Another embedder made the target.
    """
    if source.layout is None or source.maker is None:
        raise StoreNotFoundError("The store has no documents yet; expected some. Ingest first.")
    target.create(source.layout, source.maker)
    if target.maker != source.maker:  # which has the length of the vectors too
        raise StoreMismatchError(
            f"The target was made by {target.maker} and the store by {source.maker}; expected the same. "
            "Nothing was copied. Choose another collection."
        )
    if source.has_tenants:
        target.index_tenants()
    total, copied, present = source.count(EVERYTHING), 0, 0
    for part in _parts(source.export()):
        stored = {hit.id: hit.payload for hit in target.retrieve([point.id for point in part])}
        new = [point for point in part if _plain(stored.get(point.id)) != point.payload]
        if new:
            target.upsert(new)
        copied, present = copied + len(new), present + len(part) - len(new)
        if progress:
            progress("points", copied + present, max(total, copied + present))
    return {"copied": copied, "present": present, "total": target.count(EVERYTHING)}


def _plain(payload: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a payload without what the embedded store adds for itself."""
    return payload and {key: value for key, value in payload.items() if key != "booleans"}


def _parts(points: Iterable[Point]) -> Iterator[list[Point]]:
    rest = iter(points)
    while part := list(islice(rest, _PER_PART)):
        yield part


def _write_part(archive: zipfile.ZipFile, number: int, points: list[Point]) -> None:
    rows = [{"id": p.id, "payload": p.payload, "indices": p.sparse[0], "values": p.sparse[1]} for p in points]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    archive.writestr(f"points-{number:05}.jsonl", lines)
    vectors = io.BytesIO()
    np.save(vectors, np.stack([point.dense for point in points]), allow_pickle=False)
    archive.writestr(f"vectors-{number:05}.npy", vectors.getvalue(), zipfile.ZIP_STORED)


def _read_manifest(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(archive.read(_MANIFEST))
    if manifest["format"] != _FORMAT:
        raise StoreError(
            f"The backup {str(file)!r} has format {manifest['format']}; expected {_FORMAT}. It was made by "
            "another version of this package: use that one."
        )
    return manifest


def _read_layout(manifest: dict[str, Any]) -> Layout:
    """Return the layout of a backup.

    Raises:
        ValueError: There is no such layout.
    """
    layout = Layout(manifest["dimensions"], manifest.get("quantization"), manifest.get("first_stage"))
    sizes = [layout.dimensions, *([] if layout.first_stage is None else [layout.first_stage])]
    if (
        not all(type(size) is int and 0 < size <= layout.dimensions for size in sizes)
        or layout.quantization not in (None, "scalar", "binary")
        or not isinstance(manifest["maker"], dict | None)
    ):
        raise ValueError(f"it has {layout}")
    return layout


def _read_point(row: dict[str, Any], dense: NDArray[np.float32], dimensions: int) -> Point:
    """Return a point of a backup.

    Raises:
        ValueError: It cannot be stored.
    """
    words = (list(map(operator.index, row["indices"])), list(map(float, row["values"])))
    point = Point(str(uuid.UUID(row["id"])), dense, words, row["payload"])
    are_words = (
        len(words[0]) == len(set(words[0])) == len(words[1])
        and all(0 <= index < 1 << 32 for index in words[0])
        and all(map(math.isfinite, words[1]))
    )
    problem = find_problem(point, dimensions) or ("" if are_words else "its words are damaged")
    if problem:
        raise ValueError(f"point {point.id}: {problem}")
    return point


def _read_parts(
    archive: zipfile.ZipFile, manifest: dict[str, Any], progress: Progress | None
) -> Iterator[Point]:
    """Yield the points of a backup.

    Raises:
        ValueError: There are fewer or more than the manifest says, or vectors of another length.
    """
    done, total = 0, int(manifest["points"])
    for number in range(-(-total // _PER_PART)):
        rows = [json.loads(line) for line in archive.read(f"points-{number:05}.jsonl").splitlines()]
        array = np.load(io.BytesIO(archive.read(f"vectors-{number:05}.npy")), allow_pickle=False)
        vectors = np.ascontiguousarray(array, np.float32)
        if vectors.shape != (len(rows), manifest["dimensions"]):
            raise ValueError(f"part {number} has vectors of shape {vectors.shape}")
        for row, vector in zip(rows, vectors, strict=True):
            yield _read_point(row, vector, manifest["dimensions"])
        done += len(rows)
        if progress:
            progress("points", done, total)
    if done != total:
        raise ValueError(f"it has {done} of {total} points")
