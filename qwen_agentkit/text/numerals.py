"""Numbers in words and in East Asian signs, in a normalized text: "twenty-five", 一億二千万, 1万2千.

Knows the words of `data/numbers.json` and how they combine. Words with other meanings ("a", "second", Turkish
"yüz", a face) are reported as not sure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text

__all__ = [
    "Numeral",
    "find_eastern_numerals",
    "find_number_words",
    "format_number",
    "hour_words",
    "knows_number_words",
]


class Numeral(NamedTuple):
    """A number and its place: ``source[start:end] == text``."""

    text: str
    start: int
    end: int
    values: frozenset[str]
    parts: frozenset[str]
    """The values of its single words: "twenty five-minute walks" also states 5."""
    sure: bool
    """Whether it cannot mean anything but a number."""


class _Words(NamedTuple):
    pattern: re.Pattern[str]
    value_of: dict[str, int]
    unsure: frozenset[str]


_WORD = r"(?<![\w\u0900-\u0963])({})(?![\w\u0900-\u0963])"
_COUNTERS = "시|명|개|번|살|장|대|층|달|주|권|잔|분|가지|곳|마리|사람|째"
_AROUND = {  # Written together with their neighbors.
    "ar": r"(?<!\w)[وفبلك]?(?:ال)?({})(?!\w)",
    "bn": r"(?<!\w)({})(?:টি|টা|জন)?(?![\w\u0981-\u09e3])",
    "he": r"(?<!\w)[ובלכמהש]{{0,2}}({})(?!\w)",
    "ko": rf"(?<!\w)({{}})(?= ?(?:{_COUNTERS})|\s|$)",
    "ta": r"(?<!\w)({})",
    "th": "({})",
}
_LINKS = {
    "en": "and", "fr": "et", "es": "y", "pt": "e", "it": "e", "ru": "и", "fa": "و", "sw": "na", "bg": "и",
    "sr": "и", "hr": "i", "bs": "i", "ro": "și", "ca": "i", "is": "og",
}  # fmt: skip
_CLDR_NAMES = {"bs": "hr", "tl": "fil"}
_NO_WORDS = ("ja", "zh")
"""Languages that write numbers as signs."""
_UNSURE_WORDS = (
    "to en et ei ett een egy hat hét sto sta o un u una unu unul ez bi kuusi ön og sex i de tri μία ένα ένας "
    "εκατό jedan jedna jedno jeden один одна една един едно"
)
"""Words of CLDR that mean something else too: an article, "to", a week, a spruce, "and"."""
_UNSURE = frozenset(_UNSURE_WORDS.split())


def knows_number_words(language: str) -> bool:
    """Tell whether the number words of a language are known in all their forms."""
    code = language.split("-")[0]
    return code in _NO_WORDS or code in _load_table()


def find_number_words(text: str, language: str) -> Iterator[Numeral]:
    """Yield the numbers of a normalized text that are written in words of its language."""
    code = language.split("-")[0]
    words = _compile_words(code)
    run: list[re.Match[str]] = []
    amount = (0, 0)
    for match in words.pattern.finditer(text):
        value = words.value_of.get(match[1])
        if value is None:
            continue
        longer = None
        if run and _are_linked(text[run[-1].end() : match.start()], code):
            # In Arabic, "5 and 20" is one number and "7 and 10" are two.
            longer = _extend_amount(amount, value, code, linked=match[0][0] == "و")
        if longer is None:
            if run:
                yield _make_numeral(text, run, amount, words)
            run, longer = [], (value, 0) if value >= 1000 else (0, value)
        run.append(match)
        amount = longer
    if run:
        yield _make_numeral(text, run, amount, words)


def _make_numeral(text: str, run: list[re.Match[str]], amount: tuple[int, int], words: _Words) -> Numeral:
    start, end = run[0].start(), run[-1].end()
    parts = frozenset(str(words.value_of[match[1]]) for match in run)
    sure = any(match[1] not in words.unsure for match in run)
    return Numeral(text[start:end], start, end, frozenset({str(sum(amount))}), parts, sure)


def _are_linked(gap: str, language: str) -> bool:
    return gap in (" ", "-") or gap.strip(" -") == _LINKS.get(language)


def _extend_amount(
    amount: tuple[int, int], value: int, language: str, *, linked: bool
) -> tuple[int, int] | None:
    """Return thousands and the rest of a number continued by `value`; None if another number begins."""
    total, rest = amount
    if value >= 1000:
        return (total + rest * value, 0) if rest and total % (value * 1000) == 0 else None
    below = rest % 100
    if value == 100:
        return (total, rest * 100) if 1 <= rest < 20 else None
    if (rest >= 100 > value and not below) or (total and not rest):
        return total, rest + value
    if below and below % 10 == 0 and below > 10:
        tens = 20 if language == "fr" and below in (60, 80) else 10  # soixante-dix, quatre-vingt-dix
        if value < tens:
            return total, rest + value
    if language == "ar" and 0 < below < 10 and value in (range(20, 100, 10) if linked else (10,)):
        return total, rest + value
    if language == "en" and 17 <= rest <= 20 and 10 <= value < 100:
        return total, rest * 100 + value  # nineteen eighty-four
    return None


def hour_words(language: str, *, sure: bool = False) -> dict[str, int]:
    """Return the normalized number words of a language and their values, so far as they are below 25.

    Args:
        language: An ISO 639-1 code.
        sure: Whether to leave out words with other meanings, such as "a" and "third".
    """
    if language in _NO_WORDS:
        return _spell_han_hours()
    words = _compile_words(language)
    left_out = words.unsure if sure else frozenset()
    return {word: value for word, value in words.value_of.items() if value < 25 and word not in left_out}


@lru_cache(maxsize=1)
def _spell_han_hours() -> dict[str, int]:
    """Return the numbers below 25 in Chinese signs."""
    tens = {"": 0, "十": 10, "二十": 20}
    ones = ("", *"一二三四五六七八九")
    words = {f"{ten}{one}": value + n for ten, value in tens.items() for n, one in enumerate(ones)}
    return {word: n for word, n in words.items() if 0 < n < 25} | {"两": 2, "兩": 2}


def _load_table() -> dict[str, dict[str, str]]:
    """Return the words of each number by language; "~" marks those with other meanings."""
    table: dict[str, dict[str, str]] = load_table("numbers")
    return table


@lru_cache(maxsize=64)
def _compile_words(code: str) -> _Words:
    value_of: dict[str, int] = {}
    unsure = set()
    if code not in _load_table():
        value_of = _spell_numbers(code)
        return _Words(re.compile(_WORD.format(r"[^\W\d_]+")), value_of, _UNSURE)
    for value, forms in _load_table()[code].items():
        for form in forms.split():
            word = normalize_text(form.lstrip("~").replace("_", " "))
            value_of[word] = int(value)
            unsure |= {word} if form.startswith("~") else set()
    either = "|".join(sorted(map(re.escape, value_of), key=len, reverse=True))
    return _Words(re.compile(_AROUND.get(code, _WORD).format(either)), value_of, frozenset(unsure))


def _spell_numbers(code: str) -> dict[str, int]:
    """Return the single words for numbers up to a thousand that CLDR's rules spell, in all their forms."""
    from unicode_rbnf import FormatPurpose, RbnfEngine
    from unicode_rbnf.engine import RbnfError

    name = _CLDR_NAMES.get(code, code)
    if code in _NO_WORDS or name not in RbnfEngine.get_supported_languages():
        return {}
    engine = RbnfEngine.for_language(name)
    value_of: dict[str, int] = {}
    for number in (*range(1, 100), *range(100, 1001, 100)):
        try:
            spelled = engine.format_number(number, FormatPurpose.CARDINAL).text_by_ruleset.values()
        except (RbnfError, ValueError):
            continue
        for form in spelled:
            word = normalize_text(form.replace("\u00ad", ""))
            if word.isalpha() and len(word) > 1:
                value_of.setdefault(word, number)
    return value_of


