"""Which metadata of an embedded store is indexed, and which index a filter needs.

A filter without an index reads every payload from disk. An index must never change what is found: one of
numbers answers ranges of dates, and one of dates ranges of numbers, as if they were its own. So a field that
is asked for both gets an index of texts, which leaves ranges to the payloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import qdrant_edge as edge

from qwen_agentkit.vectorstores.conditions import Condition, IndexKind, Path, indexes_for, parse_path

__all__ = ["NewIndex", "PayloadIndexes"]

_MOST = 32
"""Filters may come from a model, and each index takes memory."""
_RANGES: frozenset[IndexKind] = frozenset(("float", "datetime"))
_KINDS: dict[str, IndexKind] = {
    str(edge.PayloadSchemaType.Keyword): "keyword",
    str(edge.PayloadSchemaType.Float): "float",
    str(edge.PayloadSchemaType.Datetime): "datetime",
}


class NewIndex(NamedTuple):
    """An index to make."""

    path: Path
    kind: IndexKind
    is_needed: bool
    """Whether filters find something else without it; otherwise it saves time."""


class PayloadIndexes:
    """The indexes of a shard.

    Args:
        schema: What the shard says of them.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._made = {parse_path(key): _KINDS.get(str(info.data_type)) for key, info in schema.items()}
        self._asked: dict[Path, set[IndexKind]] = {}
        self._settled: set[tuple[Path, IndexKind]] = set()

    def __contains__(self, path: Path) -> bool:
        return path in self._made

    def __len__(self) -> int:
        return len(self._made)

    def are_settled(self, condition: Condition) -> bool:
        """Tell whether nothing is to be done for a condition."""
        return self._settled.issuperset(indexes_for(condition))

    def choose(self, condition: Condition) -> Iterator[NewIndex]:
        """Yield the indexes that are to be made for a condition; each replaces one that is there."""
        for path, kind in indexes_for(condition):
            asked = self._asked.setdefault(path, set())
            asked.add(kind)
            made = self._made.get(path)
            is_mixed = len(_RANGES & {made, *asked}) > 1
            if is_mixed and made in _RANGES:
                yield NewIndex(path, "keyword", True)
            elif path not in self._made and len(self) < _MOST:
                yield NewIndex(path, "keyword" if is_mixed else kind, False)

    def add(self, index: NewIndex) -> None:
        """Note that an index was made."""
        self._made[index.path] = index.kind

    def settle(self, condition: Condition) -> None:
        """Note that all that can be done for a condition is done."""
        self._settled.update(indexes_for(condition))
