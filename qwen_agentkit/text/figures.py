"""Numbers, times and dates in a text, in a form that can be compared.

Knows digits and number words of many scripts. Knows no meaning: where a figure has several readings, all are
kept, because a false alarm costs more trust than a missed error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.months import find_months
from qwen_agentkit.text.names import remove_codes
from qwen_agentkit.text.numerals import (
    Numeral,
    blank_weekdays,
    find_eastern_numerals,
    find_number_words,
    format_number,
)

__all__ = ["Figure", "collect_values", "find_figures"]


class Figure(NamedTuple):
    """A number, a time or a part of a date, as written, and every value it may mean.

    Values look like "1230", "7.5", "-5", "19:30" and "m10" (a month). Two forms stand for times only: "h7"
    is a bare 7, the hour before or after noon. "w7" is the hour written in words, where the half may be a
    word that is not recognized ("السابعة والنصف", "七点半").
    """

    text: str
    values: frozenset[str]
    spelled: bool = False
    """Whether it is written in words instead of digits."""


# Months that are common words too. They count only beside a number.
_AMBIGUOUS_MONTHS = frozenset(
    ["may", "march", "mars", "mai", "mei", "mayo", "marzo", "dec", "jan", "jun", "sep"]
)
_SCALES = {
    1_000: (
        "thousand tausend mille mil duizend тыс тысяч тысячи الف الاف हज़ार हजार พัน bin ribu nghìn ngàn هزار"
    ),
    10_000: "หมื่น",
    100_000: "lakh লাখ لاکھ लाख แสน",
    1_000_000: (
        "million millions mio millionen millones millón milhões milhão milioni milione miljoen milyon juta "
        "triệu млн миллион миллиона миллионов мільйон мільйона мільйонів مليون ملايين ميليون ล้าน"
    ),
    10_000_000: "crore करोड़",
    1_000_000_000: (
        "billion billions bilhões mrd milliarden milliards miliardi milyar miliar tỷ миллиард миллиарда "
        "миллиардов млрд مليار"
    ),
}
_SCALE_OF = {normalize_text(word): scale for scale, words in _SCALES.items() for word in words.split()}
_SCALE = re.compile(rf" ?({'|'.join(sorted(map(re.escape, _SCALE_OF), key=len, reverse=True))})(?![a-zа-я])")

# The lengths are bounded so that a long run of digits is fast.
_CHAIN = re.compile(r"(?<![a-z\d])\d{1,40}(?:[.,:/'-]\d{1,40}| \d{3}(?!\d)){0,20}")
# 19h30, 19点30分, 19時30分, 19시 30분
_CLOCK = re.compile(r"(?<!\d)(\d{1,2}) ?(?:h|点|點|時|时|시) ?(\d{2})(?!\d)")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?")
_DOTTED_TIME = re.compile(r"(\d{1,2})\.([0-5]\d)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})")
# "3.10. um 9 Uhr": this full stop ends no sentence.
_DAY_MONTH = re.compile(r"(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])")
_GOES_ON = re.compile(r"\. ?\w")
_GROUPED = re.compile(r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
_DECIMAL = re.compile(r"(\d{1,3}(?:[.,' ]\d{3})*|\d+)[.,](\d+)")
_NOON = re.compile(
    r"(?: ?(?:o'clock|uhr|[点點時时시]))? ?"
    r"(?:([ap])\.?m\b|(?P<am>صباحا|فجرا|ص(?!\w))|(?P<pm>مساء|ليلا|عصرا|ظهرا|بعد الظهر|م(?!\w)))"
)
_NOON_BEFORE = re.compile("(?:(?P<am>上午|早上|午前|오전)|(?P<pm>下午|晚上|傍晚|午後|오후)) ?$")
_MONTH_SIGN = re.compile(r" ?[月월]")
_MINUS = re.compile(
    r"(?<![\w.-])(?:minus|минус|мінус|eksi) ?(?=\d)|(?:负|負|零下|氷点下|マイナス|영하 ?)(?=\d)"
)
# Words for a number below zero; they may stand anywhere in the text.
_BELOW = re.compile(
    r"\b(?:below (?:zero|freezing)|unter null|moins|sous zéro|menos|bajo cero|abaixo de zero|meno|sotto zero"
    r"|ниже нуля)\b|تحت الصفر|ناقص|سالب"
)
_SIGN = re.compile(r"(?:^|[ (\"\u2e80-\u9fff])-$")


def find_figures(text: str, language: str) -> list[Figure]:
    """Return the numbers, times and dates that a text certainly states, grouped by kind.

    Args:
        text: A sentence without citation markers.
        language: The language of the text; it decides which words are numbers and months.
    """
    text = _prepare(remove_codes(text))
    eastern = list(find_eastern_numerals(text))
    digits = _blank_numerals(text, [one for one in eastern if one.text[0].isdecimal()])
    found = [figure for match in _CHAIN.finditer(digits) for figure in _read_chain(digits, match)]
    if _BELOW.search(text):
        found = [figure._replace(values=figure.values | _negate(figure.values)) for figure in found]
    found += [
        Figure(one.text, _certain_values(text, one), spelled=not one.text[0].isdecimal())
        for one in [*eastern, *find_number_words(text, language)]
        if one.sure
    ]
    for month, match in find_months(text, language):
        near = text[max(0, match.start() - 6) : match.end() + 6]
        if match[1] not in _AMBIGUOUS_MONTHS or any(char.isdigit() for char in near):
            found.append(Figure(match[0], frozenset({f"m{month}"})))
    return found


def collect_values(text: str, language: str) -> set[str]:
    """Return every value that a text may state. The figures of a claim are looked up in it."""
    values = {
        value for figure in find_figures(text, language) for value in figure.values if value[0] not in "wh"
    }
    text = _prepare(text)
    for match in _CHAIN.finditer(text):
        values |= _collect_chain_values(text, match)
    for one in [*find_eastern_numerals(text), *find_number_words(text, language)]:
        values |= _collect_numeral_values(text, one)
    if _BELOW.search(text):
        values |= _negate(values)
    return values | {f"m{month}" for month, _ in find_months(text, language)}


def _prepare(text: str) -> str:
    """Normalize a text for the search for numbers."""
    return _MINUS.sub(" -", _CLOCK.sub(r"\1:\2", blank_weekdays(normalize_text(text))))


def _blank_numerals(text: str, numerals: list[Numeral]) -> str:
    pieces, end = [], 0
    for one in numerals:
        pieces += [text[end : one.start], " " * len(one.text)]
        end = one.end
    return "".join([*pieces, text[end:]])


def _negate(values: set[str] | frozenset[str]) -> set[str]:
    return {f"-{value}" for value in values if value[0].isdecimal()}


def _read_chain(text: str, match: re.Match[str]) -> Iterator[Figure]:
    """Yield the figures of one run of digits and separators."""
    chain = match[0]
    noon = _find_noon(text, match.start(), match.end())
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, _read_time(time[1], time[2], noon))
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and _GOES_ON.match(text, match.end())):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({_strip_zeros(part), f"m{int(part)}"}))
    elif re.search("[:/-]", chain):
        for part in re.split("[/-]", chain):
            yield from _read_range_end(part)
    elif scale := _SCALE.match(text, match.end()):
        factor = _SCALE_OF[scale[1]]
        scaled = {format_number(Decimal(value) * factor) for value in _read_number(chain)}
        yield Figure(chain + scale[0], frozenset(scaled))
    elif noon and chain.isdecimal() and int(chain) <= 12:
        yield Figure(chain, _read_time(chain, "00", noon))
    elif noon and (dotted := _DOTTED_TIME.fullmatch(chain)):
        yield Figure(chain, _read_time(dotted[1], dotted[2], noon))
    elif _is_negative(text, match.start()):
        yield Figure(f"-{chain}", frozenset(_negate(_read_number(chain))))
    else:
        values = _read_number(chain)
        if dotted := _DOTTED_TIME.fullmatch(chain):
            values |= _read_time(dotted[1], dotted[2], None)
        if chain.isdecimal() and _MONTH_SIGN.match(text, match.end()):
            values.add(f"m{int(chain)}")
        yield Figure(chain, frozenset(values))


def _read_range_end(part: str) -> Iterator[Figure]:
    """Yield the figures of one end of a range: a time, or numbers."""
    if time := _TIME.fullmatch(part):
        yield Figure(part, _read_time(time[1], time[2], None))
        return
    for number in part.split(":"):
        yield Figure(number, frozenset(_read_number(number)))


def _collect_chain_values(text: str, match: re.Match[str]) -> set[str]:
    """Return the less certain readings of a run of digits."""
    chain = match[0]
    if _is_negative(text, match.start()):
        return set()
    parts = re.findall(r"\d+", chain)
    values = {_strip_zeros(part) for part in parts}
    if _DECIMAL.fullmatch(chain):
        values |= _read_number(chain)
    if time := _TIME.fullmatch(chain):
        values.add(str(int(time[1]) % 12 or 12))
    elif len(parts) > 1 or not _find_noon(text, match.start(), match.end()):
        values |= {f"h{int(part)}" for part in parts if len(part) <= 2 and int(part) <= 12}
    return values


def _is_negative(text: str, start: int) -> bool:
    """Tell whether the number at `start` has a minus sign, not a range or hyphen, before it."""
    before = text[max(0, start - 3) : start]
    return bool(_SIGN.search(before)) and not before[0].isdecimal()


def _certain_values(text: str, one: Numeral) -> frozenset[str]:
    """Return the certain readings of a number in words or signs: a month, an hour, or the number."""
    (value, *others) = one.values
    if not others and value.isdecimal() and int(value) <= 12:
        if noon := _find_noon(text, one.start, one.end):
            return _read_time(value, "00", noon)
        if _MONTH_SIGN.match(text, one.end):
            return frozenset({f"m{value}"})
    return one.values


def _collect_numeral_values(text: str, one: Numeral) -> set[str]:
    """Return every reading of a number in words or signs."""
    values = set(one.values | one.parts)
    noon = _find_noon(text, one.start, one.end)
    for value in [value for value in values if value.isdecimal() and int(value) <= 12]:
        if noon:
            # The half hour may be a word between the two or behind them.
            values |= {hour for minute in ("00", "30") for hour in _read_time(value, minute, noon)}
        else:
            values |= {f"w{value}", f"m{value}"} if _MONTH_SIGN.match(text, one.end) else {f"w{value}"}
    return {value for value in values if not (noon and value[0] in "wh")}


def _find_noon(text: str, start: int, end: int) -> str | None:
    """Return "a" (before noon) or "p" (after noon) for a time at this place; None if nothing says which."""
    if not (match := _NOON.match(text, end) or _NOON_BEFORE.search(text[max(0, start - 4) : start])):
        return None
    return "a" if match["am"] else "p" if match["pm"] else match[1]


def _read_time(hour: str, minute: str, noon: str | None) -> frozenset[str]:
    """Return the readings of a time of day. Without "am" or "pm" an hour up to twelve may be either."""
    number = int(hour)
    half = noon if number <= 12 else None
    if half:
        hours = {number % 12 + (12 if half == "p" else 0)}
    else:
        hours = {number} if number > 12 or hour.startswith("0") else {number, (number + 12) % 24}
    values = {f"{one}:{minute}" for one in hours}
    if minute in ("00", "30"):
        values.add(f"w{number % 12 or 12}")
    if minute == "00":
        # Beside "am" or "pm" the bare number is only half of the time.
        values |= {str(one) for one in hours if one > 12 or not half}
        values |= {f"h{number}"} if half else set()
    return frozenset(values)


def _read_number(text: str) -> set[str]:
    """Return the readings of a number: the separator of 1,230 may group digits or begin decimals."""
    values = set()
    if _GROUPED.fullmatch(text):
        values.add(_strip_zeros(re.sub(r"\D", "", text)))
    if decimal := _DECIMAL.fullmatch(text):
        values.add(format_number(Decimal(f"{re.sub(r'[^0-9]', '', decimal[1])}.{decimal[2]}")))
    return values or {_strip_zeros(part) for part in re.findall(r"\d+", text)}


def _strip_zeros(digits: str) -> str:
    return digits.lstrip("0") or "0"
