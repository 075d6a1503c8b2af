"""The names of months in a text. Knows the languages of its table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from qwen_agentkit.text.folding import normalize_text

__all__ = ["find_months", "month_names"]

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
_WORD = r"(?<![\w\u0900-\u0963])({})(?![\w\u0900-\u0963])"
_AROUND = {"ar": r"(?<!\w)[وفبلك]?(?:ال)?({})(?!\w)", "th": "({})"}  # Written together with their neighbors.


def find_months(text: str, language: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the months of a normalized text: their numbers, 1 to 12, and their matches."""
    code = language.split("-")[0]
    if code in _MONTHS:
        pattern, number_of = _compile_names(code)
        for match in pattern.finditer(text):
            yield number_of[match[1]], match


def month_names(language: str) -> set[str]:
    """Return all names of months in a language, abbreviations and cases included."""
    return {form for forms in _MONTHS.get(language, "").split() for form in forms.split("|")}


@lru_cache(maxsize=len(_MONTHS))
def _compile_names(code: str) -> tuple[re.Pattern[str], dict[str, int]]:
    number_of = {
        normalize_text(form): number
        for number, forms in enumerate(_MONTHS[code].split(), 1)
        for form in forms.split("|")
    }
    either = "|".join(sorted(map(re.escape, number_of), key=len, reverse=True))
    return re.compile(_AROUND.get(code, _WORD).format(either)), number_of
