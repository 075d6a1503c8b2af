"""Words of the calendar, of units and of money in all languages, from Unicode's CLDR through Babel.

Knows Babel, which is imported when first needed, and words that CLDR lacks. Every form is normalized as the
texts that it is compared with. A language that Babel does not know has no words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Literal

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text

if TYPE_CHECKING:
    from babel import Locale

__all__ = ["TOMAN", "currency_forms", "day_forms", "month_forms", "unit_forms"]

Forms = dict[str, frozenset[str]]
"""Normalized words and what each may mean."""

_BABEL_NAMES = {"zh-hant": "zh_Hant", "no": "nb", "tl": "fil"}
# Arabic names its months in three ways.
_FURTHER = {"ar": ("ar_SY", "ar_DZ", "ar_MA"), "zh": ("zh_Hant",), "zh-hant": ("zh",), "sr": ("sr_Latn",)}
TOMAN = "TMN"
"""Stands for ten Iranian rials."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_COUNTS = (1, 2, 3, 5, 11, 1.5)
"""Numbers whose units have all plural forms of all languages."""
_LENGTHS: dict[Literal["long", "short", "narrow"], tuple[float, ...]] = {
    "long": _COUNTS,
    "short": (1, 5),
    "narrow": (1, 5),
}


def _find_locales(language: str) -> list[Locale]:
    from babel import Locale, UnknownLocaleError

    found = []
    for name in (_BABEL_NAMES.get(language, language), *_FURTHER.get(language, ())):
        try:
            found.append(Locale.parse(name, sep="_"))
        except (UnknownLocaleError, ValueError):
            continue
    return found


@lru_cache(maxsize=128)
def day_forms(language: str, width: str) -> Forms:
    """Return the names of weekdays, "0" (Monday) to "6", of a width: "wide" or "abbreviated"."""
    return _calendar_forms(language, "days", width)


@lru_cache(maxsize=128)
def month_forms(language: str, width: str) -> Forms:
    """Return the names of months, "1" to "12", of a width: "wide" or "abbreviated"."""
    return _calendar_forms(language, "months", width)


def _calendar_forms(language: str, what: str, width: str) -> Forms:
    forms: dict[str, set[str]] = {}
    for locale in _find_locales(language):
        for context in ("format", "stand-alone"):
            for number, name in getattr(locale, what)[context][width].items():
                plain = normalize_text(name).strip(".་")
                # "1월" and "tháng 1" are read as numbers.
                if len(plain) > 1 and not any(char.isdecimal() for char in plain):
                    forms.setdefault(plain, set()).add(str(number))
    return {form: frozenset(numbers) for form, numbers in forms.items() if len(numbers) == 1}


@lru_cache(maxsize=128)
def unit_forms(language: str) -> tuple[Forms, Forms]:
    """Return the forms of units that stand in front of a number, and those that stand behind it."""
    before: dict[str, set[str]] = {}
    behind: dict[str, set[str]] = {}
    # The British spell units otherwise, but name months and money alike.
    for locale in _find_locales(language) + (_find_locales("en_GB") if language == "en" else []):
        for unit, text in _written_units(locale):
            head, number, tail = _around_number(text)
            if number and not (head and tail):
                (before if head else behind).setdefault(head or tail, set()).add(unit)
    for form, unit in load_table("units")["words"].get(language, {}).items():
        behind.setdefault(normalize_text(form), set()).add(unit)
    return _freeze(before), _freeze(behind)


def _written_units(locale: Locale) -> Iterator[tuple[str, str]]:
    """Yield each unit with a number in front of it or behind it, in all its forms."""
    from babel.units import UnknownUnitError, format_unit

    shapes = [(length, count) for length, counts in _LENGTHS.items() for count in counts]
    for unit, (length, count) in product(load_table("units")["names"], shapes):
        try:
            text = format_unit(count, unit, length, locale=locale)
        except UnknownUnitError:
            continue
        yield unit, normalize_text(text)


def _around_number(text: str) -> tuple[str, str, str]:
    """Split "5 kg" into what is in front of the number, the number, and what is behind it."""
    number = _NUMBER.search(text)
    if not number:
        return text, "", ""
    return text[: number.start()].strip(), number[0], text[number.end() :].strip(" .")


@lru_cache(maxsize=128)
def currency_forms(language: str) -> Forms:
    """Return the signs and names of the world's money and the ISO 4217 codes that each may mean.

    A word that several currencies share, such as "dinar", means each of them.
    """
    forms: dict[str, set[str]] = {}
    for locale in _find_locales(language):
        names = {
            code: _name_currency(code, locale) for code in _current_currencies() if code in locale.currencies
        }
        for code, own in names.items():
            for form in own | _sign_currency(code, locale):
                forms.setdefault(form, set()).add(code)
        for sign, codes in load_table("money")["signs"].get(language, {}).items():
            forms.setdefault(normalize_text(sign), set()).update(codes.split())
        for word, owners in _find_kinds(names).items():
            # Arabic counts from eleven on in the accusative, which CLDR lacks for most money: 45 ريالا.
            for form in (word, f"{word}ا") if language == "ar" else (word,):
                forms.setdefault(form, set()).update(owners)
    return _freeze(forms)


def _name_currency(code: str, locale: Locale) -> set[str]:
    """Return the names of a currency, in the singular and the plurals."""
    from babel.numbers import get_currency_name

    names = [locale.currencies[code], *(get_currency_name(code, count, locale) for count in (1, 2, 5, 11))]
    return {normalize_text(name) for name in names}


def _sign_currency(code: str, locale: Locale) -> set[str]:
    """Return the code of a currency and its signs: "usd", "us$" and "$"."""
    symbol = normalize_text(locale.currency_symbols.get(code, code))
    sign = "".join(char for char in symbol if unicodedata.category(char) == "Sc")
    return {code.casefold(), symbol, symbol.strip("."), sign}


def _find_kinds(names: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the kinds of money among the names, such as "dinar".

    They are the last words in one language and the first in another: those that repeat more often.
    """
    ends: list[dict[str, set[str]]] = [{}, {}]
    for code, forms in names.items():
        for form in forms:
            words = [word for word in form.replace("-", " ").split() if word.isalpha()]
            for place in (0, -1) if words else ():
                ends[place].setdefault(words[place], set()).add(code)
            for piece in _cut_kinds(form):
                ends[0].setdefault(piece, set()).add(code)
                ends[-1].setdefault(piece, set()).add(code)
    return max(ends, key=lambda found: sum(len(codes) for codes in found.values() if len(codes) > 2))


def _cut_kinds(name: str) -> Iterator[str]:
    """Yield what may be the kind in a name without spaces: Chinese writes it last, Thai first."""
    if " " not in name and name >= "\u2e80":
        yield from (name[-length:] for length in range(2, 5) if length < len(name))
        yield from (char for char in name[-1:] if char in "元円圓镑鎊")
    elif " " not in name and name >= "\u0e00":
        yield from (name[:length] for length in range(3, 10) if length < len(name))


@lru_cache(maxsize=1)
def _current_currencies() -> tuple[str, ...]:
    from babel import Locale
    from babel.numbers import get_territory_currencies

    territories = [str(code) for code in Locale.parse("en").territories if len(str(code)) == 2]
    found = {str(money) for code in territories for money in get_territory_currencies(code)}
    return tuple(sorted(found))


def _freeze(forms: dict[str, set[str]]) -> Forms:
    return {form: frozenset(meanings) for form, meanings in forms.items() if form}
