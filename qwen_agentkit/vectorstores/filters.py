"""The filter language of the store: a plain dictionary, checked once, the same for every back end.

``{"language": "ar"}``, ``{"language": ["ar", "en"]}``, ``{"year": {"gte": 2020, "lt": 2025}}``; all entries
must match. Keys are top-level keys of a document's metadata. A filter that cannot be understood is refused:
it must never match more than was asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as short_repr
from typing import Any

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.points import LARGEST_INTEGER

__all__ = ["Condition", "Filter", "parse_filter"]

Filter = Mapping[str, Any]
"""A filter as callers write it."""

Scalar = str | int | float | bool
_BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True)
class Condition:
    """A metadata key and its condition: one of some values, or a number within bounds."""

    key: str
    any_of: tuple[Scalar, ...] = ()
    bounds: dict[str, float] = field(default_factory=dict)


def parse_filter(filter: Filter | None) -> list[Condition]:
    """Check a filter and return its conditions, which must all hold.

    Args:
        filter: A dictionary as described in the module; None and ``{}`` match everything.

    Raises:
        InputError: A key, a value or an operator cannot be used; numbers have to be finite.
    """
    if filter is None:
        return []
    if not isinstance(filter, Mapping):
        raise InputError(
            f"The filter is {short_repr(filter)}; expected a dictionary of metadata keys. Write "
            "filter={'language': 'ar'}."
        )
    return [_parse_condition(key, value) for key, value in filter.items()]


def _parse_condition(key: object, value: object) -> Condition:
    if not isinstance(key, str) or not key or '"' in key or "\\" in key or not _is_unicode(key):
        raise InputError(
            f"The filter key {short_repr(key)} is not a metadata key; expected text without quotes or "
            "backslashes. Rename the key."
        )
    if isinstance(value, Mapping):
        return Condition(key, bounds=_parse_bounds(key, value))
    values = tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
    # An empty list must not mean "no condition": an access filter has to match nothing instead.
    if not values or not all(_can_match(item) for item in values):
        raise InputError(
            f"The filter value {short_repr(value)} of {key!r} cannot be matched; expected text, a finite "
            "number of at most 64 bits, true or false, a list of these with at least one entry, or bounds. "
            f"Write for example {{{key!r}: {{'gte': 2020}}}}."
        )
    return Condition(key, any_of=values)


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


def _parse_bounds(key: str, value: Mapping[Any, Any]) -> dict[str, float]:
    unknown = [name for name in value if name not in _BOUNDS]
    if unknown or not value:
        raise InputError(
            f"The filter operator {short_repr(unknown[0] if unknown else value)} of {key!r} is unknown; "
            f"expected one or more of {', '.join(_BOUNDS)}. Write for example {{{key!r}: {{'gte': 2020}}}}."
        )
    for name, bound in value.items():
        # NaN compares as smaller than nothing and equal to everything: such a filter would match all numbers.
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not _is_finite(bound):
            raise InputError(
                f"The filter bound {name}={short_repr(bound)} of {key!r} is not a finite number. Write for "
                f"example {{{name!r}: 2020}}."
            )
    return {name: float(bound) for name, bound in value.items()}


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the range of floats
        return False
