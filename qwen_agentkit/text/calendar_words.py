"""The weekdays and months of a normalized text. Their names are CLDR's; only their endings are known here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.cldr import Forms, day_forms, month_forms
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.ranges import is_range

__all__ = ["CalendarWord", "calendar_names", "find_days", "find_months", "states_every_day"]


class CalendarWord(NamedTuple):
    """A weekday ("0" is Monday) or a month ("1" to "12") and its place in the text."""

    number: str
    start: int
    end: int
    sure: bool
    """Whether the word can hardly mean anything else."""


# Names that are everyday words too. They count only beside a number or another name of their kind.
_AMBIGUOUS_MONTHS = frozenset(("may", "march", "mars", "mai", "mei", "mayo", "marzo", "mart", "mai", "maj"))
_AMBIGUOUS_DAYS = frozenset(
    ("pazar", "minggu", "ahad", "linggo", "پير", "منگل", "هفته", "ہفتہ", "อาทิตย์", "จันทร์", "อังคาร", "ням")
    + ("शनि", "சனி", "வெள்ளி", "திங்கள்", "ஞாயிறு", "புதன்", "செவ்வாய்", "sun", "sat", "wed", "mon", "mar", "mer")
)
# What may be left out of a name: วันศุกร์, 金曜日, segunda-feira, يوم, יום.
_LEFT_OUT = re.compile("^(?:วัน|יום )|(?:曜日|日|-feira)$")
_FURTHER_DAYS = {
    "de": {"sonnabend": "5"},
    "ja": {f"{sign}曜": str(n) for n, sign in enumerate("月火水木金土日")},
}
_FURTHER_MONTHS = {
    "en": {"sept": "9"},
    "de": {"jänner": "1", "feber": "2"},
    "es": {"setiembre": "9"},
    "ru": {"мая": "5", "мае": "5", "маю": "5", "маем": "5"},
    "hi": {"सितम्बर": "9", "अक्तूबर": "10", "नवम्बर": "11", "दिसम्बर": "12"},
}
_CHINESE_DAYS = re.compile(
    "(?:星期|礼拜|禮拜|周|週)([一二三四五六日天])((?:[、,和及至到~–—-](?:星期|礼拜|禮拜|周|週)?[一二三四五六日天](?![\\d月点點]))*)"
)
_CHINESE_DAY = {char: str(number) for number, char in enumerate("一二三四五六日")} | {"天": "6"}
_EAST_ASIAN = {"ja": "月火水木金土日", "ko": "월화수목금토일"}
_SHORT_DAYS = (
    "(?<=[(（・、~〜,·-])[{0}](?=[)）・、~〜,·-])|[{0}](?=[・、~〜·-][{0}])|(?<=[{0}][・、~〜·-])[{0}]"
)

_LETTER = "\\w\u0900-\u0963\u0981-\u0dff"
_SLAVIC = frozenset(
    ("be", "bg", "bs", "cs", "hr", "kk", "lt", "lv", "mk", "pl", "ru", "sk", "sl", "sr", "uk", "el")
)
_AGGLUTINATING = frozenset(
    ("et", "eu", "fi", "hu", "hy", "is", "ka", "kn", "ml", "mn", "sq", "ta", "te", "tr", "ro")
)
_JOINED_WITH = frozenset(("bo", "ja", "km", "ko", "lo", "my", "th", "zh", "zh-hant"))
_CASE = "(?:[аеиіоуыэюяёьйїє]{0,2}(?:м|х|ми|й|в)?|z?[aeiouyąęěáéíóúůýūėį]{0,3}(?:m|ch|mi|s|j|ů)?|[αεηιουωάέήίόύώ]{0,2}[νς]?)"
_FINAL = re.compile("[aeiouyáéíóúýěąęāēīūаеиоуыэюяёьйїєαηοιω]$|ος$|ης$|as$|is$|us$")
_GERMANIC = frozenset(("af", "da", "de", "lb", "nl", "no", "sv"))

# "Every day" and its like state all days.
_EVERY_DAY = re.compile(
    "every ?day|daily|each day|all week|any day|seven days|7 days|24/7|weekdays?|weekends?|work(?:ing )?days"
    "|täglich|jeden tag|wochentags?|werktag|wochenende|tous les jours|chaque jour|quotidien|semaine|week-end"
    "|todos los días|cada día|diari[oa]|fin de semana|laborable|todos os dias|diariamente|fim de semana|dia[s]? út"
    "|tutti i giorni|ogni giorno|feriali|fine settimana|dagelijks|elke dag|weekend|werkdagen|dagligen|varje dag"
    "|hver dag|daglig|ежедневн|каждый день|выходн|будн|щодня|кожен день|будн|вихідн|codziennie|weekend"
    "|denně|každý den|víkend|naponta|minden nap|joka päivä|her gün|hafta ?içi|hafta ?sonu|zilnic|în fiecare zi"
    "|كل يوم|يوميا|طوال الاسبوع|كل الايام|هر روز|روزانه|همه روزه|روزهاي هفته|כל יום|יום יום|सोमवार से|हर दिन|रोज|प्रतिदिन"
    "|প্রতিদিন|روزانه|ہر روز|每天|每日|天天|全年|周末|週末|工作日|平日|毎日|年中無休|毎週|매일|연중무휴|주말|평일|ทุกวัน"
    "|mỗi ngày|hàng ngày|hằng ngày|cuối tuần|setiap hari|akhir pekan|hari kerja|kila siku"
)


def states_every_day(text: str) -> bool:
    """Tell whether a normalized text speaks of all days, or of days that are not named."""
    return bool(_EVERY_DAY.search(text))


def find_days(text: str, language: str) -> list[CalendarWord]:
    """Return the weekdays of a normalized text, those between the ends of a range included."""
    code = language.split("-")[0]
    found = (
        []
        if code == "zh"
        else [
            CalendarWord(number, match.start(), match.end(), sure)
            for match, number, sure in _find(text, _compile_days(language), _AMBIGUOUS_DAYS)
        ]
    )
    if code in ("zh", "ja"):
        found += _find_chinese_days(text)
    if code in _EAST_ASIAN:
        signs = _EAST_ASIAN[code]
        found += [
            CalendarWord(str(signs.index(match[0])), match.start(), match.end(), False)
            for match in re.finditer(_SHORT_DAYS.format(signs), text)
            if not any(word.start <= match.start() < word.end for word in found)
        ]
    found.sort(key=lambda word: word.start)
    between = []
    for one, other in zip(found, found[1:], strict=False):
        if is_range(text[one.end : other.start]):
            first, last = int(one.number), int(other.number)
            days = range(first + 1, first + 1 + (last - first - 1) % 7)
            between += [CalendarWord(str(day % 7), one.start, other.end, False) for day in days]
    return found + between


def find_months(text: str, language: str) -> list[CalendarWord]:
    """Return the months that a normalized text names."""
    return [
        CalendarWord(number, match.start(), match.end(), sure)
        for match, number, sure in _find(text, _compile_months(language), _AMBIGUOUS_MONTHS)
    ]


def calendar_names(language: str) -> frozenset[str]:
    """Return the names of weekdays and months in a language, which are no names of anybody."""
    days, months = _all_forms(language, "days"), _all_forms(language, "months")
    return frozenset(days) | frozenset(months)


_Pattern = tuple[re.Pattern[str] | None, dict[str, str], frozenset[str]]


def _find(
    text: str, pattern: _Pattern, ambiguous: frozenset[str]
) -> Iterator[tuple[re.Match[str], str, bool]]:
    names, number_of, short = pattern
    found = list(names.finditer(text)) if names else []
    for place, match in enumerate(found):
        name = match[match.lastindex or 0]
        near = text[max(0, match.start() - 6) : match.end() + 6]
        beside = any(char.isdigit() for char in near) or any(
            0 <= other.start() - match.end() <= 6 or 0 <= match.start() - other.end() <= 6
            for other in found[max(0, place - 1) : place + 2]
            if other is not match
        )
        yield match, number_of[name.replace(" ", "")], beside or not (name in short or name in ambiguous)


def _all_forms(language: str, what: str) -> dict[str, str]:
    """Return all names, wide and short, and their numbers."""
    forms, further = (day_forms, _FURTHER_DAYS) if what == "days" else (month_forms, _FURTHER_MONTHS)
    single: dict[str, str] = {}
    tables: list[Forms] = [forms(language, "wide"), forms(language, "abbreviated")]
    for table in tables:
        for form, numbers in table.items():
            if len(form) > 2 or form >= "\u0370":
                single.setdefault(form, *numbers)
    own = further.get(language.split("-")[0], {})
    return single | {normalize_text(form): number for form, number in own.items()}


@lru_cache(maxsize=64)
def _compile_days(language: str) -> _Pattern:
    forms = {
        form: number
        for form, number in _all_forms(language, "days").items()
        if len(form) > 1 or form > "\u3000"
    }
    wide = day_forms(language, "wide")
    short = {form for form in forms if form not in wide and language not in ("ja", "zh", "zh-hant")}
    for form, number in list(forms.items()):
        rest = _LEFT_OUT.sub("", form)
        if rest != form and len(rest) > 1 and rest not in forms:
            forms[rest] = number
            if language == "pt":
                short.add(rest)
    if language in ("ja", "ko"):
        forms = {form: number for form, number in forms.items() if len(form) > 1}
    return _compile(forms, language, frozenset(short))


@lru_cache(maxsize=64)
def _compile_months(language: str) -> _Pattern:
    forms = _all_forms(language, "months")
    wide = month_forms(language, "wide")
    own = _FURTHER_MONTHS.get(language.split("-")[0], {})
    return _compile(
        forms, language, frozenset(form for form in forms if form not in wide and form not in own)
    )


def _compile(forms: dict[str, str], language: str, short: frozenset[str]) -> _Pattern:
    """Compile the names and, for languages that inflect them, their stems; whole names go first."""
    if not forms:
        return None, {}, short
    number_of = dict(forms)
    exact = _either(forms, list(forms.values()))
    stems: dict[str, str] = {}
    if language in _SLAVIC:
        for form, number in forms.items():
            if form not in short and len(stem := _FINAL.sub("", form)) >= 3:
                stems[stem] = number
    elif language in _AGGLUTINATING | _GERMANIC:
        stems = {
            _FINAL.sub("", f) if language in _AGGLUTINATING else f: n
            for f, n in forms.items()
            if f not in short
        }
        stems = {stem: number for stem, number in stems.items() if len(stem) >= 4}
    number_of |= {stem: number for stem, number in stems.items() if stem not in forms}
    if language in _JOINED_WITH:
        return re.compile(f"({exact})"), _without_spaces(number_of), short
    head, tail = rf"(?<![{_LETTER}])", rf"(?![{_LETTER}])"
    if language in ("ar", "fa", "ur", "ps"):
        head += "[وفبلك]?(?:ال)?"
    elif language == "he":
        head += "[ובלכמהש]{0,3}"
    elif language == "bn":
        tail = ""
    ending = _CASE if language in _SLAVIC else rf"'?[{_LETTER}]{{0,8}}" if stems else "(?:'?s)?"
    inflected = f"|{head}({_either(stems, list(stems.values()))}){ending}{tail}" if stems else ""
    plural = "(?:'?s)?" if not stems else ""
    pattern = re.compile(f"{head}({exact}){plural}{tail}{inflected}")
    return pattern, _without_spaces(number_of), short


def _without_spaces(number_of: dict[str, str]) -> dict[str, str]:
    return {form.replace(" ", ""): number for form, number in number_of.items()}


def _either(forms: dict[str, str], numbers: list[str]) -> str:
    # "سه شنبه" is also written in one word; the last half alone would be another day.
    return "|".join(
        re.escape(form).replace("\\ ", " ?") if " " in form else _loosen(form)
        for form in sorted(forms, key=len, reverse=True)
    )


def _loosen(form: str) -> str:
    """Allow a space in front of the Persian word that ends most weekdays."""
    last = "شنبه"
    head = form.removesuffix(last)
    return f"{re.escape(head)} ?{last}" if head and head != form else re.escape(form)


def _find_chinese_days(text: str) -> list[CalendarWord]:
    found = []
    for match in _CHINESE_DAYS.finditer(text):
        found.append(CalendarWord(_CHINESE_DAY[match[1]], match.start(), match.end(1), True))
        for place in range(match.start(2), match.end(2)):
            if text[place] in _CHINESE_DAY:
                found.append(CalendarWord(_CHINESE_DAY[text[place]], place, place + 1, True))
    return found
