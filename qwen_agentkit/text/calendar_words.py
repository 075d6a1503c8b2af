"""The weekdays and months that a normalized text names, and the weekdays between the ends of a range."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.text.calendar_names import NamePattern, compile_days, compile_months
from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.ranges import is_range

__all__ = ["CalendarWord", "find_days", "find_months"]


class CalendarWord(NamedTuple):
    """A weekday ("0" is Monday) or a month ("1" to "12") and its place in the text."""

    number: str
    start: int
    end: int
    sure: bool
    """Whether the word can hardly mean anything else."""


# No verb and no planet stands behind these: "in March", "im Mai", "en mars".
_BEFORE_MONTH = re.compile(
    r"(?<!\w)(?:in|since|until|during|im|seit|en|depuis|desde|hasta|sinds|i|sedan|siden) $"
)
# "Tầng thứ ba" is the third floor, and not Tuesday; nor is "τρίτος", where days are feminine.
_COUNTED = {
    "vi": re.compile(
        r"(?<!\w)(?:tầng|lần|chương|hạng|phần|người|trang|bước|trí|đoạn|kỷ|lớp|dòng|cột|quý|bài|tập"
        r"|con|cái|chiếc"
        r"|cuốn|số|tòa|tuần|tháng|năm|cuộc|vòng|kỳ|đợt|loại|điều|khoản|mục|câu|viên) \S+ \S+$"
    ),
    "el": re.compile("ο[νςυι]?$|ους$"),
}
_CHINESE_WEEK = "(?:星期|礼拜|禮拜|周|週)"
# "一周四天" is four days a week, and no Thursday.
_CHINESE_DAYS = re.compile(
    f"{_CHINESE_WEEK}((?:[一二三四五六](?![天次个個回]|小[时時])"
    f"|[日天]))((?:[、,和及至到~–—-]{_CHINESE_WEEK}?[一二三四五六日天](?![\\d月点點]))*)"
)
_CHINESE_NEXT = re.compile(f"{_CHINESE_WEEK}?([一二三四五六日天])")
_CHINESE_DAY = {char: str(number) for number, char in enumerate("一二三四五六日")} | {"天": "6"}
_EAST_ASIAN = {"ja": "月火水木金土日", "ko": "월화수목금토일"}
_SHORT_DAYS = (
    "(?<=[(（・、~〜,·-])[{0}](?=[)）・、~〜,·-])|[{0}](?=[・、~〜·-][{0}])|(?<=[{0}][・、~〜·-])[{0}]"
)

_RANGE_ENDINGS = {
    code: (re.compile(f"(?:{first})$"), re.compile(f"(?:{last})$"))
    for code, first, last in (
        ("fi", "st[aä]|lt[aä]", "[aeiouyäö]n|lle"), ("hu", "t[óő]l", "ig"), ("et", "st", "ni"),
        ("tr", "[dt][ea]n", "[ae]|kadar"), ("ka", "დან", "მდე"), ("hy", "ից", "."), ("ta", ".", "."),
        ("eu", "tik", "ra"), ("kn", "ದಿಂದ", "."), ("te", ".", "."),
    )
}  # fmt: skip


def find_days(text: str, language: str) -> list[CalendarWord]:
    """Return the weekdays of a normalized text, those between the ends of a range included."""
    code = language.split("-")[0]
    found = [] if code == "zh" else _find_named_days(text, language)
    if code in ("zh", "ja"):
        found += _find_chinese_days(text)
    if code in _EAST_ASIAN:
        signs = _find_day_signs(text, _EAST_ASIAN[code])
        found += [sign for sign in signs if not any(day.start <= sign.start < day.end for day in found)]
    found.sort(key=lambda day: day.start)
    return found + _find_days_between(text, found, code)


def _find_named_days(text: str, language: str) -> list[CalendarWord]:
    counted = _COUNTED.get(language.split("-")[0])
    ambiguous = frozenset(load_table("calendar")["ambiguous_days"])
    return [
        CalendarWord(number, match.start(), match.end(), sure)
        for match, number, sure in _find(text, compile_days(language), ambiguous)
        # "So" is Sunday in German only beside another day or a number.
        if (sure or len(match[0]) > 2 or match[0] >= "\u0370")
        and not (counted and counted.search(text[max(0, match.start() - 12) : match.end()]))
    ]


def _find_day_signs(text: str, signs: str) -> list[CalendarWord]:
    """Return the weekdays that stand as single signs in brackets or lists: "(月・水)"."""
    return [
        CalendarWord(str(signs.index(match[0])), match.start(), match.end(), False)
        for match in re.finditer(_SHORT_DAYS.format(signs), text)
    ]


def _find_days_between(text: str, named: list[CalendarWord], code: str) -> list[CalendarWord]:
    between = []
    for one, other in pairwise(named):
        if is_range(text[one.end : other.start]) or _are_range_ends(text, one, other, code):
            first, last = int(one.number), int(other.number)
            days = range(first + 1, first + 1 + (last - first - 1) % 7)
            between += [CalendarWord(str(day % 7), one.start, other.end, False) for day in days]
    return between


def _are_range_ends(text: str, one: CalendarWord, other: CalendarWord, code: str) -> bool:
    """Tell whether the endings of two names say from and to: "maanantaista perjantaihin"."""
    if code not in _RANGE_ENDINGS or text[one.end : other.start].strip(" -"):
        return False
    first, last = _RANGE_ENDINGS[code]
    return bool(first.search(text[one.start : one.end]) and last.search(text[other.start : other.end]))


def find_months(text: str, language: str) -> list[CalendarWord]:
    """Return the months that a normalized text names."""
    ambiguous = frozenset(load_table("calendar")["ambiguous_months"])
    found = []
    for match, number, sure in _find(text, compile_months(language), ambiguous):
        told = match[0] in ambiguous and _BEFORE_MONTH.search(text[: match.start()][-10:])
        found.append(CalendarWord(number, match.start(), match.end(), sure or bool(told)))
    return found


def _find(
    text: str, names: NamePattern, ambiguous: frozenset[str]
) -> Iterator[tuple[re.Match[str], str, bool]]:
    """Yield each name with its number and whether it can hardly mean anything else.

    An abbreviation or an everyday word counts as a name only beside a number or another name.
    """
    found = list(names.pattern.finditer(text)) if names.pattern else []
    for place, match in enumerate(found):
        name = match[match.lastindex or 0]
        near = text[max(0, match.start() - 6) : match.end() + 6]
        beside = any(char.isdigit() for char in near) or any(
            0 <= other.start() - match.end() <= 6 or 0 <= match.start() - other.end() <= 6
            for other in found[max(0, place - 1) : place + 2]
            if other is not match
        )
        sure = beside or not (name in names.short or name in ambiguous)
        yield match, names.number_of[name.replace(" ", "")], sure


def _find_chinese_days(text: str) -> list[CalendarWord]:
    found = []
    for match in _CHINESE_DAYS.finditer(text):
        found.append(CalendarWord(_CHINESE_DAY[match[1]], match.start(), match.end(1), True))
        for further in _CHINESE_NEXT.finditer(text, match.start(2), match.end(2)):
            found.append(CalendarWord(_CHINESE_DAY[further[1]], further.start(), further.end(), True))
    return found
