"""What a text states that can be looked up: quotes, numbers, times, dates, names, in comparable form.

Knows the digits, number words, months and quotation marks of many scripts. Knows no meaning: where a form
has several readings it keeps all of them, because a false alarm costs more trust than a missed one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

__all__ = ["Figure", "codes", "figures", "names", "normalised", "quotations", "stated_values", "unaccented"]


class Figure(NamedTuple):
    """A number, time or part of a date, as it is written, and every value that it may mean.

    Values are "1230", "7.5", "19:30", "m10" (a month) and "w7": the hour in words, where
    the half is a word that nobody here reads ("السابعة والنصف", "七点半").
    """

    text: str
    values: frozenset[str]
    spelled: bool = False
    """In words, not in digits."""


_FOLDED = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»‹›「」『』〝〞‶″", '"'),
        **dict.fromkeys("‘’‚‛′`´ʼ", "'"),
        **dict.fromkeys("‐‑‒–—―−﹣", "-"),
        **dict.fromkeys("أإآٱ", "ا"),
        **{"ی": "ي", "ى": "ي", "ک": "ك", "،": ",", "؛": ";", "؟": "?", "№": "No ", "٫": ".", "٬": ","},
        "\u0640": None,  # tatweel stretches a word and means nothing
    }
)
# Vowel points of Arabic and Hebrew, which most writers leave out.
_POINTS = re.compile("[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]")
_WIDE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NO_SPACE = re.compile(rf"(?<=[{_WIDE}]) | (?=[{_WIDE}])")


def normalised(text: str) -> str:
    """Fold what differs between two writings of the same words.

    Case, white space, quotation marks, dashes, compatibility forms (NFKC), digits of every script,
    invisible and direction marks, Arabic and Hebrew points, and spaces beside scripts that have none.
    """
    text = unicodedata.normalize("NFKC", text.translate(_FOLDED)).translate(_FOLDED)
    text = _POINTS.sub("", text)
    return _NO_SPACE.sub("", " ".join(text.translate(_PLAIN).casefold().split()))


class _Plain(dict[int, str | None]):
    """What `str.translate` makes of a character: ASCII digits of digits, nothing of invisible marks."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        hidden = unicodedata.category(char) == "Cf"
        self[code] = None if hidden else str(unicodedata.decimal(char)) if char.isdecimal() else char
        return self[code]


_PLAIN = _Plain()  # remembers each character it has seen


_QUOTED = re.compile(
    r'“([^”“]+)”|”([^”“]+)”|„([^“”„]+)[“”]|«([^»«]+)»|»([^»«]+)«|「([^」]+)」|『([^』]+)』|"([^"]+)"'
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


# Two to twelve. Forms of one number are joined by "|".
_NUMBER_WORDS = {
    "en": "two three four five six seven eight nine ten eleven twelve",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "fr": "deux trois quatre cinq six sept huit neuf dix onze douze",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "pt": "dois|duas três quatro cinco seis sete oito nove dez onze doze",
    "it": "due tre quattro cinque sei sette otto nove dieci undici dodici",
    "nl": "twee drie vier vijf zes zeven acht negen tien elf twaalf",
    "ru": (
        "два|две|двух три|трёх|трех четыре|четырёх|четырех пять|пяти шесть|шести семь|семи восемь|восьми "
        "девять|девяти десять|десяти одиннадцать|одиннадцати двенадцать|двенадцати"
    ),
    "ar": (
        "اثنان|اثنين|اثنتان|اثنتين|الثانية ثلاثة|ثلاث|الثالثة اربعة|اربع|الرابعة خمسة|خمس|الخامسة "
        "ستة|ست|السادسة سبعة|سبع|السابعة ثمانية|ثماني|ثمان|الثامنة تسعة|تسع|التاسعة عشرة|عشر|العاشرة"
    ),
    "hi": "दो तीन चार पाँच|पांच छह|छः सात आठ नौ दस ग्यारह बारह",
}
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
    1_000: "thousand tausend mille mil duizend тыс тысяч тысячи الف الاف हज़ार हजार 千 พัน",
    10_000: "万 萬 만 หมื่น",
    100_000: "lakh लाख แสน",
    1_000_000: (
        "million millions mio millionen millones milhões milioni miljoen млн миллион миллиона миллионов "
        "مليون ล้าน"
    ),
    10_000_000: "crore करोड़",
    100_000_000: "亿 億 억",
    1_000_000_000: "billion billions mrd milliarden milliards миллиард миллиарда миллиардов млрд مليار",
}  # fmt: skip
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
_GROUPED = re.compile(r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
_DECIMAL = re.compile(r"(\d{1,3}(?:[.,' ]\d{3})*|\d+)[.,](\d+)")
_NOON = re.compile(
    r" ?(?:([ap])\.?m\b|(?P<am>صباحا|فجرا|ص(?!\w))|(?P<pm>مساء|ليلا|عصرا|ظهرا|بعد الظهر|م(?!\w)))"
)
_NOON_BEFORE = re.compile("(?:(?P<am>上午|早上|午前|오전)|(?P<pm>下午|晚上|傍晚|午後|오후)) ?$")
_MONTH_SIGN = re.compile(r" ?[月월]")
_HAN_DIGITS = {
    char: i for i, chars in enumerate(("〇零", "一", "二两兩", *"三四五六七八九")) for char in chars
}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000, "萬": 10_000, "亿": 10**8, "億": 10**8}
_HAN = re.compile(f"[{''.join(_HAN_DIGITS)}{''.join(_HAN_UNITS)}]+")
# Shorter ones and those that begin otherwise are mostly parts of words: 一般, 千万, 十分.
_HAN_SURE = re.compile(f"[{''.join(_HAN_DIGITS)}十][{''.join(_HAN_DIGITS)}十百千万萬亿億]+")


