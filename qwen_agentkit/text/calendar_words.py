"""The weekdays and months of a normalized text. Their names are CLDR's; only their endings are known here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.text.cldr import Forms, day_forms, month_forms
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.ranges import is_range

__all__ = ["CalendarWord", "calendar_names", "find_days", "find_months", "unnamed_days", "unnamed_months"]


class CalendarWord(NamedTuple):
    """A weekday ("0" is Monday) or a month ("1" to "12") and its place in the text."""

    number: str
    start: int
    end: int
    sure: bool
    """Whether the word can hardly mean anything else."""


# Names that are everyday words too. They count only beside a number or another name of their kind.
_AMBIGUOUS_MONTHS = frozenset(("may", "march", "mars", "mai", "mei", "mayo", "marzo", "mart", "mai", "maj"))
# No verb and no planet stands behind these: "in March", "im Mai", "en mars".
_BEFORE_MONTH = re.compile(
    r"(?<!\w)(?:in|since|until|during|im|seit|en|depuis|desde|hasta|sinds|i|sedan|siden) $"
)
_AMBIGUOUS_DAYS = frozenset({
    "pazar", "minggu", "ahad", "linggo", "پير", "منگل", "هفته", "ہفتہ", "อาทิตย์", "จันทร์", "อังคาร", "ням",
    "शनि", "சனி", "வெள்ளி", "திங்கள்", "ஞாயிறு", "புதன்", "செவ்வாய்", "sun", "sat", "wed", "mon",
    "mar", "mer",
})  # fmt: skip
# What may be left out of a name: วันศุกร์, 金曜日, segunda-feira, يوم, יום.
_LEFT_OUT = re.compile("^(?:วัน|יום )|(?:曜日|日|-feira)$")
# "Tầng thứ ba" is the third floor, and not Tuesday; nor is "τρίτος", where days are feminine.
_COUNTED = {
    "vi": re.compile(
        r"(?<!\w)(?:tầng|lần|chương|hạng|phần|người|trang|bước|trí|đoạn|kỷ|lớp|dòng|cột|quý|bài|tập"
        r"|con|cái|chiếc"
        r"|cuốn|số|tòa|tuần|tháng|năm|cuộc|vòng|kỳ|đợt|loại|điều|khoản|mục|câu|viên) \S+ \S+$"
    ),
    "el": re.compile("ο[νςυι]?$|ους$"),
}
_FURTHER_DAYS = {
    "de": {"sonnabend": "5"},
    "is": {
        f"{name}{ending}": str(n)
        for n, name in enumerate(("mánu", "þriðju", "miðviku", "fimmtu", "föstu", "laugar", "sunnu"))
        for ending in ("dögum", "degi", "daga")
    },
    "tl": {"miyerkoles": "2", "huwebes": "3", "biyernes": "4"},
    "ta": {
        f"{name}கிழமை": str(n)
        for n, name in enumerate(("திங்கட்", "செவ்வாய்க்", "புதன்", "வியாழக்", "வெள்ளிக்", "சனிக்", "ஞாயிற்றுக்"))
    },
    "ja": {f"{sign}曜": str(n) for n, sign in enumerate("月火水木金土日")},
}
_FURTHER_DAYS["pt"] = {
    f"{name}s-feiras": str(n) for n, name in enumerate(("segunda", "terça", "quarta", "quinta", "sexta"))
}
_FURTHER_MONTHS = {
    "en": {"sept": "9"},
    "de": {"jänner": "1", "feber": "2"},
    "es": {"setiembre": "9"},
    "ru": {"мая": "5", "мае": "5", "маю": "5", "маем": "5"},
    "hi": {"सितम्बर": "9", "अक्तूबर": "10", "नवम्बर": "11", "दिसम्बर": "12"},
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
_LETTER = "\\w\u0900-\u0963\u0981-\u0dff"
_INFLECTING = frozenset({
    "be", "bg", "bs", "cs", "el", "hr", "kk", "lt", "lv", "mk", "pl", "ru", "sk", "sl", "sr", "uk",
})  # fmt: skip
_AGGLUTINATING = frozenset({
    "et", "eu", "fi", "gu", "hu", "hy", "is", "ka", "kn", "ml", "mn", "mr", "ne", "ro", "sq", "ta",
    "te", "tr",
})  # fmt: skip
_GERMANIC = frozenset({"af", "da", "de", "lb", "nl", "no", "sv"})
_JOINED_WITH = frozenset({"bo", "ja", "km", "ko", "lo", "my", "th", "zh", "zh-hant"})
"""Languages whose words stand together with their neighbors."""
_CASE = (
    "(?:[аеиіоуыэюяёьйїє]{0,2}(?:м|х|ми|й|в)?|z?[aeiouyąęěáéíóúůýūėįāēīļ]{0,3}(?:m|ch|mi|s|j|ů)?"
    "|[αεηιουωάέήίόύώ]{0,2}[νς]?)"
)
_FINAL = re.compile("[aeiouyáéíóúýěąęāēīūаеиоуыэюяёьйїєαηοιω]$|ος$|ης$|as$|is$|us$|ი$")
_FLEETING = re.compile("[eoaеоіа](?=[kcкцn]$)")  # piątek, w piątku

_EVERY_DAY = re.compile(
    "every ?day|daily|each day|all week|any day|seven days|7 days|24/7|täglich|jeden tag|tous les jours"
    "|chaque jour|quotidien|todos los días|cada día|diari[oa]|todos os dias|diariamente|tutti i giorni"
    "|ogni giorno|dagelijks|elke dag|dagligen|varje dag|hver dag|daglig|ежедневн|каждый день|щодня|кожен день"
    "|codziennie|denně|každý den|naponta|minden nap|joka päivä|her gün|zilnic|în fiecare zi"
    "|كل يوم|يوميا"
    "|طوال الاسبوع|كل الايام|هر روز|روزانه|همه روزه|כל יום|हर दिन|रोज|प्रतिदिन|প্রতিদিন|ہر روز"
    "|每天|每日|天天|全年|毎日|年中無休"
    "|매일|연중무휴|ทุกวัน|mỗi ngày|hàng ngày|hằng ngày|setiap hari|kila siku"
)
_ALL_YEAR = re.compile(
    "all year|year-round|every month|ganzjährig|das ganze jahr|toute l'année|todo el año|o ano todo"
    "|tutto l'anno|hele? (?:jaar|året|år)|круглый год|цілий рік|cały rok|celoročně"
    "|طوال العام|طوال السنه|طوال السنة|全年|一年四季|年中|통년|연중|ตลอดปี|quanh năm|sepanjang tahun|साल भर"
)
_WEEKDAYS = re.compile(
    "weekdays?|work(?:ing )?days?|business days?|wochentag|werktag|jours ouvrables|en semaine|laborable"
    "|dias? út|feriali|werkdag|doordeweeks|vardag|hverdag|будн|рабочи[ех] дн|робочі дн|dni robocz|hafta ?içi"
    "|ايام العمل|ايام الاسبوع|روزهاي هفته|工作日|平日|평일|วันธรรมดา|วันทำการ|ngày thường|hari kerja"
)
_WEEKEND = re.compile(
    "week-?ends?|wochenende|fines? de semana|fim de semana|fins de semana|fine settimana"
    "|helg|выходн|вихідн"
    "|víkend|hafta ?sonu|نهاي[هة] الاسبوع|اخر هفته|סוף השבוע|周末|週末|주말|สุดสัปดาห์|cuối tuần|akhir pekan"
    "|सप्ताहांत"
)


def unnamed_days(text: str) -> set[int]:
    """Return the weekdays that a normalized text states without their names, such as those of "daily".

    The weekend is Saturday and Sunday, and may be Friday.
    """
    days = set(range(7)) if _EVERY_DAY.search(text) else set()
    days |= {0, 1, 2, 3, 4, 6} if _WEEKDAYS.search(text) else set()
    return days | ({4, 5, 6} if _WEEKEND.search(text) else set())


def find_days(text: str, language: str) -> list[CalendarWord]:
    """Return the weekdays of a normalized text, those between the ends of a range included."""
    code = language.split("-")[0]
    counted = _COUNTED.get(code, re.compile("(?!)"))
    names = () if code == "zh" else _find(text, _compile_days(language), _AMBIGUOUS_DAYS)
    found = [
        CalendarWord(number, match.start(), match.end(), sure)
        for match, number, sure in names
        # "So" is Sunday in German only beside another day or a number.
        if (sure or len(match[0]) > 2 or match[0] >= "\u0370")
        and not counted.search(text[max(0, match.start() - 12) : match.end()])
    ]
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
    for one, other in pairwise(found):
        if is_range(text[one.end : other.start]) or _are_range_ends(text, one, other, code):
            first, last = int(one.number), int(other.number)
            days = range(first + 1, first + 1 + (last - first - 1) % 7)
            between += [CalendarWord(str(day % 7), one.start, other.end, False) for day in days]
    return found + between


def _are_range_ends(text: str, one: CalendarWord, other: CalendarWord, code: str) -> bool:
    """Tell whether the endings of two names say from and to: "maanantaista perjantaihin"."""
    if code not in _RANGE_ENDINGS or text[one.end : other.start].strip(" -"):
        return False
    first, last = _RANGE_ENDINGS[code]
    return bool(first.search(text[one.start : one.end]) and last.search(text[other.start : other.end]))


def find_months(text: str, language: str) -> list[CalendarWord]:
    """Return the months that a normalized text names."""
    names = list(_find(text, _compile_months(language), _AMBIGUOUS_MONTHS))
    found = []
    for match, number, sure in names:
        told = match[0] in _AMBIGUOUS_MONTHS and _BEFORE_MONTH.search(text[: match.start()][-10:])
        found.append(CalendarWord(number, match.start(), match.end(), sure or bool(told)))
    return found


def unnamed_months(text: str, language: str) -> set[int]:
    """Return the months of a normalized text that it does not name: those of a range or of the whole year."""
    months = set(range(1, 13)) if _ALL_YEAR.search(text) else set()
    for one, other in pairwise(find_months(text, language)):
        if is_range(text[one.end : other.start]):
            first, last = int(one.number), int(other.number)
            months |= {(first + step) % 12 + 1 for step in range((last - first - 1) % 12)}
    return months


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
            if len(form) > 1:
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
    own = {normalize_text(form) for form in _FURTHER_DAYS.get(language, {})}
    short = (
        set() if language in ("ja", "zh", "zh-hant") else {f for f in forms if f not in wide and f not in own}
    )
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
    if language in _INFLECTING:
        for form, number in forms.items():
            if form not in short and len(stem := _FINAL.sub("", form)) >= 3:
                stems[stem] = stems[_FLEETING.sub("", stem)] = number
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
        tail = "(?:ها(?:ي)?)?" + tail if language == "fa" else tail
    elif language == "he":
        head += "[ובלכמהש]{0,3}"
    elif language == "bn":
        tail = ""
    elif language == "uk":
        head += "(?:що)?"
    ending = _CASE if language in _INFLECTING else rf"'?[{_LETTER}]{{0,8}}" if stems else "(?:'?s)?"
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
        for further in _CHINESE_NEXT.finditer(text, match.start(2), match.end(2)):
            found.append(CalendarWord(_CHINESE_DAY[further[1]], further.start(), further.end(), True))
    return found
