"""Points, payloads and filters in qdrant-edge's own types. Knows no file and no lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path as Folder
from typing import Any

import numpy as np
import qdrant_edge as edge

from qwen_agentkit.vectorstores.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Contains,
    Dates,
    Exists,
    IndexKind,
    Match,
    Not,
    Path,
    Prefix,
    Range,
    Scalar,
    json_path,
    sort_values,
)
from qwen_agentkit.vectorstores.points import (
    DENSE,
    FIRST_STAGE,
    SPARSE,
    Layout,
    Point,
    Quantization,
)

__all__ = [
    "LANGUAGE_PATH",
    "create_index",
    "create_shard",
    "dense_vector",
    "edge_filter",
    "edge_payload",
    "edge_point",
    "read_layout",
    "read_point",
]

_INDEXED = ("source", "language")
# MatchValue(True) of qdrant-edge 0.9 searches for the integer 1, so true and false are also kept as text.
_BOOLEANS = "booleans"


_QUANTIZATIONS = {
    # TurboQuant needs no pass over all vectors, as int8 does: whatever is written can be searched at once.
    "scalar": edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits8, memory=edge.Memory.Pinned),
    "binary": edge.BinaryQuantizationConfig(memory=edge.Memory.Pinned),
}
_STORED: dict[Quantization, str] = {"scalar": "turbo", "binary": "binary"}
"""How `edge_config.json` names them."""
_INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "float": edge.PayloadSchemaType.Float,
    "datetime": edge.PayloadSchemaType.Datetime,
}

LANGUAGE_PATH = 'metadata."language"'


def create_shard(folder: Folder, layout: Layout) -> edge.EdgeShard:
    """Create a shard with its payload indexes.

    Args:
        folder: An empty folder.
        layout: Its vectors. What is only compared again stays on disk, read where it is needed.
    """
    cold = edge.Memory.Cold if layout.quantization or layout.first_stage else None
    vectors = {DENSE: _vector_params(layout.dimensions, cold)}
    if layout.first_stage:
        vectors[FIRST_STAGE] = _vector_params(layout.first_stage, edge.Memory.Cold)
    if layout.quantization:
        size = layout.first_stage or layout.dimensions
        vectors[layout.searched] = _vector_params(size, cold, _QUANTIZATIONS[layout.quantization])
    config = edge.EdgeConfig(
        vectors=vectors,
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        wal_enabled=True,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    for key in _INDEXED:
        shard.update(create_index(("metadata", key), "keyword"))
    return shard


def _vector_params(
    size: int, memory: edge.Memory | None, quantization: Any | None = None
) -> edge.EdgeVectorParams:
    distance = edge.Distance.Cosine
    return edge.EdgeVectorParams(size, distance, memory=memory, quantization_config=quantization)


def read_layout(config: dict[str, Any]) -> Layout:
    """Read the layout of a shard from its `edge_config.json`."""
    vectors = config["vectors"]
    first = vectors.get(FIRST_STAGE)
    kinds = (first or vectors[DENSE]).get("quantization_config") or {}
    found = [name for name, kind in _STORED.items() if kind in kinds]
    return Layout(int(vectors[DENSE]["size"]), found[0] if found else None, first and int(first["size"]))


def create_index(path: Path, kind: IndexKind) -> edge.UpdateOperation:
    """Return the operation that creates an index of payloads."""
    if kind == "bool":
        return edge.UpdateOperation.create_field_index(_BOOLEANS, edge.PayloadSchemaType.Keyword)
    return edge.UpdateOperation.create_field_index(json_path(path), _INDEX_TYPES[kind])


def edge_point(point: Point, layout: Layout) -> edge.Point:
    """Convert a point."""
    # qdrant-edge copies the bytes of a buffer, and would ask a list for one number after the other.
    vector: dict[str, Any] = {DENSE: point.dense.data, SPARSE: edge.SparseVector(*point.sparse)}
    if layout.first_stage:
        vector[FIRST_STAGE] = point.dense[: layout.first_stage].data
    return edge.Point(id=point.id, vector=vector, payload=edge_payload(point.payload))


def read_point(record: edge.Record) -> Point:
    """Convert a point that was read with its vectors; what is missing is empty."""
    vectors: Any = record.vector or {}
    sparse = vectors.get(SPARSE)
    words = ([], []) if sparse is None else (list(sparse.indices), list(sparse.values))
    payload = {key: value for key, value in (record.payload or {}).items() if key != _BOOLEANS}
    dense = np.array(vectors.get(DENSE) or [], np.float32)
    return Point(str(record.id), dense, words, payload)


def edge_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload in which true and false can be filtered."""
    flags = sorted(set(_flags("", payload["metadata"])))
    return {**payload, _BOOLEANS: flags} if flags else payload


def _flags(prefix: str, metadata: dict[str, Any]) -> Iterator[str]:
    for key, value in metadata.items():
        if isinstance(value, dict):
            yield from _flags(f"{prefix}{key}.", value)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool):
                yield _flag(f"{prefix}{key}", item)


def _flag(key: str, value: bool) -> str:
    return f"{key}={value}"


def edge_filter(condition: Condition) -> edge.Filter:
    """Convert a condition."""
    return edge.Filter(must=[_convert(condition)])


def _convert(condition: Condition) -> edge.Filter | edge.FieldCondition:
    match condition:
        case AllOf(parts):
            return edge.Filter(must=[_convert(part) for part in parts])
        case AnyOf(parts):
            return edge.Filter(should=[_convert(part) for part in parts])
        case Not(Exists(path)):
            return edge.Filter(must=[edge.IsEmptyCondition(json_path(path))])
        case Not(part):
            return edge.Filter(must_not=[_convert(part)])
        case Match(path, values):
            return edge.Filter(should=_matches(path, values))
        case Exists(path):
            return edge.Filter(must_not=[edge.IsEmptyCondition(json_path(path))])
        case Contains(path, text):
            return edge.FieldCondition(key=json_path(path), match=edge.MatchSubstring(text))
        case Prefix(path, text):
            return edge.FieldCondition(key=json_path(path), match=edge.MatchPrefix(text))
        case Range(path, gt, gte, lt, lte):
            numbers = edge.RangeFloat(gt=gt, gte=gte, lt=lt, lte=lte)
            return edge.FieldCondition(key=json_path(path), range=numbers)
        case Dates(path, gt, gte, lt, lte):
            dates = edge.RangeDateTime(gt=_iso(gt), gte=_iso(gte), lt=_iso(lt), lte=_iso(lte))
            return edge.FieldCondition(key=json_path(path), range=dates)


def _iso(date: datetime | None) -> str | None:
    return None if date is None else date.isoformat()


def _matches(path: Path, values: Sequence[Scalar]) -> list[Any]:
    """Return one condition per kind of value; texts share one, since there may be many."""
    found = sort_values(path, values)
    flags, key = [_flag(".".join(path[1:]), value) for value in found.flags], json_path(path)
    lists = ((key, found.texts), (key, found.integers), (_BOOLEANS, flags))
    return [
        *(edge.FieldCondition(key=key, match=edge.MatchAny(some)) for key, some in lists if some),
        *map(_convert, found.ranges),
    ]


def dense_vector(vector: Any) -> list[float] | None:
    """Return the dense vector of a result."""
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
