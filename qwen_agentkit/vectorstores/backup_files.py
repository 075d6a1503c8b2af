"""The files of backups.

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
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import StoreError
from qwen_agentkit.vectorstores.points import POINTS_PER_PART, Layout, Point, find_problem, in_parts

__all__ = ["DAMAGE", "Progress", "read_layout", "read_manifest", "read_points", "write_points"]

Progress = Callable[[str, int, int], None]
"""Called with "points", the number done and the total."""

_FORMAT = 1
_MANIFEST = "manifest.json"
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What zlib and the readers of zip files, JSON and arrays make of damage."""


def write_points(
    archive: zipfile.ZipFile,
    points: Iterator[Point],
    manifest: dict[str, Any],
    progress: Callable[[int], None],
) -> int:
    """Write points and the manifest, which gets their number.

    Args:
        archive: A new zip file.
        points: The points.
        manifest: What else there is to know.
        progress: Called with the number of points done.

    Returns:
        The number of points.
    """
    done = 0
    for number, part in enumerate(in_parts(points)):
        _write_part(archive, number, part)
        done += len(part)
        progress(done)
    archive.writestr(_MANIFEST, json.dumps({"format": _FORMAT, **manifest, "points": done}))
    return done


def _write_part(archive: zipfile.ZipFile, number: int, points: list[Point]) -> None:
    rows = [{"id": p.id, "payload": p.payload, "indices": p.sparse[0], "values": p.sparse[1]} for p in points]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    archive.writestr(f"points-{number:05}.jsonl", lines)
    vectors = io.BytesIO()
    np.save(vectors, np.stack([point.dense for point in points]), allow_pickle=False)
    archive.writestr(f"vectors-{number:05}.npy", vectors.getvalue(), zipfile.ZIP_STORED)


def read_manifest(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """Return what a backup says of itself.

    Raises:
        Exception: One of `DAMAGE`.
        StoreError: Another version of this package made it.
    """
    manifest: dict[str, Any] = json.loads(archive.read(_MANIFEST))
    if manifest["format"] != _FORMAT:
        raise StoreError(
            f"The backup {str(file)!r} has format {manifest['format']}; expected {_FORMAT}. It was made by "
            "another version of this package: use that one."
        )
    return manifest


def read_layout(manifest: dict[str, Any]) -> Layout:
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


def read_points(
    archive: zipfile.ZipFile, manifest: dict[str, Any], progress: Progress | None
) -> Iterator[Point]:
    """Yield the points of a backup.

    Raises:
        Exception: One of `DAMAGE`.
        ValueError: There are fewer or more than the manifest says, or vectors of another length.
    """
    done, total = 0, int(manifest["points"])
    for number in range(-(-total // POINTS_PER_PART)):
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