_DIGIT_OF = {char: i for i, chars in enumerate(("〇零", "一", "二两兩", *"三四五六七八九")) for char in chars}
_UNIT_OF = {
    **{"十": 10, "百": 100, "千": 1_000, "백": 100, "천": 1_000},
    **dict.fromkeys("万萬만", 10_000),
    **dict.fromkeys("亿億억", 10**8),
    **dict.fromkeys("兆조", 10**12),
}
_HAN_DIGIT = "".join(_DIGIT_OF)
_HAN_UNIT = "".join(unit for unit in _UNIT_OF if unit < "가" and unit != "兆")
_HAN = f"{_HAN_DIGIT}{_HAN_UNIT}"
_AMOUNT = r"\d{1,15}(?:[.,]\d{1,15}){0,5}"
_UNIT = f"(?:[{''.join(_UNIT_OF)}](?![瓦克米卡赫]))"  # 千克 is a kilogram
_STEP = f"(?:{_UNIT}|[{_HAN_DIGIT}](?={_UNIT}))"
# Amounts in digits with units, which add up: 1億2000万, 1만 2000, 3.5万.
_MIXED = rf"(?<![\d.,])(?={_AMOUNT}{_UNIT}){_AMOUNT}(?:{_STEP}+(?: ?{_AMOUNT}(?![.,]?\d))?)+"
_EASTERN = re.compile(f"(?P<mixed>{_MIXED})|[{_HAN}]+")
# The others are mostly parts of words: 一般, 千万, 十分, 几十.
_SURE = re.compile(f"[{_HAN_DIGIT}十][{_HAN}]+")
_COUNTED = re.compile("[点點时時月日号號年人个個]")
_VAGUE = frozenset("几幾数數")


