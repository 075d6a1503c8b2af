"""Weekdays and months that a normalized text states without their names: "daily", "all year", May to July."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from qwen_agentkit.text.calendar_words import find_months
from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.ranges import is_range

__all__ = ["unnamed_days", "unnamed_months"]


def unnamed_days(text: str) -> set[int]:
    """Return the weekdays that a normalized text states without their names, such as those of "daily".

    The weekend is Saturday and Sunday, and may be Friday.
    """
    days = set(range(7)) if _states("every_day", text) else set()
    days |= {0, 1, 2, 3, 4, 6} if _states("weekdays", text) else set()
    return days | ({4, 5, 6} if _states("weekend", text) else set())


def unnamed_months(text: str, language: str) -> set[int]:
    """Return the months of a normalized text that it does not name: those of a range or of the whole year."""
    months = set(range(1, 13)) if _states("all_year", text) else set()
    for one, other in pairwise(find_months(text, language)):
        if is_range(text[one.end : other.start]):
            first, last = int(one.number), int(other.number)
            months |= {(first + step) % 12 + 1 for step in range((last - first - 1) % 12)}
    return months


def _states(days: str, text: str) -> bool:
    return bool(_compile(days).search(text))


@lru_cache
def _compile(days: str) -> re.Pattern[str]:
    return re.compile("|".join(load_table("calendar")[days]))
