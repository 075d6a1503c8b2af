"""Amounts in words, rewritten in digits in a normalized text.

Fractions ("two thirds", 三分之二), halves behind a whole ("a year and a half"), the Arabic and Hebrew dual
("ساعتان"), powers of ten and signs of percent. A fraction is written with U+2044, so that 2⁄3 is not a date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_pattern
from qwen_agentkit.text.numerals import find_eastern_numerals, format_number, hour_words

__all__ = ["FRACTION", "fraction_values", "rewrite_parts", "rewrite_sums"]

FRACTION = re.compile(r"(\d{1,3})⁄(\d{1,4})")

_DIGITS = r"\d{1,15}(?:[.,]\d{1,15}){0,5}"
_POWER = re.compile(rf"(?<![\w.,])(?:({_DIGITS}) ?[×x*·⋅∙] ?)?10\^([+-]?\d{{1,2}})(?!\d)")
_EXPONENT = re.compile(rf"(?<![\w.,])({_DIGITS})e([+-]?\d{{1,2}})(?!\w)")
_MIXED = re.compile(r"(?<![\w.,/])(\d{1,3}) ([1-9])/([2-9]|1[06])(?![\w/])")
_TENTH = re.compile(r"(?<=\d)[块塊]([1-9])(?!\d)")
_HAN = "[〇零一二三四五六七八九十百千两兩]{1,6}"
_EASTERN_NUMBER = rf"(?:\d{{1,4}}(?:\.\d{{1,4}})?|{_HAN}(?:[点點]{_HAN})?)"
_EASTERN_PART = re.compile(rf"({_EASTERN_NUMBER})分[之の]({_EASTERN_NUMBER})")
_TENTHS = re.compile(r"([一二三四五六七八九\d])割(?:([一二三四五六七八九\d])分)?")
_SINO = "일이삼사오육칠팔구"
_COUNTED = (
    "층|월|년|호|번|개월|분|회|학년|등|위|장|원|명|세|주년|일|시간|퍼센트|달러|유로|미터|킬로|대|권|개|건|곳"
    "|가구|여"
)
# A sign alone means too many other things: "이번" is "this time".
_KOREAN_NUMBER = re.compile(
    f"(?<![\\d가-힣])(?:([{_SINO}십백천만억]{{2,12}}|십)(?= ?(?:{_COUNTED}))"
    f"|([{_SINO}])(?=층|월 |월에|월의|개월|학년))"
)
_HAN_OF = str.maketrans(_SINO + "십백천만억", "一二三四五六七八九十百千万亿")
_KOREAN_PART = re.compile(r"(\d{1,3})분의 ?(\d{1,3})")


def rewrite_sums(text: str, language: str) -> tuple[str, dict[str, str]]:
    """Rewrite powers of ten, halves behind a whole and pairs of a normalized text in digits.

    Returns:
        The text, and the words that each of the numbers replaces.
    """
    said: dict[str, str] = {}
    text = _rewrite(text, _MIXED, _read_mixed, said)
    text = _rewrite(text, _POWER, lambda found: _read_power(found[1] or "1", found[2]), said)
    text = _rewrite(text, _EXPONENT, lambda found: _read_power(found[1], found[2]), said)
    text = _TENTH.sub(r".\1元", text)
    if language == "ko":
        text = _rewrite(text, _KOREAN_NUMBER, lambda found: _read_korean(found[0]), said)
    for pattern, number_of in _compile_sums(language.split("-")[0]):
        text = _rewrite(text, pattern, number_of, said, apart=True)
    return text, said


def rewrite_parts(text: str, language: str) -> tuple[str, dict[str, str]]:
    """Rewrite fractions in words and East Asian parts of a hundred; times have to be in digits already.

    Returns:
        As `rewrite_sums`.
    """
    said: dict[str, str] = {}
    code = language.split("-")[0]
    text = _rewrite(text, _EASTERN_PART, _read_eastern_part, said)
    if code == "ja":
        text = _rewrite(text, _TENTHS, _read_tenths, said)
    if code == "ko":
        text = _rewrite(text, _KOREAN_PART, lambda found: f"{found[2]}⁄{found[1]}", said)
    for pattern, number_of in _compile_parts(code):
        text = _rewrite(text, pattern, number_of, said, apart=True)
    return text, said


_NumberOf = Callable[[re.Match[str]], str]


def _rewrite(
    text: str, pattern: re.Pattern[str], number_of: _NumberOf, said: dict[str, str], *, apart: bool = False
) -> str:
    """Replace what a pattern finds by its number, and note the words; `apart` puts spaces around it."""

    def write(found: re.Match[str]) -> str:
        number = number_of(found)
        digits = re.match(r"[\d.⁄-]*", number)
        said[digits[0] if digits else ""] = found[0].strip()
        return f" {number} " if apart else number

    return pattern.sub(write, text)


def fraction_values(numerator: str, denominator: str) -> set[str]:
    """Return a fraction as a decimal, rounded to three places, and in percent."""
    if not int(denominator):
        return set()
    part = Decimal(int(numerator)) / int(denominator)
    return {
        format_number(round(part, 3)),
        *(format_number(round(part * 100, places)) for places in (0, 1, 2)),
    }


def _read_power(number: str, exponent: str) -> str:
    digits = Decimal(number.replace(",", ".") if number.count(",") == 1 else number.replace(",", ""))
    value = digits.scaleb(int(exponent))
    return format_number(value)


def _read_mixed(found: re.Match[str]) -> str:
    return format_number(round(int(found[1]) + Decimal(found[2]) / Decimal(found[3]), 3))


def _read_eastern_part(found: re.Match[str]) -> str:
    whole, part = _read_number(found[1]), _read_number(found[2])
    if whole in ("100", "1000"):
        return f"{part}{'%' if whole == '100' else '‰'}"
    return f"{part}⁄{whole}" if part.isdecimal() and whole.isdecimal() else found[0]


def _read_tenths(found: re.Match[str]) -> str:
    return f"{int(_read_number(found[1])) * 10 + int(_read_number(found[2]) if found[2] else 0)}%"


def _read_korean(number: str) -> str:
    """Read a Sino-Korean number in Hangul; what has no unit, such as 이사, is none."""
    if len(number) > 1 and not re.search("[십백천만억]", number):
        return number
    return _read_number(number.translate(_HAN_OF))


def _read_number(number: str) -> str:
    """Read a number in digits or Chinese signs; 点 is a decimal point."""
    whole, *decimals = re.split("[点點]", number)
    if number[0].isdecimal():
        return number
    values = ["".join(sorted(next(find_eastern_numerals(part)).values)[:1]) for part in (whole, *decimals)]
    return ".".join(values)


def _load() -> dict[str, dict[str, Any]]:
    """Return the tables of sayings by language.

    "parts" follow a numerator ("thirds" has the key 3), "wholes" are fractions in words, "halves" add a half
    to {n}, which counts {u} or one of the "units", and "pairs" are two of something in one word.
    """
    tables: dict[str, dict[str, Any]] = load_table("amounts")
    return tables


def _table(name: str) -> dict[str, Any]:
    return _load()[name]


@lru_cache(maxsize=64)
def _compile_sums(code: str) -> list[tuple[re.Pattern[str], _NumberOf]]:
    """Return the sayings for pairs and halves with what writes them in digits."""
    pairs = _table("pairs").get(code, {}).items()
    halves = _table("halves").get(code, {}).items()
    compiled: list[tuple[re.Pattern[str], _NumberOf]] = [
        (_compile(saying, code), partial(_write_pair, written)) for saying, written in pairs
    ]
    if not halves:
        return compiled
    words = _counting_words(code)
    number = _either(words, r"\d{1,3}")
    if code in ("zh", "ja"):  # 五个半 is no part of 二十五个半
        number = f"(?<![〇零一二三四五六七八九十百千万萬亿億\\d])(?:{number})"
    for saying, written in halves:
        body = saying.replace("{u}", _table("units").get(code, "")).replace("{n}", f"(?P<n>{number})", 1)
        body = body.replace("{n}", f"(?:{number})")
        compiled.append((_compile(body, code), partial(_write_half, written, words, code)))
    return compiled


def _write_pair(written: str, found: re.Match[str]) -> str:
    return written


def _write_half(written: str, words: dict[str, int], code: str, found: re.Match[str]) -> str:
    """Write "{}.5" and what is counted with the number in the place of the braces."""
    groups = found.groupdict()
    number = groups.get("n") or ""
    unit = groups.get("u") or _find_last_unit(found[0], code)
    return f"{written.replace('{}', str(words.get(number, number)))} {unit}".strip()


def _find_last_unit(words: str, code: str) -> str:
    """Return what is counted in "a year and a half"."""
    if code not in ("en", "fr", "es", "pt"):
        return ""
    found = re.search(rf"(?<!\w)(?:{_table('units')[code]})(?!\w)", words)
    return found[0] if found else ""


@lru_cache(maxsize=64)
def _compile_parts(code: str) -> list[tuple[re.Pattern[str], _NumberOf]]:
    """Return the sayings for parts of a whole with what writes them in digits."""
    words = {word: number for word, number in hour_words(code, sure=True).items() if 1 <= number <= 9}
    number = _either(words, r"\d")
    parts = {
        part: rf"(?P<n>{number})[ -]?(?:{names})" for part, names in _table("parts").get(code, {}).items()
    }
    sayings = parts | _table("wholes").get(code, {})  # a whole is "1⁄2", a part "2"
    return [(_compile(saying, code), partial(_write_part, part, words)) for part, saying in sayings.items()]


def _write_part(part: str, words: dict[str, int], found: re.Match[str]) -> str:
    number = found.groupdict().get("n")
    return f"{words.get(number, number)}⁄{part}" if number else part


def _either(words: Iterable[str], digits: str) -> str:
    """Return a pattern for number words, the longest first, or digits."""
    return "|".join([*sorted(map(re.escape, words), key=len, reverse=True), digits])


def _counting_words(code: str) -> dict[str, int]:
    """Return the number words that count something, those with other meanings too: "one", but not "first"."""
    words = {word: number for word, number in hour_words(code).items() if word not in ("a", "an", "dozen")}
    return {
        w: n for w, n in words.items() if not (code == "en" and re.search("(?:st|nd|rd|th|ice|once)$", w))
    }


def _compile(pattern: str, code: str) -> re.Pattern[str]:
    plain = normalize_pattern(pattern)
    if code in ("zh", "ja", "ko", "th"):
        return re.compile(plain)
    return re.compile(rf"(?<![\w:.,\u0900-\u0963])(?:{plain})(?![\w:\u0900-\u0963])")
