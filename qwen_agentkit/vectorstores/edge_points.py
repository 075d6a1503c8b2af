"""Points, payloads and filters in qdrant-edge's own types. Knows no file and no lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from qwen_agentkit.vectorstores.filters import Condition
from qwen_agentkit.vectorstores.points import DENSE, SPARSE, Point

__all__ = ["LANGUAGE_PATH", "create_shard", "dense_vector", "edge_filter", "edge_payload", "edge_point"]

_INDEXED = ("source", "language")
# MatchValue(True) of qdrant-edge 0.9 searches for the integer 1, so true and false are also kept as text.
_BOOLEANS = "booleans"


LANGUAGE_PATH = 'metadata."language"'


def create_shard(folder: Path, dimensions: int) -> edge.EdgeShard:
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
        shard.update(edge.UpdateOperation.create_field_index(_path(key), edge.PayloadSchemaType.Keyword))
    return shard


def edge_point(point: Point) -> edge.Point:
    """Convert a point."""
    vector: dict[str, edge.NamedVector] = {DENSE: point.dense, SPARSE: edge.SparseVector(*point.sparse)}
    return edge.Point(id=point.id, vector=vector, payload=edge_payload(point.payload))


def edge_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload in which true and false can be filtered."""
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


def edge_filter(conditions: Sequence[Condition]) -> edge.Filter:
    """Convert conditions, which must all hold."""
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


def dense_vector(vector: Any) -> list[float] | None:
    """Return the dense vector of a result."""
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
