"""What a filter means, for every back end: a tree of conditions on one document.

A list meets a condition if one of its entries does. Numbers compare as numbers (1 equals 1.0, neither equals
true), text byte by byte. A missing key, null and an empty list meet no condition but `Not`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = [
    "EVERYTHING",
    "AllOf",
    "AnyOf",
    "Condition",
    "Contains",
    "Dates",
    "Exists",
    "IndexKind",
    "Match",
    "Not",
    "Path",
    "Prefix",
    "Range",
    "Scalar",
    "Values",
    "all_of",
    "indexes_for",
    "json_path",
    "parse_path",
    "sort_values",
]

Path = tuple[str, ...]
"""The keys that lead to a value of a point's payload, such as ("metadata", "year")."""

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Match:
    """The value equals one of these; there is at least one."""

    path: Path
    any_of: tuple[Scalar, ...]


@dataclass(frozen=True)
class Range:
    """The value is a number within the bounds. Integers of 2**53 and more are rounded as floats are."""

    path: Path
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True)
class Dates:
    """The value is text, a date in ISO 8601 within the bounds. A time without a zone is UTC."""

    path: Path
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None


@dataclass(frozen=True)
class Exists:
    """The key has a value: it is not missing, null or an empty list."""

    path: Path


@dataclass(frozen=True)
class Contains:
    """The value is text that holds this text."""

    path: Path
    text: str


@dataclass(frozen=True)
class Prefix:
    """The value is text that begins with this text."""

    path: Path
    text: str


@dataclass(frozen=True)
class AllOf:
    """Every condition is met."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one condition is met; there is at least one."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The condition is not met. Documents without its key are included."""

    condition: Condition


Condition = Match | Range | Dates | Exists | Contains | Prefix | AllOf | AnyOf | Not

EVERYTHING = AllOf(())
"""Every document meets it."""


def all_of(*conditions: Condition) -> Condition:
    """Return one condition that is met if all are."""
    found = tuple(condition for condition in conditions if condition != EVERYTHING)
    return found[0] if len(found) == 1 else AllOf(found)


IndexKind = Literal["keyword", "float", "bool", "datetime"]


def indexes_for(condition: Condition) -> Iterator[tuple[Path, IndexKind]]:
    """Yield which indexes of payloads make a condition fast."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from indexes_for(part)
        case Not(part):
            yield from indexes_for(part)
        case Match(path, values):
            found = sort_values(path, values)
            kinds: dict[IndexKind, bool] = {
                "keyword": bool(found.texts),
                "float": bool(found.ranges),
                "bool": bool(found.flags),
            }
            yield from ((path, kind) for kind, is_needed in kinds.items() if is_needed)
        case Range(path):
            yield path, "float"
        case Dates(path):
            yield path, "datetime"


@dataclass(frozen=True)
class Values:
    """The values of a match by kind: back ends match each kind in its own way."""

    texts: list[str]
    integers: list[int]
    """Those that no range holds alone."""
    ranges: list[Range]
    flags: list[bool]


def sort_values(path: Path, values: Sequence[Scalar]) -> Values:
    """Sort the values of a match by kind."""
    ranges = [_as_range(path, value) for value in values]
    exact = [value for value, numbers in zip(values, ranges, strict=True) if numbers is None]
    return Values(
        texts=[value for value in exact if isinstance(value, str)],
        integers=[value for value in exact if isinstance(value, int) and not isinstance(value, bool)],
        ranges=[numbers for numbers in ranges if numbers is not None],
        flags=[value for value in exact if isinstance(value, bool)],
    )


def _as_range(path: Path, value: Scalar) -> Range | None:
    """Return the range that holds just this number; None if only an exact match is right.

    A back end's exact match of 1 leaves out 1.0, and a range leaves out nothing. From 2**53 on, a range would
    hold several integers.
    """
    if isinstance(value, bool | str) or (isinstance(value, int) and abs(value) >= 2**53):
        return None
    return Range(path, gte=float(value), lte=float(value))


def json_path(path: Path) -> str:
    """Spell a path as Qdrant reads it."""
    first, *rest = path
    return ".".join([first, *(f'"{key}"' for key in rest)])


def parse_path(key: str) -> Path:
    """Return the path that Qdrant spells so, with quotes around the keys that need them."""
    return tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."]+)', key))
