"""Full dates in a text, as pairs of month and day, so that 4 March is not 3 April."""

from __future__ import annotations

import re
from typing import NamedTuple

from qwen_agentkit.text.calendar_words import find_months
from qwen_agentkit.text.folding import normalize_text

__all__ = ["Date", "find_dates", "has_other_order"]


class Date(NamedTuple):
    """A date as written, and each (month, day) that it may mean."""

    text: str
    readings: frozenset[tuple[int, int]]
    style: str = ""
    """The separator of a date whose order is not certain, such as "/"."""
    first: int = 0
    """The number in front in such a date."""


_YEAR_FIRST = re.compile(r"(?<!\d)\d{4}[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?<![\d.])(\d{1,2})([-/.])(\d{1,2})\2(?:\d{4}|\d{2})(?!\d)")
_EASTERN = re.compile(r"(?<!\d)(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日号號일]")
_DAY_BEFORE = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|º|ª)?[.,]? ?(?:of|de|d'|di|-)? ?$")
_DAY_BEHIND = re.compile(r"[.,]? ?(?:the )?(\d{1,2})(?!\d|[:.,]\d| ?%)")


def find_dates(text: str, language: str) -> list[Date]:
    """Return the dates with a month and a day that a text states."""
    text = normalize_text(text)
    found = [_date(match[0], int(match[1]), int(match[2])) for match in _YEAR_FIRST.finditer(text)]
    found += [_date(match[0], int(match[1]), int(match[2])) for match in _EASTERN.finditer(text)]
    for match in _YEAR_LAST.finditer(text):
        first, second = int(match[1]), int(match[3])
        # Only a date with points has one order everywhere: the day first.
        orders = {(second, first)} if match[2] == "." else {(second, first), (first, second)}
        readings = frozenset(order for order in orders if _is_date(*order))
        found.append(Date(match[0], readings, match[2], first))
    for month in find_months(text, language):
        before = _DAY_BEFORE.search(text, max(0, month.start - 12), month.start)
        behind = _DAY_BEHIND.match(text, month.end)
        if day := before or behind:
            written = text[min(day.start(), month.start) : max(day.end(), month.end)].strip()
            found.append(_date(written, int(month.number), int(day[1])))
    return [date for date in found if date.readings]


def _date(text: str, month: int, day: int) -> Date:
    return Date(text, frozenset({(month, day)} if _is_date(month, day) else ()))


def _is_date(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def has_other_order(date: Date, stated: list[Date]) -> bool:
    """Tell whether the dates of a source hold this one only with its day and month exchanged."""
    exchanged = frozenset((day, month) for month, day in date.readings)
    if date.style and len(date.readings) == 2:
        same_style = [other for other in stated if other.style == date.style]
        if same_style:
            return all(other.first != date.first for other in same_style) and any(
                date.readings == other.readings for other in same_style
            )
    if any(date.readings & other.readings for other in stated):
        return False
    return any(exchanged & other.readings for other in stated)
