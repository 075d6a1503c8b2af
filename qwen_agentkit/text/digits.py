"""Numbers, times and dates in digits: one run of digits and separators, and all that it may mean.

Knows separators and what stands around a number. Where a run has several readings, all are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from qwen_agentkit.text.amounts import fraction_values
from qwen_agentkit.text.day_parts import find_noon
from qwen_agentkit.text.measures import find_measure
from qwen_agentkit.text.numerals import format_number
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

__all__ = ["CHAIN", "MONTH_SIGN", "Figure", "collect_chain_values", "is_negative", "negate", "read_chain"]


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
CHAIN = re.compile(r"(?<![a-z\d])\d{1,40}(?:[.,:/'-]\d{1,40}| \d{3}(?!\d)){0,20}")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?")
_DOTTED_TIME = re.compile(r"(\d{1,2})\.([0-5]\d)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})")
# "3.10. um 9 Uhr": this full stop ends no sentence.
_DAY_MONTH = re.compile(r"(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])")
_GOES_ON = re.compile(r"\. ?\w")
# 03/2024 and 5/1; which of two numbers is the month is not known.
_MONTH_IN_DIGITS = re.compile(r"\d{1,2}[/.-]\d{4}|\d{4}[/-]\d{1,2}|\d{1,2}/\d{1,2}")
MONTH_SIGN = re.compile(r" ?[月월]")
# In front of a number in words; "au moins" and "al menos" are "at least".
_MINUS_WORD = re.compile(
    r"(?:\b(?:minus|miinus|mínusz|минус|мінус|eksi)|(?<!\bau )(?<!\bdu )(?<!\bde )\bmoins"
    r"|(?<!\bal )(?<!\blo )(?<!\bpelo )(?<!\bde )\bmenos) $"
)
_SIGN = re.compile(r"(?:^|[ (\"\u2e80-\u9fff])-$")
_DIGIT_FRACTION = re.compile(r"[1-9]/(?:[2-9]|1[0-6]?)")
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){2,}")
_SHORT_SCALE = re.compile(r"[km](?!\w)")


def negate(values: set[str] | frozenset[str]) -> set[str]:
    """Return the numbers among some values with a minus sign."""
    return {f"-{value}" for value in values if value[0].isdecimal()}


def read_chain(text: str, match: re.Match[str], language: str) -> Iterator[Figure]:
    """Yield the figures of one run of digits and separators."""
    chain, start, end = match[0], match.start(), match.end()
    noon = find_noon(text, start, end)
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, read_time(time[1], time[2], noon), start=start, end=end)
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and _GOES_ON.match(text, end)):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({strip_zeros(part), f"m{int(part)}"}), start=start, end=end)
    elif re.search("[:/-]", chain):
        yield from _read_pair(chain, start, end)
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
    elif is_negative(text, start):
        yield Figure(f"-{chain}", frozenset(negate(read_number(chain))), start=start, end=end)
    elif GROUPED.fullmatch(chain) or DECIMAL.fullmatch(chain) or chain.isdecimal():
        yield _read_single(text, match, language)
    elif _VERSION.fullmatch(chain):
        yield Figure(chain, frozenset({chain}), start=start, end=end)
    else:
        for one in re.finditer(r"\d+", chain):  # several numbers: each has to be stated
            place = start + one.start()
            yield Figure(one[0], frozenset(read_number(one[0])), start=place, end=place + len(one[0]))


def _read_pair(chain: str, start: int, end: int) -> Iterator[Figure]:
    """Yield the figures of numbers or times that a stroke or a hyphen joins."""
    if _DIGIT_FRACTION.fullmatch(chain):
        # 3/4 is a part, or a day and a month: each number also stands for the part.
        top, bottom = chain.split("/")
        part = format_number(round(Decimal(top) / Decimal(bottom), 3))
        for number in (top, bottom):
            yield Figure(number, frozenset({*read_number(number), part}), start=start, end=end)
        return
    for one in re.finditer("[^/-]+", chain):
        for figure in _read_range_end(one[0]):
            yield figure._replace(start=start + one.start(), end=start + one.end())


def _read_single(text: str, match: re.Match[str], language: str) -> Figure:
    """Return one number with all that it may be: an amount, a year, an hour, a month."""
    chain, start, end = match[0], match.start(), match.end()
    values = read_number(chain)
    if short := _SHORT_SCALE.match(text, end):  # 10k may be a distance, 5m too
        factor = 1000 if short[0] == "k" else 1_000_000
        values |= {format_number(Decimal(value) * factor) for value in values}
    if dotted := _DOTTED_TIME.fullmatch(chain):
        values |= read_time(dotted[1], dotted[2], None)
    if chain.isdecimal() and MONTH_SIGN.match(text, end):
        values.add(f"m{int(chain)}")
    values |= read_year(text, match, language)
    common = frozenset(read_other_year(text, match, language))
    return Figure(chain, frozenset(values), start=start, end=end, common=common)


def _read_range_end(part: str) -> Iterator[Figure]:
    """Yield the figures of one end of a range: a time, or numbers."""
    if time := _TIME.fullmatch(part):
        yield Figure(part, read_time(time[1], time[2], None))
        return
    for number in part.split(":"):
        yield Figure(number, frozenset(read_number(number)))


def collect_chain_values(text: str, match: re.Match[str], language: str) -> set[str]:
    """Return the less certain readings of a run of digits."""
    chain = match[0]
    if is_negative(text, match.start()):
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


def is_negative(text: str, start: int) -> bool:
    """Tell whether the number at `start` has a minus sign, not a range or hyphen, before it."""
    before = text[max(0, start - 3) : start]
    if _MINUS_WORD.search(text[max(0, start - 12) : start]):
        return True
    return bool(_SIGN.search(before)) and not before[0].isdecimal()
