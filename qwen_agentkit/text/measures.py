"""The unit or the money that a number counts, and whether two of them may be the same.

Knows CLDR's words. A word that it does not know is no unit, and contradicts nothing.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.cldr import TOMAN, Forms, currency_forms, unit_forms
from qwen_agentkit.text.minor_money import minor_forms, share_of
from qwen_agentkit.text.stems import find_stems

__all__ = ["Measure", "are_compatible", "are_equal", "find_measure", "is_currency_code"]

Meanings = frozenset[str]
"""CLDR's names of units and ISO 4217 codes; a word may have several."""


class Measure(NamedTuple):
    """What a number counts, and where the words for it begin and end."""

    meanings: Meanings
    start: int
    end: int


# One in the base unit of its kind, from the definitions of the units.
_FACTORS: dict[str, dict[str, str | int]] = {
    "mass": {
        "microgram": "0.000001", "milligram": "0.001", "gram": 1, "kilogram": 1000, "tonne": 1_000_000,
        "jin": 500, "pound": "453.59237", "ounce": "28.349523125",
    },
    "length": {
        "nanometer": "0.000000001", "micrometer": "0.000001", "millimeter": "0.001", "centimeter": "0.01",
        "meter": 1, "kilometer": 1000, "inch": "0.0254", "foot": "0.3048", "yard": "0.9144",
        "mile": "1609.344",
    },
    "duration": {
        "millisecond": "0.001", "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604_800,
    },
    "area": {
        "square-centimeter": "0.0001", "square-meter": 1, "hectare": 10_000, "square-kilometer": 1_000_000,
        "square-foot": "0.09290304", "acre": "4046.8564224", "square-mile": "2589988.110336",
    },
    "volume": {
        "milliliter": "0.001", "cubic-centimeter": "0.001", "centiliter": "0.01", "deciliter": "0.1",
        "liter": 1, "hectoliter": 100, "cubic-meter": 1000,
    },
    "power": {"watt": 1, "kilowatt": 1000, "megawatt": 1_000_000, "gigawatt": 10**9},
    "energy": {"joule": 1, "kilojoule": 1000, "calorie": "4.184", "kilocalorie": 4184},
    "electric": {"milliampere": "0.001", "ampere": 1, "milliampere-hour": "3.6", "ampere-hour": 3600},
    "frequency": {"hertz": 1, "kilohertz": 1000, "megahertz": 10**6, "gigahertz": 10**9},
    "pressure": {
        "hectopascal": 100, "millibar": 100, "kilopascal": 1000, "bar": 100_000, "megapascal": 10**6,
        "pound-force-per-square-inch": "6894.757",
    },
    "rate": {"kilobit": 1000, "megabit": 10**6, "gigabit": 10**9},
    "digital": {"byte": 1, "kilobyte": 10**3, "megabyte": 10**6, "gigabyte": 10**9, "terabyte": 10**12},
}  # fmt: skip
_BASE = {
    f"{kind}-{unit}": (kind, Decimal(factor))
    for kind, units in _FACTORS.items()
    for unit, factor in units.items()
}
_MONTHS = {"duration-month": 1, "duration-year": 12, "duration-decade": 120, "duration-century": 1200}
_BASE |= {unit: ("months", Decimal(factor)) for unit, factor in _MONTHS.items()}
_IMPERIAL = frozenset((
    "area-acre", "area-square-foot", "area-square-mile", "length-foot", "length-inch",
    "length-mile", "length-yard",
    "mass-ounce", "mass-pound", "pressure-pound-force-per-square-inch",
))  # fmt: skip
_ROUNDED = Decimal("0.01")
"""How far a value may be from what it is in the other system of units: most writers round it."""
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
    begin = end + text.startswith((" ", "个", "個", "か"), end)
    if found := _longest(text[begin : begin + _LONGEST], language):
        return Measure(found[1], end, begin + len(found[0]))
    head = text[max(0, start - _LONGEST) : start].rstrip()
    place = max(0, start - _LONGEST) + len(head)
    for form, meanings in before.get(head[-1:], ()):
        if head.endswith(form) and not (form[0].isalpha() and _is_letter(head[: -len(form)][-1:])):
            return Measure(meanings, place - len(form), end)
    return None


def _goes_on(char: str) -> bool:
    """Tell whether a character belongs to the same word or number as the one in front of it."""
    return char.isdigit() or _is_letter(char)


def _is_letter(char: str) -> bool:
    """Tell whether a character is a letter of a script with spaces between words."""
    return char.isalpha() and char < _UNSPACED


def are_compatible(one: Meanings, other: Meanings) -> bool:
    """Tell whether two measures may be the same; no measure may be any."""
    return not one or not other or bool(one & other)


def are_equal(value: str, meanings: Meanings, other: str, others: Meanings) -> bool:
    """Tell whether two amounts in different units are the same: 90 minutes are 1.5 hours.

    Between a metric and an imperial unit they may differ by a hundredth.
    """
    try:
        one, two = Decimal(value), Decimal(other)
    except ArithmeticError:
        return False
    for meaning in meanings:
        for another in others:
            first, second = _in_base(one, meaning), _in_base(two, another)
            if first is None or second is None or first[0] != second[0]:
                continue
            systems = (meaning in _IMPERIAL) != (another in _IMPERIAL)
            if abs(first[1] - second[1]) <= (abs(first[1]) * _ROUNDED if systems else 0):
                return True
    return False


def _in_base(number: Decimal, meaning: str) -> tuple[str, Decimal] | None:
    """Return an amount in the base unit of its kind: ("EUR", 0.5) for "EUR/100" and 50."""
    if meaning in _BASE:
        kind, factor = _BASE[meaning]
        return kind, number * factor
    if meaning == TOMAN:
        return "IRR", number * 10
    share = share_of(meaning)
    return (share[0], number / share[1]) if share else None


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
        if form in forms and (form[-1] >= _UNSPACED or not _goes_on(rest[length : length + 1])):
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
        money, parts = currency_forms(code), minor_forms(code)
        for table, forms in (
            (behind, tails), (behind, money), (behind, parts), (before, heads), (before, money),
        ):  # fmt: skip
            for form, meanings in forms.items():
                if form not in _NO_UNITS and not form.isdecimal():
                    table[form] = table.get(form, frozenset()) | meanings
    stems: dict[str, Meanings] = {}
    for form, meanings in behind.items():
        if form.isalpha() and len(form) > 2 and (found := find_stems(form, language)):
            stems[found[0]] = stems.get(found[0], frozenset()) | meanings
    by_end: dict[str, list[tuple[str, Meanings]]] = {}
    for form, meanings in sorted(before.items(), key=lambda item: -len(item[0])):
        by_end.setdefault(form[-1], []).append((form, meanings))
    return behind, by_end, stems
