"""What a text states that can be looked up: quotes, numbers, times, dates, names, in comparable form.

Knows the digits, number words, months and quotation marks of many scripts. Knows no meaning: where a form
has several readings it keeps all of them, because a false alarm costs more trust than a missed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.folding import normalised, unaccented
from qwen_agentkit.text.numerals import (
    Numeral,
    eastern_numerals,
    number_words,
    plain_value,
    reads_words,
    without_weekdays,
)

__all__ = [
    "Figure",
    "codes",
    "figures",
    "names",
    "normalised",
    "quotations",
    "reads_words",
    "stated_values",
    "unaccented",
]


class Figure(NamedTuple):
    """A number, time or part of a date, as it is written, and every value that it may mean.

    Values are "1230", "7.5", "-5", "19:30", "m10" (a month) and two that only times of day have: "h7" is a
    bare 7, which may be the hour before noon or after it, and "w7" the hour in words, where the half is a
    word that nobody here reads ("السابعة والنصف", "七点半").
    """

    text: str
    values: frozenset[str]
    spelled: bool = False
    """In words, not in digits."""


# A mark behind a digit begins nothing: it is the inch of 27".
_QUOTED = re.compile(
    r"“([^”“]+)”|(?<!\d)”([^”“]+)”|„([^“”„]+)[“”]|«([^»«]+)»|»([^»«]+)«|「([^」「]+)」|『([^』『]+)』"
    r'|(?<!\d)"([^"]+)"'
)
_OMISSION = re.compile(r"\s*[\[(]?(?:…|\.\.\.)[\])]?\s*")


def quotations(text: str) -> list[list[str]]:
    """What stands between quotation marks, each as the parts between its omissions ("a ... b")."""
    found = []
    for match in _QUOTED.finditer(text):
        parts = [part.strip(" .,;:!?。，、؛،؟।") for part in _OMISSION.split(match[match.lastindex or 0])]
        if parts := [part for part in parts if any(char.isalnum() for char in part)]:
            found.append(parts)
    return found


_MONTHS = {
    "en": (
        "january|jan february|feb march april|apr may june|jun july|jul august|aug september|sept|sep "
        "october|oct november|nov december|dec"
    ),
    "de": "januar|jänner februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre"
    ),
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "ru": (
        "январь|января|январе февраль|февраля|феврале март|марта|марте апрель|апреля|апреле май|мая|мае "
        "июнь|июня|июне июль|июля|июле август|августа|августе сентябрь|сентября|сентябре "
        "октябрь|октября|октябре ноябрь|ноября|ноябре декабрь|декабря|декабре"
    ),
    "ar": (
        "يناير فبراير|شباط مارس|اذار ابريل|نيسان مايو|ايار يونيو|حزيران يوليو|تموز اغسطس سبتمبر|ايلول "
        "اكتوبر نوفمبر ديسمبر"
    ),
    "hi": ("जनवरी फरवरी|फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर|सितम्बर अक्टूबर|अक्तूबर नवंबर|नवम्बर दिसंबर|दिसम्बर"),
    "th": "มกราคม กุมภาพันธ์ มีนาคม เมษายน พฤษภาคม มิถุนายน กรกฎาคม สิงหาคม กันยายน ตุลาคม พฤศจิกายน ธันวาคม",
}
# Months that are common words too: they count only beside a number.
_AMBIGUOUS = frozenset(["may", "march", "mars", "mai", "mei", "mayo", "marzo", "dec", "jan", "jun", "sep"])
_SCALES = {
    1_000: (
        "thousand tausend mille mil duizend тыс тысяч тысячи الف الاف हज़ार हजार พัน bin ribu nghìn ngàn هزار"
    ),
    10_000: "หมื่น",
    100_000: "lakh লাখ لاکھ लाख แสน",
    1_000_000: (
        "million millions mio millionen millones millón milhões milhão milioni milione miljoen milyon juta "
        "triệu млн миллион миллиона миллионов мільйон мільйона мільйонів مليون ملايين ميليون ล้าน"
    ),
    10_000_000: "crore करोड़",
    1_000_000_000: (
        "billion billions bilhões mrd milliarden milliards miliardi milyar miliar tỷ миллиард миллиарда "
        "миллиардов млрд مليار"
    ),
}
_SCALE_OF = {normalised(word): scale for scale, words in _SCALES.items() for word in words.split()}
_SCALE = re.compile(rf" ?({'|'.join(sorted(map(re.escape, _SCALE_OF), key=len, reverse=True))})(?![a-zа-я])")

# Bounded: nobody writes longer numbers, and a text of digits must not take for ever.
_CHAIN = re.compile(r"(?<![a-z\d])\d{1,40}(?:[.,:/'-]\d{1,40}| \d{3}(?!\d)){0,20}")
# 19h30, 19点30分, 19時30分, 19시 30분
_CLOCK = re.compile(r"(?<!\d)(\d{1,2}) ?(?:h|点|點|時|时|시) ?(\d{2})(?!\d)")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?")
_DOTTED_TIME = re.compile(r"(\d{1,2})\.([0-5]\d)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})")
# "3.10. um 9 Uhr": a full stop that ends no sentence, since sentences come one by one.
_DAY_MONTH = re.compile(r"(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])")
_GOES_ON = re.compile(r"\. ?\w")
_GROUPED = re.compile(r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
_DECIMAL = re.compile(r"(\d{1,3}(?:[.,' ]\d{3})*|\d+)[.,](\d+)")
_NOON = re.compile(
    r"(?: ?(?:o'clock|uhr|[点點時时시]))? ?"
    r"(?:([ap])\.?m\b|(?P<am>صباحا|فجرا|ص(?!\w))|(?P<pm>مساء|ليلا|عصرا|ظهرا|بعد الظهر|م(?!\w)))"
)
_NOON_BEFORE = re.compile("(?:(?P<am>上午|早上|午前|오전)|(?P<pm>下午|晚上|傍晚|午後|오후)) ?$")
_MONTH_SIGN = re.compile(r" ?[月월]")
_MINUS = re.compile(
    r"(?<![\w.-])(?:minus|минус|мінус|eksi) ?(?=\d)|(?:负|負|零下|氷点下|マイナス|영하 ?)(?=\d)"
)
# Other ways to say that a number is less than zero, which may stand anywhere.
_BELOW = re.compile(
    r"\b(?:below (?:zero|freezing)|unter null|moins|sous zéro|menos|bajo cero|abaixo de zero|meno|sotto zero"
    r"|ниже нуля)\b|تحت الصفر|ناقص|سالب"
)
_SIGN = re.compile(r"(?:^|[ (\"\u2e80-\u9fff])-$")


def figures(text: str, language: str) -> list[Figure]:
    """The numbers, times and dates that `text` states for sure, in order of their kind.

    Args:
        text: a sentence without citation markers.
        language: of the text; says which words are numbers and months.
    """
    text = _prepared(_CODE.sub(" ", text))
    eastern = list(eastern_numerals(text))
    digits = _blanked(text, [one for one in eastern if one.text[0].isdecimal()])
    found = [figure for match in _CHAIN.finditer(digits) for figure in _chain(digits, match)]
    if _BELOW.search(text):
        found = [figure._replace(values=figure.values | _negative(figure.values)) for figure in found]
    found += [
        Figure(one.text, _claimed(text, one), spelled=not one.text[0].isdecimal())
        for one in [*eastern, *number_words(text, language)]
        if one.sure
    ]
    for month, match in _months(text, language):
        near = text[max(0, match.start() - 6) : match.end() + 6]
        if match[1] not in _AMBIGUOUS or any(char.isdigit() for char in near):
            found.append(Figure(match[0], frozenset({f"m{month}"})))
    return found


def stated_values(text: str, language: str) -> set[str]:
    """Every value that `text` may be taken to state: what the figures of a claim are looked up in."""
    values = {value for figure in figures(text, language) for value in figure.values if value[0] not in "wh"}
    text = _prepared(text)
    for match in _CHAIN.finditer(text):
        values |= _chain_states(text, match)
    for one in [*eastern_numerals(text), *number_words(text, language)]:
        values |= _numeral_states(text, one)
    if _BELOW.search(text):
        values |= _negative(values)
    return values | {f"m{month}" for month, _ in _months(text, language)}


def _prepared(text: str) -> str:
    """A text in the form in which its numbers are looked for."""
    return _MINUS.sub(" -", _CLOCK.sub(r"\1:\2", without_weekdays(normalised(text))))


def _blanked(text: str, numerals: list[Numeral]) -> str:
    pieces, end = [], 0
    for one in numerals:
        pieces += [text[end : one.start], " " * len(one.text)]
        end = one.end
    return "".join([*pieces, text[end:]])


def _negative(values: set[str] | frozenset[str]) -> set[str]:
    return {f"-{value}" for value in values if value[0].isdecimal()}


def _chain(text: str, match: re.Match[str]) -> Iterator[Figure]:
    """The figures that one run of digits and separators states."""
    chain = match[0]
    noon = _noon_around(text, match.start(), match.end())
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, _time_values(time[1], time[2], noon))
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and _GOES_ON.match(text, match.end())):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({_plain(part), f"m{int(part)}"}))
    elif re.search("[:/-]", chain):
        for part in re.split("[/-]", chain):
            yield from _range_part(part)
    elif scale := _SCALE.match(text, match.end()):
        factor = _SCALE_OF[scale[1]]
        scaled = {plain_value(Decimal(value) * factor) for value in _number_values(chain)}
        yield Figure(chain + scale[0], frozenset(scaled))
    elif noon and chain.isdecimal() and int(chain) <= 12:
        yield Figure(chain, _time_values(chain, "00", noon))
    elif noon and (dotted := _DOTTED_TIME.fullmatch(chain)):
        yield Figure(chain, _time_values(dotted[1], dotted[2], noon))
    elif _is_negative(text, match.start()):
        yield Figure(f"-{chain}", frozenset(_negative(_number_values(chain))))
    else:
        values = _number_values(chain)
        if dotted := _DOTTED_TIME.fullmatch(chain):
            values |= _time_values(dotted[1], dotted[2], None)
        if chain.isdecimal() and _MONTH_SIGN.match(text, match.end()):
            values.add(f"m{int(chain)}")
        yield Figure(chain, frozenset(values))


def _range_part(part: str) -> Iterator[Figure]:
    """One end of a range: a time, or whatever numbers stand there."""
    if time := _TIME.fullmatch(part):
        yield Figure(part, _time_values(time[1], time[2], None))
        return
    for number in part.split(":"):
        yield Figure(number, frozenset(_number_values(number)))


def _chain_states(text: str, match: re.Match[str]) -> set[str]:
    """What a run of digits may mean beside what it means for sure."""
    chain = match[0]
    if _is_negative(text, match.start()):
        return set()
    parts = re.findall(r"\d+", chain)
    values = {_plain(part) for part in parts}
    if _DECIMAL.fullmatch(chain):
        values |= _number_values(chain)
    if time := _TIME.fullmatch(chain):
        values.add(str(int(time[1]) % 12 or 12))
    elif len(parts) > 1 or not _noon_around(text, match.start(), match.end()):
        values |= {f"h{int(part)}" for part in parts if len(part) <= 2 and int(part) <= 12}
    return values


def _is_negative(text: str, start: int) -> bool:
    """Whether the number at `start` has a sign, and no range or hyphen, before it."""
    before = text[max(0, start - 3) : start]
    return bool(_SIGN.search(before)) and not before[0].isdecimal()


def _claimed(text: str, one: Numeral) -> frozenset[str]:
    """What a number in words or signs states: a month, an hour before or after noon, else itself."""
    (value, *others) = one.values
    if not others and value.isdecimal() and int(value) <= 12:
        if noon := _noon_around(text, one.start, one.end):
            return _time_values(value, "00", noon)
        if _MONTH_SIGN.match(text, one.end):
            return frozenset({f"m{value}"})
    return one.values


def _numeral_states(text: str, one: Numeral) -> set[str]:
    """All that a number in words or signs may mean."""
    values = set(one.values | one.parts)
    noon = _noon_around(text, one.start, one.end)
    for value in [value for value in values if value.isdecimal() and int(value) <= 12]:
        if noon:
            # The half hour may be a word between the two, or behind them.
            values |= {hour for minute in ("00", "30") for hour in _time_values(value, minute, noon)}
        else:
            values |= {f"w{value}", f"m{value}"} if _MONTH_SIGN.match(text, one.end) else {f"w{value}"}
    return {value for value in values if not (noon and value[0] in "wh")}


def _noon_around(text: str, start: int, end: int) -> str | None:
    """Say "a" or "p" of a time at this place of a text, None where nothing says which."""
    if not (match := _NOON.match(text, end) or _NOON_BEFORE.search(text[max(0, start - 4) : start])):
        return None
    return "a" if match["am"] else "p" if match["pm"] else match[1]


def _time_values(hour: str, minute: str, noon: str | None) -> frozenset[str]:
    """A time of day; without "am" or "pm" an hour up to twelve may be either."""
    number = int(hour)
    half = noon if number <= 12 else None
    if half:
        hours = {number % 12 + (12 if half == "p" else 0)}
    else:
        hours = {number} if number > 12 or hour.startswith("0") else {number, (number + 12) % 24}
    values = {f"{one}:{minute}" for one in hours}
    if minute in ("00", "30"):
        values.add(f"w{number % 12 or 12}")
    if minute == "00":
        # Of an hour before or after noon, the bare number says half only.
        values |= {str(one) for one in hours if one > 12 or not half}
        values |= {f"h{number}"} if half else set()
    return frozenset(values)


def _number_values(text: str) -> set[str]:
    """A number whose separators may group or may begin the decimals: 1,230 is 1230 or 1.23."""
    values = set()
    if _GROUPED.fullmatch(text):
        values.add(_plain(re.sub(r"\D", "", text)))
    if decimal := _DECIMAL.fullmatch(text):
        values.add(plain_value(Decimal(f"{re.sub(r'[^0-9]', '', decimal[1])}.{decimal[2]}")))
    return values or {_plain(part) for part in re.findall(r"\d+", text)}


def _plain(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _months(text: str, language: str) -> Iterator[tuple[int, re.Match[str]]]:
    """The months of a normalised text by their names, with their numbers."""
    code = language.split("-")[0]
    if code in _MONTHS:
        pattern, number_of = _month_names(code)
        for match in pattern.finditer(text):
            yield number_of[match[1]], match


@lru_cache(maxsize=len(_MONTHS))
def _month_names(code: str) -> tuple[re.Pattern[str], dict[str, int]]:
    number_of = {
        normalised(form): number
        for number, forms in enumerate(_MONTHS[code].split(), 1)
        for form in forms.split("|")
    }
    either = "|".join(sorted(map(re.escape, number_of), key=len, reverse=True))
    return re.compile(_AROUND.get(code, _WORD).format(either)), number_of


_WORD = r"(?<![\w\u0900-\u0963])({})(?![\w\u0900-\u0963])"
_AROUND = {"ar": r"(?<!\w)[وفبلك]?(?:ال)?({})(?!\w)", "th": "({})"}  # joined to their neighbours

_CODE = re.compile(
    r"https?://[^\s<>()\[\]{}]+|www\.[^\s<>()\[\]{}]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,99}\w|(?<![A-Za-z\d])[A-Za-z]+[-_]?\d[A-Za-z\d_-]*"
)
_TITLE = re.compile("《([^》《]+)》")
_CAPITALISED = re.compile(r"(?<![\w@./'’-])[^\W\d_][\w'’]+(?:-[^\W\d_][\w'’]*)*")
_POSSESSIVE = re.compile(r"['’]s?$")
# These languages write capitals where no name is, or have none.
_CAPITALS_SAY_NOTHING = frozenset({"de", "lb"})


def codes(text: str) -> list[str]:
    """Addresses and words with digits (QX-200, a@b.org), which are the same in every language."""
    return [match[0].rstrip(".,;:!?-") for match in _CODE.finditer(text)]


def names(text: str, language: str) -> list[str]:
    """Words of a sentence that are names by their capitals, and titles in Chinese title marks.

    The first word of a sentence or of a quotation is capitalised anyway, and so is every noun in German
    and every word of a heading: these are no names here.
    """
    found = [match[1] for match in _TITLE.finditer(text)]
    words = list(_CAPITALISED.finditer(_CODE.sub(lambda match: " " * len(match[0]), text)))
    long = [word for word in words if len(word[0]) > 3]
    if sum(word[0][0].isupper() for word in long) * 2 > len(long) > 3:
        return found
    months = {form for forms in _MONTHS.get(language, "").split() for form in forms.split("|")}
    first = next((place for place, char in enumerate(text) if char.isalnum()), len(text))
    for word in words:
        name = _POSSESSIVE.sub("", word[0])
        acronym = len(name) > 1 and name.isupper()
        capital = name[0].isupper() and len(name) > 2 and language not in _CAPITALS_SAY_NOTHING
        begins = word.start() <= first or _ends_clause(text[max(0, word.start() - 20) : word.start()])
        if (acronym or (capital and not begins)) and name.casefold() not in months:
            found.append(name)
    return found


def _ends_clause(before: str) -> bool:
    """Whether a word after `before` begins a sentence, clause or quotation."""
    return (before.rstrip() or ":")[-1] in ".!?:;…—–-(\"'“„«‘¿¡*_"