def find_eastern_numerals(text: str) -> Iterator[Numeral]:
    """Yield the numbers of a normalized text in Chinese signs, or in digits with Chinese or Korean units."""
    for match in _EASTERN.finditer(text):
        run = match[0]
        vague = text[match.start() - 1 : match.start()] in _VAGUE
        # 一点 is mostly "a little", and 一个 the article.
        counted = run[0] in _HAN_DIGIT[2:] + "十" and run != "一" and _COUNTED.match(text, match.end())
        sure = bool(match["mixed"] or (not vague and (_SURE.fullmatch(run) or counted)))
        values = frozenset(format_number(value) for value in _read_eastern(run))
        yield Numeral(run, match.start(), match.end(), values, frozenset(), sure)


def format_number(value: Decimal) -> str:
    """Write a number without an exponent and without trailing zeros."""
    return f"{value.normalize():f}"


def _read_eastern(run: str) -> set[Decimal]:
    """Return the readings of a numeral: 十四 is 14, 三万五 is 35000 in Chinese and 30005 in Japanese."""
    tokens = re.findall(rf"{_AMOUNT}|\S", run)
    if not set(tokens) & set(_UNIT_OF):
        return {Decimal("".join(str(_DIGIT_OF[char]) for char in run))}
    total = section = digit = Decimal(0)
    unit = last_unit = 0
    for token in tokens:
        unit, before = _UNIT_OF.get(token, 0), unit
        if not unit:
            digit, last_unit = _read_amount(token), before
        elif unit < 10_000:
            section, digit = section + (digit or 1) * unit, Decimal(0)
        else:
            more = section + digit
            # 万亿 is one unit; after a greater unit the next section begins.
            total = (total + more) * unit if 0 < total < unit else total + (more or 1) * unit
            section = digit = Decimal(0)
    whole = total + section
    if unit or not last_unit:
        return {whole + digit}
    return {whole + digit, whole + digit * last_unit / 10 if tokens[-1] in _DIGIT_OF else whole}


def _read_amount(token: str) -> Decimal:
    if token in _DIGIT_OF:
        return Decimal(_DIGIT_OF[token])
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", token):
        return Decimal(token.replace(",", ""))
    whole, *decimals = re.split("[.,]", token)
    return Decimal(f"{whole}.{''.join(decimals) or 0}")
