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

from qwen_agentkit.text.amounts import FRACTION, fraction_values, rewrite_parts, rewrite_sums
from qwen_agentkit.text.calendar_words import find_days, find_months, unnamed_days, unnamed_months
from qwen_agentkit.text.day_parts import find_noon
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.measures import find_measure
from qwen_agentkit.text.names import find_roman_numerals, remove_codes
from qwen_agentkit.text.numerals import Numeral, find_eastern_numerals, find_number_words, format_number
from qwen_agentkit.text.other_calendars import OtherDate, find_other_dates
from qwen_agentkit.text.ranges import is_range
from qwen_agentkit.text.readings import (
    DECIMAL,
    GROUPED,
    SCALE,
    SCALE_OF,
    read_number,
    read_other_year,
    read_time,
    read_year,
    strip_zeros,
)
from qwen_agentkit.text.spoken import knows_half_hours, rewrite_amounts, rewrite_years, spoken_times

__all__ = ["Figure", "collect_values", "find_figures", "find_ranges"]


class Figure(NamedTuple):
    """A number, a time or a part of a date, as written, and every value it may mean.

    Values look like "1230", "7.5", "-5", "19:30", "m10" (a month), "p1" and "j9" (Farvardin, Ramadan) and
    "d0" (Monday). Two forms stand for times only: "h7" is a bare 7, the hour before or after noon. "w7" is an
    hour written in words.
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
    common: frozenset[str] = frozenset()
    """What it may be in the common calendar, if it is of another one."""


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
# 03/2024 and 5/1; which of two numbers is the month is not known.
_MONTH_IN_DIGITS = re.compile(r"\d{1,2}[/.-]\d{4}|\d{4}[/-]\d{1,2}|\d{1,2}/\d{1,2}")
_MONTH_SIGN = re.compile(r" ?[月월]")
_MINUS = re.compile(
    r"(?<![\w.-])(?:minus|минус|мінус|eksi) ?(?=\d)|(?:负|負|零下|氷点下|マイナス|영하 ?)(?=\d)"
)
# In front of a number in words; "au moins" and "al menos" are "at least".
_MINUS_WORD = re.compile(
    r"(?:\b(?:minus|miinus|mínusz|минус|мінус|eksi)|(?<!\bau )(?<!\bdu )(?<!\bde )\bmoins"
    r"|(?<!\bal )(?<!\blo )(?<!\bpelo )(?<!\bde )\bmenos) $"
)
# Words for a number below zero; they may stand anywhere in the text.
_BELOW = re.compile(
    r"\b(?:below (?:zero|freezing)|unter null|moins|sous zéro|menos|bajo cero|abaixo de zero|meno|sotto zero"
    r"|ниже нуля|minus|минус|мінус|eksi)\b|تحت الصفر|ناقص|سالب|零下|氷点下|マイナス|영하"
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
    for date in find_other_dates(text, language):
        found = [_with_common_date(figure, date) for figure in found]
        if date.sure:
            found.append(Figure(date.text, date.months, common=date.common_months))
    return found


def _with_common_date(figure: Figure, date: OtherDate) -> Figure:
    """Give the day, month and year of another calendar what they are in the common one."""
    if not date.start <= figure.start < date.end:
        return figure
    common = date.common_days if str(date.day) in figure.values else frozenset()
    common |= date.common_years if str(date.year) in figure.values else frozenset()
    if f"m{date.month}" in figure.values:
        return figure._replace(values=figure.values | date.months, common=common | date.common_months)
    return figure._replace(common=common)


def _find_numbers(text: str, language: str) -> list[Figure]:
    """Return the numbers of a prepared text with what they count, in digits first."""
    found = _find_fractions(text)
    text = _blank_fractions(text)
    eastern = list(find_eastern_numerals(text))
    digits = _blank_numerals(text, [one for one in eastern if one.text[0].isdecimal()])
    found += [figure for match in _CHAIN.finditer(digits) for figure in _read_chain(digits, match, language)]
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
    if _BELOW.search(text):
        found = [figure._replace(values=figure.values | _negate(figure.values)) for figure in found]
    return [_with_measure(figure, text, language) for figure in found]


def _find_fractions(text: str) -> list[Figure]:
    return [
        Figure(one[0], frozenset(fraction_values(one[1], one[2])), start=one.start(), end=one.end())
        for one in FRACTION.finditer(text)
    ]


def _blank_fractions(text: str) -> str:
    return FRACTION.sub(lambda found: " " * len(found[0]), text)


def _with_measure(figure: Figure, text: str, language: str) -> Figure:
    measure = find_measure(text, figure.start, figure.end, language)
    if measure is None:
        return figure
    return figure._replace(measure=measure.meanings, counted=text[measure.start : measure.end])


def _with_said(figure: Figure, said: dict[str, str]) -> Figure:
    """Give a figure the words of the sentence; a half may also be half of something else than an hour."""
    if figure.text not in said:
        return figure
    if ":" not in figure.text:
        return figure._replace(text=said[figure.text])
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
    """Return every value that a text may state. The figures of a claim are looked up in it.

    What a date of another calendar may be in the common one has a "~" in front: it answers to claims in the
    common calendar, and not to another date of its own calendar.
    """
    figures = find_figures(text, language)
    values = {value for figure in figures for value in figure.values if value[0] not in "wh"}
    values |= {f"~{value}" for figure in figures for value in figure.common}
    values |= {str(number) for number in find_roman_numerals(text).values()}
    prepared = _prepare(rewrite_amounts(text), language)
    text = _blank_fractions(prepared.text)
    for match in _CHAIN.finditer(text):
        values |= _collect_chain_values(text, match, language)
    for one in [*find_eastern_numerals(text), *find_number_words(text, language)]:
        values |= _collect_numeral_values(text, one, language)
    if _BELOW.search(text):
        values |= _negate(values)
    values |= {value for _, value, _ in prepared.days}
    values |= {f"d{day}" for day in unnamed_days(text)}
    values |= {f"m{month}" for month in unnamed_months(text, language)}
    for date in find_other_dates(text, language):
        values |= date.months | {f"~{value}" for value in date.common_months}
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
    text, sums = rewrite_sums("".join(letters), language)
    text, times = spoken_times(text, language)
    text, parts = rewrite_parts(text, language)
    said = {**sums, **times, **parts}
    text = re.sub(" {2,}", " ", text)
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
    noon = find_noon(text, start, end)
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, read_time(time[1], time[2], noon), start=start, end=end)
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and _GOES_ON.match(text, end)):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({strip_zeros(part), f"m{int(part)}"}), start=start, end=end)
    elif _DIGIT_FRACTION.fullmatch(chain):
        # 3/4 is a part, or a day and a month: each number also stands for the part.
        top, bottom = chain.split("/")
        part = {format_number(round(Decimal(top) / Decimal(bottom), 3))}
        for number in (top, bottom):
            yield Figure(number, frozenset({*read_number(number), *part}), start=start, end=end)
    elif re.search("[:/-]", chain):
        for part in re.finditer("[^/-]+", chain):
            for figure in _read_range_end(part[0]):
                yield figure._replace(start=start + part.start(), end=start + part.end())
    elif (scale := SCALE.match(text, end)) and not (
        scale[1] == "mil" and language not in ("ca", "es", "gl", "pt")  # a mile in Turkish
    ):
        factor = SCALE_OF[scale[1]]
        scaled = {format_number(Decimal(value) * factor) for value in read_number(chain)}
        yield Figure(chain + scale[0], frozenset(scaled), start=start, end=scale.end())
    elif noon and chain.isdecimal() and int(chain) <= 12:
        yield Figure(chain, read_time(chain, "00", noon), start=start, end=end)
    elif noon and (dotted := _DOTTED_TIME.fullmatch(chain)):
        yield Figure(chain, read_time(dotted[1], dotted[2], noon), start=start, end=end)
    elif _is_negative(text, start):
        yield Figure(f"-{chain}", frozenset(_negate(read_number(chain))), start=start, end=end)
    elif _VERSION.fullmatch(chain) and not (GROUPED.fullmatch(chain) or DECIMAL.fullmatch(chain)):
        yield Figure(chain, frozenset({chain}), start=start, end=end)
    elif " " in chain and not (GROUPED.fullmatch(chain) or DECIMAL.fullmatch(chain)):
        for number in re.finditer(r"\S+", chain):
            place = start + number.start()
            yield Figure(
                number[0], frozenset(read_number(number[0])), start=place, end=place + len(number[0])
            )
    else:
        values = read_number(chain)
        if short := _SHORT_SCALE.match(text, end):  # 10k may be a distance, 5m too
            factor = 1000 if short[0] == "k" else 1_000_000
            values |= {format_number(Decimal(value) * factor) for value in values}
        if dotted := _DOTTED_TIME.fullmatch(chain):
            values |= read_time(dotted[1], dotted[2], None)
        if chain.isdecimal() and _MONTH_SIGN.match(text, end):
            values.add(f"m{int(chain)}")
        values |= read_year(text, match, language)
        common = frozenset(read_other_year(text, match, language))
        yield Figure(chain, frozenset(values), start=start, end=end, common=common)


_DIGIT_FRACTION = re.compile(r"[1-9]/(?:[2-9]|1[0-6]?)")
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){2,}")
_SHORT_SCALE = re.compile(r"[km](?!\w)")


def _read_range_end(part: str) -> Iterator[Figure]:
    """Yield the figures of one end of a range: a time, or numbers."""
    if time := _TIME.fullmatch(part):
        yield Figure(part, read_time(time[1], time[2], None))
        return
    for number in part.split(":"):
        yield Figure(number, frozenset(read_number(number)))


def _collect_chain_values(text: str, match: re.Match[str], language: str) -> set[str]:
    """Return the less certain readings of a run of digits."""
    chain = match[0]
    if _is_negative(text, match.start()):
        return set()
    if (time := _TIME.fullmatch(chain)) and time[2] != "00":
        return set()  # 5:30 is not 5.
    if re.fullmatch(r"\d{1,3}(?:[,.' ]000|[,' ]\d{3})+", chain):
        return read_number(chain)  # 450,000 is not 450.
    if DECIMAL.fullmatch(chain) and (chain.startswith("0") or _counts(text, match, language)):
        return read_number(chain)  # Nor are 12.50 euros 12 euros.
    parts = [time[1]] if time else re.findall(r"\d+", chain)
    values = {strip_zeros(part) for part in parts}
    if _DIGIT_FRACTION.fullmatch(chain):
        values |= fraction_values(*parts)
    if _MONTH_IN_DIGITS.fullmatch(chain):
        values |= {f"m{int(part)}" for part in parts}
    if DECIMAL.fullmatch(chain):
        values |= read_number(chain)
    if time:
        values.add(str(int(time[1]) % 12 or 12))
    elif len(parts) > 1 or not find_noon(text, match.start(), match.end()):
        values |= {f"h{int(part)}" for part in parts if len(part) <= 2 and int(part) <= 12}
    return values


def _counts(text: str, match: re.Match[str], language: str) -> bool:
    """Tell whether a number has a unit or a currency, so that it is no date and no time."""
    measure = find_measure(text, match.start(), match.end(), language)
    return measure is not None and not any(one.startswith("duration") for one in measure.meanings)


def _is_negative(text: str, start: int) -> bool:
    """Tell whether the number at `start` has a minus sign, not a range or hyphen, before it."""
    before = text[max(0, start - 3) : start]
    if _MINUS_WORD.search(text[max(0, start - 12) : start]):
        return True
    return bool(_SIGN.search(before)) and not before[0].isdecimal()


def _certain_values(text: str, one: Numeral) -> frozenset[str]:
    """Return the certain readings of a number in words or signs: a month, an hour, or the number."""
    (value, *others) = one.values
    if _is_negative(text, one.start):
        return frozenset(_negate(one.values))
    if not others and value.isdecimal() and int(value) <= 12:
        if noon := find_noon(text, one.start, one.end):
            return read_time(value, "00", noon)
        if _MONTH_SIGN.match(text, one.end):
            return frozenset({f"m{value}"})
    return one.values


def _collect_numeral_values(text: str, one: Numeral, language: str) -> set[str]:
    """Return every reading of a number in words or signs."""
    if _is_negative(text, one.start):
        return _negate(one.values)
    values = set(one.values | one.parts)
    noon = find_noon(text, one.start, one.end)
    for value in [value for value in values if value.isdecimal() and int(value) <= 12]:
        if noon:
            # Where half an hour is not known, it may be a word between the two or behind them.
            minutes = ("00",) if knows_half_hours(language) else ("00", "30")
            values |= {hour for minute in minutes for hour in read_time(value, minute, noon)}
        elif not knows_half_hours(language):
            values |= {f"w{value}", f"{value}:30", f"{(int(value) + 12) % 24}:30"}
        else:
            values |= {f"w{value}", f"m{value}"} if _MONTH_SIGN.match(text, one.end) else {f"w{value}"}
    return {value for value in values if not (noon and value[0] in "wh")}
