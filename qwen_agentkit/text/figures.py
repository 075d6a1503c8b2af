"""Numbers, times and dates in a text, in a form that can be compared.

Knows digits and number words of many scripts. Knows no meaning: where a figure has several readings, all are
kept, because a false alarm costs more trust than a missed error.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.text.amounts import FRACTION, fraction_values, rewrite_parts, rewrite_sums
from qwen_agentkit.text.calendar_words import find_days, find_months
from qwen_agentkit.text.day_parts import find_noon
from qwen_agentkit.text.digits import (
    CHAIN,
    MONTH_SIGN,
    Figure,
    collect_chain_values,
    is_negative,
    negate,
    read_chain,
)
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.measures import find_measure
from qwen_agentkit.text.names import find_roman_numerals, remove_codes
from qwen_agentkit.text.numerals import Numeral, find_eastern_numerals, find_number_words
from qwen_agentkit.text.other_calendars import OtherDate, find_other_dates
from qwen_agentkit.text.ranges import is_range
from qwen_agentkit.text.readings import read_time
from qwen_agentkit.text.short_signs import write_signs_apart
from qwen_agentkit.text.spoken import knows_half_hours, spoken_times
from qwen_agentkit.text.unnamed_days import unnamed_days, unnamed_months
from qwen_agentkit.text.years import rewrite_years

__all__ = ["Figure", "collect_values", "find_figures", "find_ranges"]


# 19h30, 19点30分, 19時30分, 19시 30분
_CLOCK = re.compile(r"(?<!\d)(\d{1,2}) ?(?:h|点|點|時|时|시) ?(\d{2})(?!\d)")
_MINUS = re.compile(
    r"(?<![\w.-])(?:minus|минус|мінус|eksi) ?(?=\d)|(?:负|負|零下|氷点下|マイナス|영하 ?)(?=\d)"
)
# Words for a number below zero; they may stand anywhere in the text.
_BELOW = re.compile(
    r"\b(?:below (?:zero|freezing)|unter null|moins|sous zéro|menos|bajo cero|abaixo de zero|meno|sotto zero"
    r"|ниже нуля|minus|минус|мінус|eksi)\b|تحت الصفر|ناقص|سالب|零下|氷点下|マイナス|영하"
)


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
    prepared = _prepare(remove_codes(write_signs_apart(text)), language)
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
    found += [figure for match in CHAIN.finditer(digits) for figure in read_chain(digits, match, language)]
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
        found = [figure._replace(values=figure.values | negate(figure.values)) for figure in found]
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
    text = _prepare(remove_codes(write_signs_apart(text)), language).text
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
    prepared = _prepare(write_signs_apart(text), language)
    text = _blank_fractions(prepared.text)
    for match in CHAIN.finditer(text):
        values |= collect_chain_values(text, match, language)
    for one in [*find_eastern_numerals(text), *find_number_words(text, language)]:
        values |= _collect_numeral_values(text, one, language)
    if _BELOW.search(text):
        values |= negate(values)
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


def _certain_values(text: str, one: Numeral) -> frozenset[str]:
    """Return the certain readings of a number in words or signs: a month, an hour, or the number."""
    (value, *others) = one.values
    if is_negative(text, one.start):
        return frozenset(negate(one.values))
    if not others and value.isdecimal() and int(value) <= 12:
        if noon := find_noon(text, one.start, one.end):
            return read_time(value, "00", noon)
        if MONTH_SIGN.match(text, one.end):
            return frozenset({f"m{value}"})
    return one.values


def _collect_numeral_values(text: str, one: Numeral, language: str) -> set[str]:
    """Return every reading of a number in words or signs."""
    if is_negative(text, one.start):
        return negate(one.values)
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
            values |= {f"w{value}", f"m{value}"} if MONTH_SIGN.match(text, one.end) else {f"w{value}"}
    return {value for value in values if not (noon and value[0] in "wh")}
