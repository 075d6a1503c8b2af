"""The names of weekdays and months in a language, and patterns that find them with their endings.

The names are CLDR's; only their endings, and a few names that CLDR lacks, are known here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.cldr import day_forms, month_forms
from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text

__all__ = ["NamePattern", "calendar_names", "compile_days", "compile_months"]


class NamePattern(NamedTuple):
    """A pattern whose last group is a name, the numbers of the names, and which names are abbreviations.

    The names are without spaces. Weekdays have the numbers "0" (Monday) to "6", months "1" to "12".
    """

    pattern: re.Pattern[str] | None
    number_of: dict[str, str]
    short: frozenset[str]


# What may be left out of a name: วันศุกร์, 金曜日, segunda-feira, يوم, יום.
_LEFT_OUT = re.compile("^(?:วัน|יום )|(?:曜日|日|-feira)$")
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


def calendar_names(language: str) -> frozenset[str]:
    """Return the names of weekdays and months in a language, which are no names of anybody."""
    days, months = _all_forms(language, "days"), _all_forms(language, "months")
    return frozenset(days) | frozenset(months)


def _all_forms(language: str, kind: str) -> dict[str, str]:
    """Return all names of "days" or "months", wide and short, and their numbers."""
    forms = day_forms if kind == "days" else month_forms
    single: dict[str, str] = {}
    for form, numbers in (*forms(language, "wide").items(), *forms(language, "abbreviated").items()):
        if len(form) > 1:
            single.setdefault(form, *numbers)
    return single | _further_names(language.split("-")[0], kind)


def _further_names(language: str, kind: str) -> dict[str, str]:
    """Return names that CLDR lacks."""
    own = load_table("calendar")[kind].get(language, {})
    return {normalize_text(form): number for form, number in own.items()}


@lru_cache(maxsize=64)
def compile_days(language: str) -> NamePattern:
    """Return the pattern of the weekdays of a language."""
    forms = _all_forms(language, "days")
    known = {*day_forms(language, "wide"), *_further_names(language, "days")}
    short = set() if language in ("ja", "zh", "zh-hant") else set(forms) - known
    for form, number in list(forms.items()):
        rest = _LEFT_OUT.sub("", form)
        if rest != form and len(rest) > 1 and rest not in forms:
            forms[rest] = number
            if language == "pt":
                short.add(rest)
    return _compile(forms, language, frozenset(short))


@lru_cache(maxsize=64)
def compile_months(language: str) -> NamePattern:
    """Return the pattern of the months of a language."""
    forms = _all_forms(language, "months")
    known = {*month_forms(language, "wide"), *_further_names(language.split("-")[0], "months")}
    return _compile(forms, language, frozenset(forms) - known)


def _compile(forms: dict[str, str], language: str, short: frozenset[str]) -> NamePattern:
    """Compile the names and, for languages that inflect them, their stems; whole names go first."""
    if not forms:
        return NamePattern(None, {}, short)
    stems = _find_stems({form: number for form, number in forms.items() if form not in short}, language)
    further = {stem: number for stem, number in stems.items() if stem not in forms}
    number_of = _without_spaces({**forms, **further})
    exact = _either(forms)
    if language in _JOINED_WITH:
        return NamePattern(re.compile(f"({exact})"), number_of, short)
    head, tail = _around(language)
    if not stems:
        return NamePattern(re.compile(f"{head}({exact})(?:'?s)?{tail}"), number_of, short)
    ending = _CASE if language in _INFLECTING else rf"'?[{_LETTER}]{{0,8}}"
    return NamePattern(
        re.compile(f"{head}({exact}){tail}|{head}({_either(stems)}){ending}{tail}"), number_of, short
    )


def _find_stems(forms: dict[str, str], language: str) -> dict[str, str]:
    """Return what inflected forms of the names begin with."""
    if language in _GERMANIC:
        return {form: number for form, number in forms.items() if len(form) >= 4}
    if language in _INFLECTING:
        whole = {_FINAL.sub("", form): number for form, number in forms.items()}
        long = [(stem, number) for stem, number in whole.items() if len(stem) >= 3]
        return {stem: number for own, number in long for stem in (own, _FLEETING.sub("", own))}
    if language in _AGGLUTINATING:
        stems = {_FINAL.sub("", form): number for form, number in forms.items()}
        return {stem: number for stem, number in stems.items() if len(stem) >= 4}
    return {}


def _around(language: str) -> tuple[str, str]:
    """Return what may stand in front of a name and behind it, such as an Arabic article."""
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
    return head, tail


def _without_spaces(number_of: dict[str, str]) -> dict[str, str]:
    return {form.replace(" ", ""): number for form, number in number_of.items()}


def _either(forms: dict[str, str]) -> str:
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