def figures(text: str, language: str) -> list[Figure]:
    """The numbers, times and dates that `text` states for sure, in order of their kind.

    Args:
        text: a sentence without citation markers.
        language: of the text; says which words are numbers and months.
    """
    text = _CLOCK.sub(r"\1:\2", normalised(_CODE.sub(" ", text)))
    found = [figure for match in _CHAIN.finditer(text) for figure in _chain(text, match)]
    found += [Figure(m[0], frozenset({_han_value(m[0])}), spelled=True) for m in _HAN_SURE.finditer(text)]
    for value, match in _words(text, _NUMBER_WORDS, language, first=2):
        found.append(Figure(match[0], frozenset({str(value)}), spelled=True))
    for month, match in _words(text, _MONTHS, language, first=1):
        near = text[max(0, match.start() - 6) : match.end() + 6]
        if match[1] not in _AMBIGUOUS or any(char.isdigit() for char in near):
            found.append(Figure(match[0], frozenset({f"m{month}"})))
    return found


def stated_values(text: str, language: str) -> set[str]:
    """Every value that `text` may be taken to state: what the figures of a claim are looked up in."""
    stated = figures(text, language)
    values = {value for figure in stated for value in figure.values if value[0] != "w"}
    values |= {f"w{value}" for figure in stated if figure.spelled for value in figure.values}
    folded = normalised(text)
    for match in _CHAIN.finditer(_CLOCK.sub(r"\1:\2", folded)):
        values |= {_plain(part) for part in re.findall(r"\d+", match[0])}
        if _DECIMAL.fullmatch(match[0]):
            values |= _number_values(match[0])
        if time := _TIME.fullmatch(match[0]):
            values.add(str(int(time[1]) % 12 or 12))
    for match in _HAN.finditer(folded):
        values |= {_han_value(match[0]), f"w{_han_value(match[0])}"}
    values |= {f"m{month}" for month, _ in _words(folded, _MONTHS, language, first=1)}
    return values


def _chain(text: str, match: re.Match[str]) -> Iterator[Figure]:
    """The figures that one run of digits and separators states."""
    chain, rest = match[0], text[match.end() :]
    noon = _half_of_day(text[max(0, match.start() - 4) : match.start()], rest)
    if time := _TIME.fullmatch(chain):
        yield Figure(chain, _time_values(time[1], time[2], noon))
    elif _DATE.fullmatch(chain) or (_DAY_MONTH.fullmatch(chain) and re.match(r"\. ?\w", rest)):
        for part in re.findall(r"\d+", chain):
            yield Figure(part, frozenset({_plain(part), f"m{int(part)}"}))
    elif re.search("[:/-]", chain):
        for part in re.split("[:/-]", chain):
            yield Figure(part, frozenset(_number_values(part)))
    elif scale := _SCALE.match(rest):
        factor = _SCALE_OF[scale[1]]
        scaled = {_canonical(Decimal(value) * factor) for value in _number_values(chain) if ":" not in value}
        yield Figure(chain + scale[0], frozenset(scaled))
    else:
        values = _number_values(chain)
        if noon and chain.isdecimal() and int(chain) <= 12:
            values |= _time_values(chain, "00", noon)
        if dotted := _DOTTED_TIME.fullmatch(chain):
            values |= _time_values(dotted[1], dotted[2], noon)
        if _MONTH_SIGN.match(rest):
            values.add(f"m{int(chain)}" if chain.isdecimal() else "")
        yield Figure(chain, frozenset(values))


