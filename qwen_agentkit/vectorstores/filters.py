"""The filter language of the store: a plain dictionary, checked once, the same for every back end.

``{"language": "ar"}``, ``{"language": ["ar", "en"]}``, ``{"year": {"gte": 2020, "lt": 2025}}``; all
entries must match. Keys are top-level keys of a document's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["Condition", "Filter", "parse_filter"]

Filter = Mapping[str, Any]
"""What callers write."""

Scalar = str | int | float | bool
_BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True)
class Condition:
    """One metadata key and what it must be: one of some values, or a number within bounds."""

    key: str
    any_of: tuple[Scalar, ...] = ()
    bounds: dict[str, float] = field(default_factory=dict)


def parse_filter(filter: Filter | None) -> list[Condition]:
    """Check a filter and turn it into conditions that must all hold.

    Args:
        filter: A dictionary as in the module's docstring; None and ``{}`` match everything.

    Raises:
        InputError: A value or operator is none of the three forms.
    """
    if filter is None:
        return []
    if not isinstance(filter, Mapping):
        raise InputError(
            f"filter is {filter!r}, expected a dictionary of metadata keys; write filter={{'language': 'ar'}}"
        )
    return [_condition(key, value) for key, value in filter.items()]


def _condition(key: object, value: object) -> Condition:
    if not isinstance(key, str) or not key or '"' in key or "\\" in key:
        raise InputError(
            f"filter key {key!r} is not a metadata key: expected text without quotes or backslashes"
        )
    if isinstance(value, Mapping):
        return Condition(key, bounds=_checked_bounds(key, value))
    values = tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)
    # An empty list must never come to mean "no condition": an access filter has to fail closed.
    if not values or not all(isinstance(item, Scalar) for item in values):
        raise InputError(
            f"filter value {value!r} of {key!r} cannot be matched: expected text, a number, true or false, "
            f"a list of these with at least one entry, or bounds such as {{'gte': 2020}}"
        )
    return Condition(key, any_of=values)


def _checked_bounds(key: str, value: Mapping[Any, Any]) -> dict[str, float]:
    unknown = [name for name in value if name not in _BOUNDS]
    if unknown or not value:
        raise InputError(
            f"filter operator {unknown[0] if unknown else value!r} of {key!r} is unknown: "
            f"expected one or more of {', '.join(_BOUNDS)}"
        )
    for name, bound in value.items():
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise InputError(
                f"filter bound {name}={bound!r} of {key!r} is not a number; write {{'{name}': 2020}}"
            )
    return {name: float(bound) for name, bound in value.items()}
