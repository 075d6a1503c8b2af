"""The unit or the money that a number counts, and whether two of them may be the same.

Knows CLDR's words. A word that it does not know is no unit, and contradicts nothing.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from itertools import chain, product
from typing import NamedTuple

from qwen_agentkit.text.cldr import TOMAN, Forms, currency_forms, unit_forms
from qwen_agentkit.text.data_files import load_table
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


_MONTHS = {"duration-month": 1, "duration-year": 12, "duration-decade": 120, "duration-century": 1200}
_ROUNDED = Decimal("0.01")
"""How far a value may be from what it is in the other system of units: most writers round it."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LONGEST = 24
_UNSPACED = "\u0e00"


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
    return any(_are_same(one, first, two, second) for first, second in product(meanings, others))


def _are_same(one: Decimal, meaning: str, two: Decimal, other: str) -> bool:
    first, second = _in_base(one, meaning), _in_base(two, other)
    if first is None or second is None or first[0] != second[0]:
        return False
    imperial = load_table("units")["imperial"]
    is_converted = (meaning in imperial) != (other in imperial)
    return abs(first[1] - second[1]) <= (abs(first[1]) * _ROUNDED if is_converted else 0)


def _in_base(number: Decimal, meaning: str) -> tuple[str, Decimal] | None:
    """Return an amount in the base unit of its kind: ("EUR", 0.5) for "EUR/100" and 50."""
    if meaning in _base_units():
        kind, factor = _base_units()[meaning]
        return kind, number * factor
    if meaning == TOMAN:
        return "IRR", number * 10
    share = share_of(meaning)
    return (share[0], number / share[1]) if share else None


@lru_cache(maxsize=1)
def _base_units() -> dict[str, tuple[str, Decimal]]:
    """Return the kind of each unit, and how many base units of that kind are one, by definition."""
    factors = {
        f"{kind}-{unit}": (kind, Decimal(factor))
        for kind, units in load_table("units")["factors"].items()
        for unit, factor in units.items()
    }
    # Their days differ, so they are compared with each other only.
    return factors | {unit: ("months", Decimal(months)) for unit, months in _MONTHS.items()}


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
    for code in dict.fromkeys((language, "en")):  # short English forms are used in every language
        heads, tails = unit_forms(code)
        money = currency_forms(code)
        _add_forms(behind, tails, money, minor_forms(code))
        _add_forms(before, heads, money)
    stems: dict[str, Meanings] = {}
    for form, meanings in behind.items():
        if form.isalpha() and len(form) > 2 and (found := find_stems(form, language)):
            stems[found[0]] = stems.get(found[0], frozenset()) | meanings
    by_end: dict[str, list[tuple[str, Meanings]]] = {}
    for form, meanings in sorted(before.items(), key=lambda item: -len(item[0])):
        by_end.setdefault(form[-1], []).append((form, meanings))
    return behind, by_end, stems


def _add_forms(table: dict[str, Meanings], *sources: Forms) -> None:
    """Add forms to a table, without those that are common words, too."""
    common = frozenset(load_table("units")["no_units"].split())
    for form, meanings in chain.from_iterable(forms.items() for forms in sources):
        if form not in common and not form.isdecimal():
            table[form] = table.get(form, frozenset()) | meanings
