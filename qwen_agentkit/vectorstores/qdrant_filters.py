"""Qdrant's own filters as conditions: what `models.Filter` of qdrant-client says in the filter language."""

from __future__ import annotations

import re
from typing import Any

from qdrant_client import models

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.conditions import (
    AnyOf,
    Condition,
    Contains,
    Exists,
    Not,
    Path,
    Prefix,
    all_of,
)
from qwen_agentkit.vectorstores.filters import anywhere, make_bounds, make_match, make_text, parse_key

__all__ = ["convert_filter"]

_DEEPEST = 32
_PART = re.compile(r'"([^"\\]+)"|([^."\\\[\]]+)')


def convert_filter(filter: Any, depth: int = 0) -> Condition:
    """Return what a filter means.

    Args:
        filter: A `models.Filter`. Its keys are written as langchain-qdrant does ("metadata.x"), or plainly.
        depth: How many filters it lies within.

    Raises:
        InputError: It is another model, or uses what the filter language has no word for.
    """
    if not isinstance(filter, models.Filter) or depth > _DEEPEST or filter.min_should is not None:
        raise _refuse(filter)
    must, should, must_not = (
        [_convert(part, depth) for part in _as_list(clause)]
        for clause in (filter.must, filter.should, filter.must_not)
    )
    return all_of(*must, *([AnyOf(tuple(should))] if should else []), *map(Not, must_not))


def _as_list(clause: Any) -> list[Any]:
    if clause is None:
        return []
    return clause if isinstance(clause, list) else [clause]


def _convert(part: Any, depth: int) -> Condition:
    if isinstance(part, models.Filter):
        return convert_filter(part, depth + 1)
    if isinstance(part, models.IsEmptyCondition):
        return Not(anywhere(_parse_path(part.is_empty.key), Exists))
    given = part.model_dump(exclude_none=True).keys() if isinstance(part, models.FieldCondition) else ()
    if len(given) != 2:  # the key, and what is asked of it
        raise _refuse(part)
    if part.is_empty is not None:
        found = anywhere(_parse_path(part.key), Exists)
        return Not(found) if part.is_empty else found
    return anywhere(_parse_path(part.key), lambda path: _convert_field(path, part))


def _parse_path(key: str) -> list[Path]:
    if key == "page_content":
        return [("page_content",)]
    if "[" in re.sub('"[^"]*"', "", key):
        raise InputError(
            f"The filter key {key!r} looks into the entries of a list, which no store here does; expected "
            "names joined by dots. Write quotes around a name with brackets."
        )
    if '"' not in key:
        return parse_key(key)
    parts = [quoted or plain for quoted, plain in _PART.findall(key)]
    if ".".join(parts) != key.replace('"', "") or not parts:
        raise InputError(f"The filter key {key!r} is not a metadata key; expected names joined by dots.")
    return [("metadata", *(parts[1:] if parts[0] == "metadata" and len(parts) > 1 else parts))]


def _convert_field(path: Path, field: models.FieldCondition) -> Condition:
    match, key = field.match, field.key
    if isinstance(match, models.MatchValue):
        return make_match(path, key, [match.value])
    if isinstance(match, models.MatchAny):
        return make_match(path, key, list(match.any))
    if isinstance(match, models.MatchSubstring):
        return make_text(Contains, path, key, match.substring)
    if isinstance(match, models.MatchPrefix):
        return make_text(Prefix, path, key, match.prefix)
    if isinstance(field.range, models.Range | models.DatetimeRange):
        bounds = field.range.model_dump(exclude_none=True)
        if bounds:
            return make_bounds(path, key, bounds)
    raise _refuse(field)


def _refuse(part: Any) -> InputError:
    used = part.model_dump(exclude_none=True) if hasattr(part, "model_dump") else part
    return InputError(
        f"The filter {str(used)[:200]!r} cannot be used; expected models.Filter with must, should and "
        "must_not of FieldCondition (MatchValue, MatchAny, MatchSubstring, MatchPrefix, Range, "
        "DatetimeRange, is_empty). Write it as a dictionary: help('qwen_agentkit.vectorstores.filters')."
    )
