"""Numbers, times and dates in a text, in a form that can be compared.

Knows digits and number words of many scripts. Knows no meaning: where a figure has several readings, all are
kept, because a false alarm costs more trust than a missed error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.text.calendar_words import find_days, find_months, unnamed_days
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.measures import find_measure
from qwen_agentkit.text.names import find_roman_numerals, remove_codes
from qwen_agentkit.text.numerals import Numeral, find_eastern_numerals, find_number_words, format_number
from qwen_agentkit.text.ranges import is_range
from qwen_agentkit.text.spoken import knows_half_hours, rewrite_amounts, rewrite_years, spoken_times

__all__ = ["Figure", "collect_values", "find_figures", "find_ranges"]


class Figure(NamedTuple):
    """A number, a time or a part of a date, as written, and every value it may mean.

    Values look like "1230", "7.5", "-5", "19:30", "m10" (a month) and "d0" (Monday). Two forms stand for
    times only: "h7" is a bare 7, the hour before or after noon. "w7" is an hour written in words.
    """

    text: str
    values: frozenset[str]
    spelled: bool = False
    """Whether it is written in words instead of digits."""
    measure: frozenset[str] = frozenset()
    """The units or currencies that it may count."""
    counted: str = ""
    """The words for them."""
    start: int = 0
    """Where it begins in the prepared text."""
    end: int = 0


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


class _Prepared(NamedTuple):
    """A normalized text in which times and years are digits and weekdays are blanked."""

    text: str
    days: list[tuple[str, str, bool]]
    """The text, the value and whether it is sure, of each weekday."""
    said: dict[str, str]
    """The words of the times that were said in words."""


def find_figures(text: str, language: str) -> list[Figure]:
    """Return the numbers, times and dates that a text certainly states, grouped by kind.

    Args:
        text: A sentence without citation markers.
        language: The language of the text; it decides which words are numbers, months and units.
    """
    prepared = _prepare(remove_codes(rewrite_amounts(text)), language)
    text = prepared.text
    found = [_with_said(figure, prepared.said) for figure in _find_numbers(text, language)]
    for month in find_months(text, language):
        if month.sure:
            found.append(Figure(text[month.start : month.end], frozenset({f"m{month.number}"})))
    found += [Figure(day, frozenset({value})) for day, value, sure in prepared.days if sure]
    return found


def _find_numbers(text: str, language: str) -> list[Figure]:
    """Return the numbers of a prepared text with what they count, in digits first."""
    eastern = list(find_eastern_numerals(text))
    digits = _blank_numerals(text, [one for one in eastern if one.text[0].isdecimal()])
    found = [figure for match in _CHAIN.finditer(digits) for figure in _read_chain(digits, match, language)]
    if _BELOW.search(text):
        found = [figure._replace(values=figure.values | _negate(figure.values)) for figure in found]
    found += [
        Figure(
            one.text,
            _certain_values(text, one),
            spelled=not one.text[0].isdecimal(),
            start=one.start,
            end=one.end,
        )
        for one in [*eastern, *find_number_words(text, language)]
        if one.sure
    ]
    return [_with_measure(figure, text, language) for figure in found]


def _with_measure(figure: Figure, text: str, language: str) -> Figure:
    measure = find_measure(text, figure.start, figure.end, language)
    if measure is None:
        return figure
    return figure._replace(measure=measure.meanings, counted=text[measure.start : measure.end])


def _with_said(figure: Figure, said: dict[str, str]) -> Figure:
    """Give a figure the words of the sentence; a half may also be half of something else than an hour."""
    if figure.text not in said:
        return figure
    hour, _, minute = figure.text.partition(":")
    part = {"30": f"{hour}.5", "15": f"{hour}.25", "45": f"{hour}.75"}.get(minute)
    values = figure.values | ({part} if part else set())
    return figure._replace(text=said[figure.text], values=frozenset(values))


def find_ranges(text: str, language: str) -> list[tuple[Figure, Figure]]:
    """Return the pairs of numbers of which a text says that one goes up to the other."""
    text = _prepare(remove_codes(rewrite_amounts(text)), language).text
    found = sorted(_find_numbers(text, language), key=lambda figure: (figure.start, figure.end))
    return [
        (one, other)
        for one, other in pairwise(found)
        if one.end <= other.start and is_range(text[one.end : other.start])
    ]


def collect_values(text: str, language: str) -> set[str]:
    """Return every value that a text may state. The figures of a claim are looked up in it."""
    values = {
        value for figure in find_figures(text, language) for value in figure.values if value[0] not in "wh"
    }
    values |= {str(number) for number in find_roman_numerals(text).values()}
    prepared = _prepare(rewrite_amounts(text), language)
    text = prepared.text
    for match in _CHAIN.finditer(text):
        values |= _collect_chain_values(text, match)
    for one in [*find_eastern_numerals(text), *find_number_words(text, language)]:
        values |= _collect_numeral_values(text, one, language)
    if _BELOW.search(text):
        values |= _negate(values)
    values |= {value for _, value, _ in prepared.days}
    values |= {f"d{day}" for day in unnamed_days(text)}
    return values | {f"m{month.number}" for month in find_months(text, language)}


def _prepare(text: str, language: str) -> _Prepared:
    """Normalize a text for the search for numbers."""
    text = rewrite_years(normalize_text(text))
    found = find_days(text, language)
    days = [(text[day.start : day.end], f"d{day.number}", day.sure) for day in found]
    # "Thứ Hai" is Monday, and not two.
    letters = list(text)
    for day in found:
        if day.sure:
            letters[day.start : day.end] = " " * (day.end - day.start)
    text, said = spoken_times("".join(letters), language)
    return _Prepared(_MINUS.sub(" -", _CLOCK.sub(r"\1:\2", text)), days, said)


def _blank_numerals(text: str, numerals: list[Numeral]) -> str:
    pieces, end = [], 0
    for one in numerals:
        pieces += [text[end : one.start], " " * len(one.text)]
        end = one.end
    return "".join([*pieces, text[end:]])


def _negate(values: set[str] | frozenset[str]) -> set[str]:
    return {f"-{value}" for value in values if value[0].isdecimal()}


def _read_chain(text: str, match: re.Match[str], language: str) -> Iterator[Figure]:
    """Yield the figures of one run of digits and separators."""
    chain, start, end = match[0], match.start(), match.end()
    noon = _find_noon(text, start, end)
    place = {"start": start, "end": end}
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, _read_time(time[1], time[2], noon), **place)
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and _GOES_ON.match(text, end)):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({_strip_zeros(part), f"m{int(part)}"}), **place)
    elif re.search("[:/-]", chain):
        for part in re.finditer("[^/-]+", chain):
            for figure in _read_range_end(part[0]):
                yield figure._replace(start=start + part.start(), end=start + part.end())
    elif scale := _SCALE.match(text, end):
        factor = _SCALE_OF[scale[1]]
        scaled = {format_number(Decimal(value) * factor) for value in _read_number(chain)}
        yield Figure(chain + scale[0], frozenset(scaled), start=start, end=scale.end())
    elif noon and chain.isdecimal() and int(chain) <= 12:
        yield Figure(chain, _read_time(chain, "00", noon), **place)
    elif noon and (dotted := _DOTTED_TIME.fullmatch(chain)):
        yield Figure(chain, _read_time(dotted[1], dotted[2], noon), **place)
    elif _is_negative(text, start):
        yield Figure(f"-{chain}", frozenset(_negate(_read_number(chain))), **place)
    else:
        values = _read_number(chain)
        if short := _SHORT_SCALE.match(text, end):  # 10k may be a distance, 5m too
            factor = 1000 if short[0] == "k" else 1_000_000
            values |= {format_number(Decimal(value) * factor) for value in values}
        if dotted := _DOTTED_TIME.fullmatch(chain):
            values |= _read_time(dotted[1], dotted[2], None)
        if chain.isdecimal() and _MONTH_SIGN.match(text, end):
            values.add(f"m{int(chain)}")
        yield Figure(chain, frozenset(values | _year_readings(text, match, language)), **place)


_SHORT_SCALE = re.compile(r"[km](?!\w)")
# 1990s, 90er, 1990年代, années 90
_DECADE_BEHIND = re.compile(r"(?:'?s|er[ns]?|-?[ехт]|-?ті|年代|년대)(?![a-zа-я])")
_DECADE_BEFORE = re.compile(r"(?:années|anni|años|anos|jaren|سنوات|دهه|दशक|thập niên|tahun) $")
_HIJRI = re.compile(r" ?(?:ه(?!\w)|هجري|للهجره)")


def _year_readings(text: str, match: re.Match[str], language: str) -> set[str]:
    """Return what else a number means as a year: of a decade, or of another calendar."""
    if not match[0].isdecimal() or len(match[0]) not in (2, 4):
        return set()
    year = int(match[0])
    values: set[int] = set()
    before = text[max(0, match.start() - 12) : match.start()]
    if year % 10 == 0 and (_DECADE_BEHIND.match(text, match.end()) or _DECADE_BEFORE.search(before)):
        values |= {year % 100, year if year > 99 else 1900 + year}
    if language == "th" and 2400 <= year <= 2700:
        values.add(year - 543)
    if language in ("fa", "ps") and 1200 <= year <= 1500:
        values |= {year + 621, year + 622}  # The year begins in March.
    if language in ("ar", "ur") and 1200 <= year <= 1500 and _HIJRI.match(text, match.end()):
        first = int(year * 0.970224 + 621.5774)
        values |= {first, first + 1}
    return {str(value) for value in values}


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
    if (time := _TIME.fullmatch(chain)) and time[2] != "00":
        return set()  # 5:30 is not 5.
    parts = re.findall(r"\d+", chain)
    values = {_strip_zeros(part) for part in parts}
    if _DECIMAL.fullmatch(chain):
        values |= _read_number(chain)
    if time:
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


def _collect_numeral_values(text: str, one: Numeral, language: str) -> set[str]:
    """Return every reading of a number in words or signs."""
    values = set(one.values | one.parts)
    noon = _find_noon(text, one.start, one.end)
    for value in [value for value in values if value.isdecimal() and int(value) <= 12]:
        if noon:
            # Where half an hour is not known, it may be a word between the two or behind them.
            minutes = ("00",) if knows_half_hours(language) else ("00", "30")
            values |= {hour for minute in minutes for hour in _read_time(value, minute, noon)}
        elif not knows_half_hours(language):
            values |= {f"w{value}", f"{value}:30", f"{(int(value) + 12) % 24}:30"}
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
    if minute == "00":
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
