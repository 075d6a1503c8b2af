"""Dates of the Iranian (Jalali) and the Islamic (Hijri) calendar in a normalized text.

Knows the names of their months in `data/other_months.json`. The libraries persiantools and hijridate know the
calendars. The Islamic one is that of Umm al-Qura; the day before and the day after count too, since months
begin with the sight of the moon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text

__all__ = ["OtherDate", "find_other_dates"]

JALALI, HIJRI = "p", "j"


class OtherDate(NamedTuple):
    """A date or a month of another calendar, and the parts of the common calendar that it may be."""

    text: str
    start: int
    end: int
    calendar: str
    month: int
    day: int | None
    year: int | None
    sure: bool
    """Whether the month is hardly another word: it stands beside a number, or is called a month."""
    common_months: frozenset[str]
    common_days: frozenset[str]
    common_years: frozenset[str]

    @property
    def months(self) -> frozenset[str]:
        """The month as a value, such as "p1" for Farvardin."""
        return frozenset({f"{self.calendar}{self.month}"})


_IN_FRONT = "(?:في|خلال|شهر|من|در|ماه|in|during|month of|bulan|im|en|au mois de|durante|в|में) $"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?,? ?(?:of |de |من |-)?(?:شهر |ماه |mois de )?"
_YEAR = r",? ?(?:ماه ?)?(?:of |de |سنه |عام |لعام |سال |year )?(?P<year>1[2-5]\d\d)(?!\d)"
_DIGITS = re.compile(
    r"(?<!\d)(1[2-5]\d\d)[/.-](\d{1,2})[/.-](\d{1,2})(?![\d/])(?P<hijri> ?(?:ه(?!\w)|هجري|قمري|ah\b))?"
)


def find_other_dates(text: str, language: str) -> list[OtherDate]:
    """Return the dates and months of the Jalali and the Hijri calendar that a normalized text names."""
    found = []
    for match in _pattern().finditer(text):
        calendar, month = _months()[match["month"]]
        day, year = match["day"] or match["day2"], match["year"]
        sure = bool(day or year or re.search(_IN_FRONT, text[max(0, match.start() - 14) : match.start()]))
        sure = sure or text[match.end() :].startswith(" ماه")
        found.append(
            _make(match, calendar, month, int(day) if day else None, int(year) if year else None, sure)
        )
    for match in _DIGITS.finditer(text):
        calendar = HIJRI if match["hijri"] else JALALI
        if match["hijri"] or language in ("fa", "ps"):
            found.append(_make(match, calendar, int(match[2]), int(match[3]), int(match[1]), True))
    return found


def _make(
    match: re.Match[str], calendar: str, month: int, day: int | None, year: int | None, sure: bool
) -> OtherDate:
    days = set(_common_days(calendar, month, day, year))
    months = {f"m{one.month}" for one in days}
    if not days and calendar == JALALI:
        months = {
            f"m{(month + 1) % 12 + 1}",
            f"m{(month + 2) % 12 + 1}",
        }  # Farvardin lies in March and April.
    return OtherDate(
        match[0].strip(),
        *match.span(),
        calendar,
        month,
        day,
        year,
        sure,
        frozenset(months),
        frozenset(str(one.day) for one in days) if day else frozenset(),
        frozenset(str(one.year) for one in days),
    )


def _common_days(calendar: str, month: int, day: int | None, year: int | None) -> Iterator[date]:
    """Yield the days of the common calendar that a date may be; none without a year."""
    if year is None:
        return
    for number in (day,) if day else (1, 29):
        try:
            found = _CONVERT[calendar](year, month, number)
        except (ValueError, OverflowError):  # no such day, or a year that the calendar's tables lack
            continue
        around = (-1, 0, 1) if calendar == HIJRI else (0,)
        yield from (found + timedelta(days=step) for step in around)


def _from_jalali(year: int, month: int, day: int) -> date:
    from persiantools.jdatetime import JalaliDate

    found: date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]  # it has no types
    return found


def _from_hijri(year: int, month: int, day: int) -> date:
    from hijridate import Hijri

    return date(*Hijri(year, month, day).to_gregorian().datetuple())


_CONVERT: dict[str, Callable[[int, int, int], date]] = {JALALI: _from_jalali, HIJRI: _from_hijri}


@lru_cache(maxsize=1)
def _months() -> dict[str, tuple[str, int]]:
    """Return the normalized names of months, of many languages, with their calendar and number."""
    table: dict[str, list[list[str]]] = load_table("other_months")
    return {
        normalize_text(name): (calendar, number)
        for calendar, rows in ((JALALI, table["jalali"]), (HIJRI, table["hijri"]))
        for number, names in enumerate(rows, 1)
        for name in names
    }


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, _months()), key=len, reverse=True))
    month = rf"(?P<month>{names})"
    return re.compile(
        rf"(?<![\w:.,/])(?:{_DAY})?(?:(?<=[\d .]|-)|\b)(?:[وفبل](?=[\u0620-\u064a]{{3}}))?{month}(?!\w)"
        rf"(?: (?P<day2>\d{{1,2}})(?=,| 1[2-5]\d\d))?(?:{_YEAR})?"
    )
