"""What a filter means, for every back end: a tree of conditions on one document.

A list meets a condition if one of its entries does. Numbers compare as numbers (1 equals 1.0, neither equals
true), text byte by byte. A missing key, null and an empty list meet no condition but `Not`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "EVERYTHING",
    "AllOf",
    "AnyOf",
    "Condition",
    "Contains",
    "Dates",
    "Exists",
    "Match",
    "Not",
    "Path",
    "Prefix",
    "Range",
    "Scalar",
    "all_of",
    "as_range",
    "json_path",
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


def as_range(path: Path, value: Scalar) -> Range | None:
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
