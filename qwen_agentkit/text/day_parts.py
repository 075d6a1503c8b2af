"""The words that tell a time before noon from one after it, such as "in the evening", in many languages."""

from __future__ import annotations

import re
from functools import lru_cache

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_pattern

__all__ = ["find_noon"]

# "Este" is a word of Spanish too.
_HUNGARIAN = re.compile(r"(?:(?P<am>reggel|délelőtt)|(?P<pm>este|délután)) $")
_HUNGARIAN_HOUR = re.compile(r"(?::\d\d)? ?(?:óra|-?kor)")
_PERSIAN_HOUR, _PERSIAN_NIGHT = re.compile("ساعت $"), re.compile(r" ?شب(?!\w)")
_WINDOW = 20


def find_noon(text: str, start: int, end: int) -> str | None:
    """Return "a" (before noon) or "p" (after noon) for a time at this place; None if nothing says which."""
    before = text[max(0, start - _WINDOW) : start]
    behind, in_front = _compile()
    match = behind.match(text, end) or in_front.search(before)
    if match is None and _HUNGARIAN_HOUR.match(text, end):
        match = _HUNGARIAN.search(before)
    if match is None:
        night = _PERSIAN_HOUR.search(before) and _PERSIAN_NIGHT.match(text, end)
        return _of_night(text[start:end]) if night else None
    groups = match.groupdict()
    if groups["am"]:
        return "a"
    if groups["pm"] or (groups.get("pm_hours") and groups["hours"]):
        return "p"
    if groups.get("night") or (groups.get("night_hours") and groups["hours"]):
        return _of_night(text[start:end])
    return None


@lru_cache(maxsize=1)
def _compile() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of the words behind a number and of those in front of it."""
    table = load_table("day_parts")
    behind, before = (
        {part: normalize_pattern("|".join(words)) for part, words in table[place].items()}
        for place in ("behind", "before")
    )
    # "At night" is before midnight or after it. With the word for hours only: "3 дня" is three days.
    return (
        re.compile(
            rf"(?P<hours> ?(?:{'|'.join(table['hours'])}))? ?"
            rf"(?:(?P<am>{behind['am']})|(?P<pm>{behind['pm']})|(?P<night>{behind['night']})"
            r"|(?P<pm_hours>дня)|(?P<night_hours>ночи|ночі))(?!\w)"
        ),
        re.compile(
            rf"(?:(?P<am>{before['am']})|(?P<pm>{before['pm']})|(?P<night>{before['night']}))(?: saat| के)? ?$"
        ),
    )


def _of_night(hour: str) -> str | None:
    """Return the half of the day of an hour at night: 11 is before midnight, 12 and 2 are not."""
    found = re.match(r"\d{1,2}", hour)
    if not found:
        return None
    return "a" if int(found[0]) in (12, *range(6)) else "p"
