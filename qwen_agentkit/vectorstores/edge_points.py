"""Points, payloads and filters in qdrant-edge's own types. Knows no file and no lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path as Folder
from typing import Any

import qdrant_edge as edge

from qwen_agentkit.vectorstores.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Contains,
    Dates,
    Exists,
    Match,
    Not,
    Path,
    Prefix,
    Range,
    Scalar,
    as_range,
    json_path,
)
from qwen_agentkit.vectorstores.points import DENSE, SPARSE, Point

__all__ = [
    "LANGUAGE_PATH",
    "create_shard",
    "dense_vector",
    "edge_filter",
    "edge_payload",
    "edge_point",
    "read_point",
]

_INDEXED = ("source", "language")
# MatchValue(True) of qdrant-edge 0.9 searches for the integer 1, so true and false are also kept as text.
_BOOLEANS = "booleans"


LANGUAGE_PATH = 'metadata."language"'


def create_shard(folder: Folder, dimensions: int) -> edge.EdgeShard:
    """Create a shard with its payload indexes.

    Args:
        folder: An empty folder.
        dimensions: The length of the dense vectors.
    """
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine),
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        wal_enabled=True,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    for key in _INDEXED:
        shard.update(
            edge.UpdateOperation.create_field_index(
                json_path(("metadata", key)), edge.PayloadSchemaType.Keyword
            )
        )
    return shard


def edge_point(point: Point) -> edge.Point:
    """Convert a point."""
    vector: dict[str, edge.NamedVector] = {DENSE: point.dense, SPARSE: edge.SparseVector(*point.sparse)}
    return edge.Point(id=point.id, vector=vector, payload=edge_payload(point.payload))


def read_point(record: edge.Record) -> Point:
    """Convert a point that was read with its vectors; what is missing is empty."""
    vectors: Any = record.vector or {}
    sparse = vectors.get(SPARSE)
    words = ([], []) if sparse is None else (list(sparse.indices), list(sparse.values))
    payload = {key: value for key, value in (record.payload or {}).items() if key != _BOOLEANS}
    return Point(str(record.id), list(vectors.get(DENSE) or []), words, payload)


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
    exact = [value for value in values if as_range(path, value) is None and not isinstance(value, bool)]
    texts = [value for value in exact if isinstance(value, str)]
    integers = [value for value in exact if isinstance(value, int)]
    ranges = [numbers for value in values if (numbers := as_range(path, value))]
    flags = [_flag(".".join(path[1:]), value) for value in values if isinstance(value, bool)]
    key = json_path(path)
    return [
        *(edge.FieldCondition(key=key, match=edge.MatchAny(some)) for some in (texts, integers) if some),
        *(_convert(numbers) for numbers in ranges),
        *([edge.FieldCondition(key=_BOOLEANS, match=edge.MatchAny(flags))] if flags else []),
    ]


def dense_vector(vector: Any) -> list[float] | None:
    """Return the dense vector of a result."""
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
