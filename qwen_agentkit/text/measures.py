"""The unit or the money that a number counts, and whether two of them may be the same.

Knows CLDR's words. A word that it does not know is no unit, and contradicts nothing.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.cldr import Forms, currency_forms, unit_forms
from qwen_agentkit.text.minor_money import minor_forms, share_of
from qwen_agentkit.text.stems import find_stems

__all__ = ["Measure", "are_compatible", "find_measure", "in_base_units", "is_currency_code"]

Meanings = frozenset[str]
"""CLDR's names of units, ISO 4217 codes, and parts such as "EUR/100"; a word may have several."""


class Measure(NamedTuple):
    """What a number counts, and where the words for it begin and end."""

    meanings: Meanings
    start: int
    end: int


# One in the base unit of its kind, from the definitions of the units.
_FACTORS: dict[str, dict[str, str | int]] = {
    "mass": {"milligram": "0.001", "gram": 1, "kilogram": 1000, "tonne": 1_000_000},
    "length": {"millimeter": "0.001", "centimeter": "0.01", "meter": 1, "kilometer": 1000},
    "duration": {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604_800},
    "area": {"square-meter": 1, "hectare": 10_000, "square-kilometer": 1_000_000},
    "volume": {
        "milliliter": "0.001", "centiliter": "0.01", "deciliter": "0.1", "liter": 1, "cubic-meter": 1000,
    },
    "power": {"watt": 1, "kilowatt": 1000, "megawatt": 1_000_000},
}  # fmt: skip
_BASE = {
    f"{kind}-{unit}": (kind, Decimal(factor))
    for kind, units in _FACTORS.items()
    for unit, factor in units.items()
}
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LONGEST = 24
_UNSPACED = "\u0e00"
# Short English forms are used in every language, but these are common words.
_NO_UNITS = frozenset(
    ("in", "a", "y", "e", "o", "i", "de", "en", "at", "an", "c", "d", "w", "q", "s", "t", "all", "mo")
)


def find_measure(text: str, start: int, end: int, language: str) -> Measure | None:
    """Return what the number at a place of a normalized text counts; None if nothing known stands there."""
    before = _load(language)[1]
    begin = end + text.startswith(" ", end)
    if found := _longest(text[begin : begin + _LONGEST], language):
        return Measure(found[1], end, begin + len(found[0]))
    head = text[max(0, start - _LONGEST) : start].rstrip()
    for form, meanings in before.get(head[-1:], ()):
        if head.endswith(form) and not (form[0].isalpha() and head[: -len(form)][-1:].isalpha()):
            return Measure(meanings, start - len(form), end)
    return None


def are_compatible(one: Meanings, other: Meanings) -> bool:
    """Tell whether two measures may be the same; no measure may be any."""
    return not one or not other or bool(one & other)


def in_base_units(value: str, meanings: Meanings) -> set[tuple[str, Decimal]]:
    """Return a value in the base units of its measure: ("duration", 5400) for 90 minutes.

    Amounts of money have one for each currency that is meant: ("EUR", 0.5), ("USD", 0.5) for 50 cents.
    """
    try:
        number = Decimal(value)
    except ArithmeticError:
        return set()
    found = {_BASE[meaning] for meaning in meanings if meaning in _BASE}
    money = {share for meaning in meanings if (share := share_of(meaning))}
    return {(kind, number * factor) for kind, factor in found} | {
        (code, number / count) for code, count in money
    }


def is_currency_code(word: str) -> bool:
    """Tell whether a word is an ISO 4217 code, such as EUR."""
    return len(word) == 3 and word.isupper() and word.casefold() in currency_forms("en")


@lru_cache(maxsize=1 << 12)
def _longest(rest: str, language: str) -> tuple[str, Meanings] | None:
    """Return the longest form at the start of a text."""
    forms, _, stems = _load(language)
    if rest[:1] not in _first_characters(language):
        return None
    for length in range(len(rest), 0, -1):
        form = rest[:length]
        if form in forms and (form[-1] >= _UNSPACED or not rest[length : length + 1].isalnum()):
            return form, forms[form]
    word = _WORD.match(rest)
    if word and len(word[0]) > 2 and (own := find_stems(word[0], language)) and own[0] in stems:
        return word[0], stems[own[0]]
    return None


@lru_cache(maxsize=64)
def _first_characters(language: str) -> frozenset[str]:
    return frozenset(form[0] for form in _load(language)[0])


@lru_cache(maxsize=64)
def _load(language: str) -> tuple[Forms, dict[str, list[tuple[str, Meanings]]], Forms]:
    """Return the forms behind a number, those in front by their last character, and stems of those behind."""
    behind: dict[str, Meanings] = {}
    before: dict[str, Meanings] = {}
    for code in dict.fromkeys((language, "en")):
        heads, tails = unit_forms(code)
        money = currency_forms(code)
        parts = minor_forms(code)
        for table, forms in (
            (behind, tails), (behind, money), (behind, parts), (before, heads), (before, money),
        ):  # fmt: skip
            for form, meanings in forms.items():
                if form not in _NO_UNITS and not form.isdecimal():
                    table[form] = table.get(form, frozenset()) | meanings
    stems: dict[str, Meanings] = {}
    for form, meanings in behind.items():
        if form.isalpha() and len(form) > 3 and (found := find_stems(form, language)):
            stems[found[0]] = stems.get(found[0], frozenset()) | meanings
    by_end: dict[str, list[tuple[str, Meanings]]] = {}
    for form, meanings in sorted(before.items(), key=lambda item: -len(item[0])):
        by_end.setdefault(form[-1], []).append((form, meanings))
    return behind, by_end, stems