def _half_of_day(before: str, after: str) -> str | None:
    """Say "a" or "p" of a time between these texts, None where they say neither."""
    if not (match := _NOON.match(after) or _NOON_BEFORE.search(before)):
        return None
    return "a" if match["am"] else "p" if match["pm"] else match[1]


def _time_values(hour: str, minute: str, noon: str | None) -> frozenset[str]:
    """A time of day; without "am" or "pm" an hour up to twelve may be either."""
    number = int(hour)
    if noon and number <= 12:
        hours = {number % 12 + (12 if noon == "p" else 0)}
    else:
        hours = {number} if number > 12 or hour.startswith("0") else {number, (number + 12) % 24}
    values = {f"{one}:{minute}" for one in hours}
    if minute in ("00", "30"):
        values.add(f"w{number % 12 or 12}")
    if minute == "00":
        values |= {str(one) for one in hours}
    return frozenset(values)


def _number_values(text: str) -> set[str]:
    """A number whose separators may group or may begin the decimals: 1,230 is 1230 or 1.23."""
    values = set()
    if _GROUPED.fullmatch(text):
        values.add(_plain(re.sub(r"\D", "", text)))
    if decimal := _DECIMAL.fullmatch(text):
        values.add(_canonical(Decimal(f"{re.sub(r'[^0-9]', '', decimal[1])}.{decimal[2]}")))
    return values or {_plain(part) for part in re.findall(r"\d+", text)}


def _plain(digits: str) -> str:
    return digits.lstrip("0") or "0"


def _canonical(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _han_value(text: str) -> str:
    """Value of a Chinese numeral: 十四 is 14, 二〇二四 is 2024, 三万五千 is 35000."""
    if not set(text) & set(_HAN_UNITS):
        return _plain("".join(str(_HAN_DIGITS[char]) for char in text))
    total = section = digit = 0
    for char in text:
        unit = _HAN_UNITS.get(char)
        if unit is None:
            digit = _HAN_DIGITS[char]
        elif unit < 10_000:
            section, digit = section + (digit or 1) * unit, 0
        else:
            total, section, digit = total + (section + digit or 1) * unit, 0, 0
    return str(total + section + digit)


def _words(
    text: str, table: dict[str, str], language: str, *, first: int
) -> Iterator[tuple[int, re.Match[str]]]:
    """The words of `table` in a normalised text, with their values, which count up from `first`."""
    pattern, value_of = _patterns(table, first).get(language.split("-")[0], (None, {}))
    if pattern is not None:
        for match in pattern.finditer(text):
            yield value_of[match[1]], match


_COMPILED: dict[int, dict[str, tuple[re.Pattern[str], dict[str, int]]]] = {}


def _patterns(table: dict[str, str], first: int) -> dict[str, tuple[re.Pattern[str], dict[str, int]]]:
    if first not in _COMPILED:
        compiled = {}
        for language, words in table.items():
            values = {
                normalised(form): value
                for value, forms in enumerate(words.split(), first)
                for form in forms.split("|")
            }
            either = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
            compiled[language] = (re.compile(_AROUND.get(language, _WORD).format(either)), values)
        _COMPILED[first] = compiled
    return _COMPILED[first]


_WORD = r"(?<![\w\u0900-\u0963])({})(?![\w\u0900-\u0963])"
_AROUND = {"ar": r"(?<!\w)[وفبلك]?(?:ال)?({})(?!\w)", "th": "({})"}  # joined to their neighbours

_CODE = re.compile(
    r"https?://[^\s<>()\[\]{}]+|www\.[^\s<>()\[\]{}]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,99}\w|(?<![A-Za-z\d])[A-Za-z]+[-_]?\d[A-Za-z\d_-]*"
)
_TITLE = re.compile("《([^》]+)》")
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
    for word in words:
        name = _POSSESSIVE.sub("", word[0])
        acronym = len(name) > 1 and name.isupper()
        capital = name[0].isupper() and len(name) > 2 and language not in _CAPITALS_SAY_NOTHING
        if (acronym or (capital and not _begins(text[: word.start()]))) and name.casefold() not in months:
            found.append(name)
    return found


def _begins(before: str) -> bool:
    """Whether a word after `before` begins a sentence, clause or quotation."""
    before = before.rstrip()
    return not any(char.isalnum() for char in before) or before[-1] in ".!?:;…—–-(\"'“„«‘¿¡*_"


def unaccented(text: str) -> str:
    """A normalised text without the accents of its letters: São Paulo is Sao Paulo."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not "\u0300" <= char <= "\u036f")
