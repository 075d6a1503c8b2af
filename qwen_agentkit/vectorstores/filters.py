"""The filter language of the store: a dictionary, checked once, the same for every back end.

::

    {"language": "ar"}                                     equal
    {"language": ["ar", "en"]}                             one of these
    {"year": {"gte": 2020, "lt": 2025}}                    all operators of a key hold
    {"published": {"gte": "2024-05-01"}}                   dates: ISO 8601, or datetime objects
    {"or": [{"language": "ar"}, {"year": {"lt": 2000}}]}   and, or, not, nor

Operators: eq, ne, gt, gte, lt, lte, in, nin, exists, contains, prefix, not; a "$" before a name is accepted,
and so is Qdrant's ``models.Filter``. All entries of a dictionary must hold. A key is one of the metadata;
"metadata.x" means the same as "x". "a.b" is the key of that name, or "b" within "a".

A filter that cannot be understood is refused: it must never match more than was asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, TypeAlias

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.conditions import (
    EVERYTHING,
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
    all_of,
)
from qwen_agentkit.vectorstores.points import LARGEST_INTEGER

if TYPE_CHECKING:
    from qdrant_client.models import Filter as QdrantFilter

__all__ = ["Filter", "anywhere", "make_bounds", "make_match", "make_text", "parse_filter", "parse_key"]

Filter: TypeAlias = "Mapping[str, Any] | QdrantFilter"
"""A filter as callers write it."""

_DEEPEST = 32
_MOST_VALUES = 100_000
_LOGIC = ("and", "or", "nor", "not")
_BOUNDS = ("gt", "gte", "lt", "lte")
_OPERATORS = ("eq", "ne", *_BOUNDS, "in", "nin", "exists", "contains", "prefix", "not")
_LISTS = (list, tuple, set, frozenset)
_OPERANDS: dict[str, type | tuple[type, ...]] = {"in": _LISTS, "nin": _LISTS, "exists": bool, "not": Mapping}
_PREFIX = "metadata."


def parse_filter(filter: Any) -> Condition:
    """Check a filter and return the condition it means.

    Args:
        filter: A dictionary as described in the module, or Qdrant's ``models.Filter``. None and ``{}`` match
            everything.

    Raises:
        InputError: A key, a value or an operator cannot be used; numbers have to be finite.
    """
    if filter is None:
        return EVERYTHING
    # By name, since importing qdrant_client takes over a second.
    if type(filter).__module__.startswith("qdrant_client."):
        from qwen_agentkit.vectorstores.qdrant_filters import convert_filter

        return convert_filter(filter)
    if not isinstance(filter, Mapping):
        raise InputError(
            f"The filter is {short_repr(filter)}; expected a dictionary of metadata keys. Write "
            "filter={'language': 'ar'}."
        )
    _check_size(filter)
    return _parse(filter)


def _parse(filter: Mapping[Any, Any]) -> Condition:
    return all_of(*(_parse_entry(key, value) for key, value in filter.items()))


def _parse_entry(key: Any, value: Any) -> Condition:
    name = key.removeprefix("$") if isinstance(key, str) else None
    if name in _LOGIC:
        parts = _parse_parts(key, [value] if name == "not" else value)
        if name == "and":
            return all_of(*parts)
        return AnyOf(parts) if name == "or" else Not(AnyOf(parts))
    return _parse_value(parse_key(key), key, value)


def _parse_parts(key: str, value: Any) -> tuple[Condition, ...]:
    parts = value if isinstance(value, list | tuple) else ()
    if not parts or not all(isinstance(part, Mapping) and part for part in parts):
        wanted = "a dictionary" if key.endswith("not") else "a list of dictionaries"
        raise InputError(
            f"The filter {key!r} has {short_repr(value)}; expected {wanted}, none of them empty. Write for "
            f"example {{'or': [{{'language': 'ar'}}, {{'year': 2020}}]}}; a metadata key of that name is "
            f"'metadata.{key}'."
        )
    return tuple(_parse(part) for part in parts)


def parse_key(key: Any) -> list[Path]:
    """Return the places in a payload that a key of a filter may mean.

    Raises:
        InputError: It is not a metadata key.
    """
    name = key.removeprefix(_PREFIX) if isinstance(key, str) else ""
    if not name or '"' in name or "\\" in name or not _is_unicode(name) or name.startswith("$"):
        raise InputError(
            f"The filter key {short_repr(key)} is not a metadata key; expected text without quotes or "
            f"backslashes, or one of {', '.join(_LOGIC)}. Rename the key."
        )
    parts = name.split(".")
    return [("metadata", name), *([("metadata", *parts)] if len(parts) > 1 and all(parts) else [])]


def anywhere(paths: Sequence[Path], make: Callable[[Path], Condition]) -> Condition:
    """Return the condition that a value in at least one of some places meets another one."""
    found = tuple(make(path) for path in paths)
    return found[0] if len(found) == 1 else AnyOf(found)


def _parse_value(paths: Sequence[Path], key: str, value: Any) -> Condition:
    if not isinstance(value, Mapping):
        return anywhere(paths, lambda path: _match_or_date(path, key, value))
    names = {name.removeprefix("$") if isinstance(name, str) else name: name for name in value}
    unknown = [name for plain, name in names.items() if plain not in _OPERATORS]
    if unknown or not value or len(names) < len(value):
        raise InputError(
            f"The filter operator {short_repr(unknown[0] if unknown else value)} of {key!r} is unknown; "
            f"expected one or more of {', '.join(_OPERATORS)}. Write for example {{{key!r}: {{'gte': 1}}}}."
        )
    operands = {plain: value[name] for plain, name in names.items()}
    bounds = {name: operands.pop(name) for name in _BOUNDS if name in operands}
    found = [_parse_operator(paths, key, name, operand) for name, operand in operands.items()]
    if bounds:  # together, since one entry of a list has to lie within all of them
        found.append(anywhere(paths, lambda path: make_bounds(path, key, bounds)))
    return all_of(*found)


def _parse_operator(paths: Sequence[Path], key: str, name: str, value: Any) -> Condition:
    kind = _OPERANDS.get(name)
    if (kind and not isinstance(value, kind)) or (name in ("eq", "ne") and isinstance(value, _LISTS)):
        raise _refuse_value(key, value)
    if name in ("eq", "in", "ne", "nin"):
        found = anywhere(paths, lambda path: _match_or_date(path, key, value))
        return found if name in ("eq", "in") else Not(found)
    if name == "exists":
        found = anywhere(paths, Exists)
        return found if value else Not(found)
    if name == "not":
        return Not(_parse_value(paths, key, value))
    if name == "contains" and not isinstance(value, str):
        return anywhere(paths, lambda path: make_match(path, key, [value]))
    return anywhere(
        paths, lambda path: make_text(Contains if name == "contains" else Prefix, path, key, value)
    )


def _match_or_date(path: Path, key: str, value: Any) -> Condition:
    """Return the condition for equality with a value, or with one of several."""
    values = list(value) if isinstance(value, _LISTS) else [value]
    dates = [item for item in values if isinstance(item, date)]
    others = [item for item in values if not isinstance(item, date)]
    found: list[Condition] = [make_bounds(path, key, {"gte": item, "lte": item}) for item in dates]
    if others or not dates:
        found.append(make_match(path, key, others))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def make_match(path: Path, key: str, values: list[Any]) -> Match:
    """Return the condition that a value equals one of some values.

    Raises:
        InputError: There is none, or one cannot be matched. An empty list must not mean "no condition".
    """
    if not values or not all(_can_match(item) for item in values):
        raise _refuse_value(key, values)
    return Match(path, tuple(values))


def make_text(kind: type[Contains] | type[Prefix], path: Path, key: str, value: Any) -> Condition:
    """Return a condition on the text of a value.

    Raises:
        InputError: The text is empty or broken.
    """
    if not isinstance(value, str) or not value or not _is_unicode(value):
        raise _refuse_value(key, value)
    return kind(path, value)


def make_bounds(path: Path, key: str, bounds: Mapping[str, Any]) -> Range | Dates:
    """Return the condition that a number, or a date, lies within bounds.

    Args:
        path: Where the value is.
        key: Its name in messages.
        bounds: "gt", "gte", "lt" and "lte" with finite numbers, or with dates.

    Raises:
        InputError: A bound is neither, or they are mixed.
    """
    if all(_is_finite_number(bound) for bound in bounds.values()):
        return Range(path, **{name: float(bound) for name, bound in bounds.items()})
    dates = {name: _parse_date(bound) for name, bound in bounds.items()}
    # NaN compares as smaller than nothing and equal to everything: such a filter would match all numbers.
    for name, found in dates.items():
        if found is None:
            raise InputError(
                f"The filter bound {name}={short_repr(bounds[name])} of {key!r} is neither a finite number "
                f"nor a date such as '2024-05-31'; expected all bounds of one kind. Write for example "
                f"{{{name!r}: 2020}}."
            )
    return Dates(path, **dates)


def _parse_date(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            # Python 3.10 does not read "Z".
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    except OverflowError:  # the first or the last day of the calendar, in another zone
        return None


def _refuse_value(key: str, value: Any) -> InputError:
    return InputError(
        f"The filter value {short_repr(value)} of {key!r} cannot be matched; expected text, a finite number "
        "of at most 64 bits, true or false, a date, or a list of these with at least one entry. A missing "
        f"value is {{{key!r}: {{'exists': False}}}}."
    )


def _can_match(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return _is_unicode(value)
    return isinstance(value, int) and abs(value) <= LARGEST_INTEGER


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite_number(bound: object) -> bool:
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        return False
    try:
        return math.isfinite(bound)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _check_size(filter: Mapping[Any, Any]) -> None:
    """Refuse a filter that no back end could take, before it is walked recursively."""
    level: list[Any] = [filter]
    count = 0
    for _ in range(_DEEPEST):
        inner = (value.values() if isinstance(value, Mapping) else value for value in level)
        level = [item for items in inner for item in items]
        count += len(level)
        if count > _MOST_VALUES:
            raise InputError(
                f"The filter has over {_MOST_VALUES} values; expected fewer. Mark the documents in their "
                "metadata and filter by that."
            )
        level = [item for item in level if isinstance(item, (Mapping, *_LISTS))]
        if not level:
            return
    raise InputError(
        f"The filter is nested over {_DEEPEST} levels deep; expected fewer. Combine conditions in one list."
    )
