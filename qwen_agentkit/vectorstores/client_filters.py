"""Conditions as qdrant-client's models."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

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
    json_path,
    sort_values,
)

__all__ = ["client_filter"]

_Part = models.Filter | models.FieldCondition


def client_filter(condition: Condition) -> models.Filter:
    """Convert a condition."""
    return models.Filter(must=[_convert(condition)])


def _convert(condition: Condition) -> _Part:
    match condition:
        case AllOf(parts):
            return models.Filter(must=[_convert(part) for part in parts])
        case AnyOf(parts):
            return models.Filter(should=[_convert(part) for part in parts])
        case Not(Exists(path)):
            return models.Filter(must=[_is_empty(path)])
        case Not(part):
            return models.Filter(must_not=[_convert(part)])
        case Match(path, values):
            return models.Filter(should=_matches(path, values))
        case Exists(path):
            return models.Filter(must_not=[_is_empty(path)])
        case Contains(path, text):
            return _field(path, match=models.MatchSubstring(substring=text))
        case Prefix(path, text):
            return _field(path, match=models.MatchPrefix(prefix=text))
        case Range(path, gt, gte, lt, lte):
            return _field(path, range=models.Range(gt=gt, gte=gte, lt=lt, lte=lte))
        case Dates(path, gt, gte, lt, lte):
            return _field(path, range=models.DatetimeRange(gt=gt, gte=gte, lt=lt, lte=lte))


def _matches(path: Path, values: Sequence[Scalar]) -> list[_Part]:
    """Return one condition per kind of value; texts share one, since there may be many."""
    found = sort_values(path, values)
    return [
        *([_field(path, match=models.MatchAny(any=found.texts))] if found.texts else []),
        *([_field(path, match=models.MatchAny(any=found.integers))] if found.integers else []),
        *(_field(path, match=models.MatchValue(value=flag)) for flag in found.flags),
        *map(_convert, found.ranges),
    ]


def _is_empty(path: Path) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=json_path(path)))


def _field(
    path: Path, *, match: models.Match | None = None, range: models.RangeInterface | None = None
) -> models.FieldCondition:
    return models.FieldCondition(key=json_path(path), match=match, range=range)
