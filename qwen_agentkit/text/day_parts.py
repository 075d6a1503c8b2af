"""The words that tell a time before noon from one after it, such as "in the evening", in many languages."""

from __future__ import annotations

import re

from qwen_agentkit.text.folding import normalize_text

__all__ = ["find_noon"]

# What may stand between a number and its part of the day.
_HOURS = (
    r"(?:o'clock|uhr|h|hrs?|heures?|horas?|ore|часов|часа|час|ч\.|годин[аиі]?|giờ|uur|timmar"
    r"|klokken|בשעה|[点點時时시]"
    r"|点钟|點鐘)"
)
_MORNING = (
    r"a\.?m\b|in the (?:early )?morning|du matin|de la mañana|del mattino|di mattina|da manhã"
    r"|de manhã|del matí"
    r"|morgens|vormittags|früh|утра|ранку|сутринта|rano|ráno|'s (?:ochtends|morgens)|på morgonen"
    r"|om morg[eo]nen"
    r"|aamulla|το πρωί|π\.μ\.?|בבוקר|صبح|بامداد|صباحا|فجرا|ص(?!\w)|sáng|pagi|dimineața|asubuhi|ng umaga"
)
_AFTERNOON = (
    r"p\.?m\b|in the (?:afternoon|evening)|tonight|du soir|de l'après-midi|de la tarde|del pomeriggio|di sera"
    r"|da tarde|de la tarda|abends|nachmittags|вечера|вечора|вечерта|wieczorem|po południu|večer|odpoledne"
    r"|'s (?:avonds|middags)|på kvällen|på eftermiddagen|om aftenen|om kvelden|om ette?rmiddagen"
    r"|om eftermiddagen"
    r"|illalla|iltapäivällä|το (?:βράδυ|απόγευμα)|μ\.μ\.?|בערב|אחר הצהריים|عصر|بعد از ظهر|مساء|عصرا"
    r"|ظهرا|بعد الظهر"
    r"|م(?!\w)|tối|chiều|malam|sore|seara|după-amiaza|jioni|ng (?:hapon|gabi)"
)
# "At night" is before midnight or after it.
_NIGHT = (
    r"at night|de la noche|da noite|di notte|de la nuit|nachts|w nocy|v noci|'s nachts|på natten"
    r"|om natten|yöllä"
    r"|בלילה|ليلا|đêm|noaptea|usiku"
)
# With the word for hours only: "3 дня" is three days, and "3 شب" three nights.
_AFTERNOON_HOURS = r"дня"
_NIGHT_HOURS = r"ночи|ночі"
_MORNING_BEFORE = (
    "上午|早上|早晨|清晨|凌晨|午前|朝の?|오전|아침|새벽|sabah(?:ları|leyin)?"
    "|सुबह|সকাল|صبح|morgens um|pagi jam|pukul pagi"
)
_AFTERNOON_BEFORE = (
    "下午|晚上|傍晚|中午|午後|夕方|오후|저녁|낮|akşam(?:ları|leyin)?|öğleden sonra|शाम|दोपहर"
    "|সন্ধ্যা|বিকাল|بعد از ظهر|شام"
    "|abends um|nachmittags um"
)
_NIGHT_BEFORE = "夜里|夜裡|夜の?|深夜|밤|रात|রাত|رات|gece|nachts um"


def _normalized(words: str) -> str:
    return re.sub(r"[^\x00-\x7f]+", lambda found: normalize_text(found[0]), words)


_BEHIND = re.compile(
    rf"(?P<hours> ?{_HOURS})? ?(?:(?P<am>{_normalized(_MORNING)})|(?P<pm>{_normalized(_AFTERNOON)})"
    rf"|(?P<night>{_normalized(_NIGHT)})|(?P<pm_hours>{_AFTERNOON_HOURS})"
    rf"|(?P<night_hours>{_NIGHT_HOURS}))(?!\w)"
)
_BEFORE = re.compile(
    rf"(?:(?P<am>{_normalized(_MORNING_BEFORE)})|(?P<pm>{_normalized(_AFTERNOON_BEFORE)})"
    rf"|(?P<night>{_normalized(_NIGHT_BEFORE)}))(?: saat| के)? ?$"
)
# "Este" is a word of Spanish too.
_HUNGARIAN = re.compile(r"(?:(?P<am>reggel|délelőtt)|(?P<pm>este|délután)) $")
_HUNGARIAN_HOUR = re.compile(r"(?::\d\d)? ?(?:óra|-?kor)")
_PERSIAN_HOUR, _PERSIAN_NIGHT = re.compile("ساعت $"), re.compile(r" ?شب(?!\w)")
_WINDOW = 20


def find_noon(text: str, start: int, end: int) -> str | None:
    """Return "a" (before noon) or "p" (after noon) for a time at this place; None if nothing says which."""
    before = text[max(0, start - _WINDOW) : start]
    match = _BEHIND.match(text, end) or _BEFORE.search(before)
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


def _of_night(hour: str) -> str | None:
    """Return the half of the day of an hour at night: 11 is before midnight, 12 and 2 are not."""
    found = re.match(r"\d{1,2}", hour)
    if not found:
        return None
    return "a" if int(found[0]) in (12, *range(6)) else "p"
