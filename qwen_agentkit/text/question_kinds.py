"""What a question asks for, such as a time or a price, and whether a sentence states such a thing.

Knows the question words of some languages, and figures, units and money of all. A question that is not
understood asks for anything.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import regex

from qwen_agentkit.text.calendar_words import find_days, find_months
from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.figures import Figure, collect_values, find_figures
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.minor_money import share_of
from qwen_agentkit.text.names import find_names
from qwen_agentkit.text.sparse import sparse_query
from qwen_agentkit.text.spoken import spoken_times
from qwen_agentkit.text.titles import find_titled_names
from qwen_agentkit.text.unnamed_days import unnamed_days

__all__ = ["QuestionKind", "asked_kind", "fitness", "lacks_answer", "states_kind"]

QuestionKind = Literal["hour", "date", "price", "duration", "number", "person"]

_WITHOUT: dict[QuestionKind, float] = {
    "hour": 0.3,
    "price": 0.4,
    "duration": 0.4,
    "date": 0.8,
    "number": 0.8,
    "person": 0.4,
}
"""What is left of the score of a sentence that lacks what is asked for."""
_NOTHING_NEW = 0.3
"""What is left for a sentence of which every word stands in the question."""
_OTHER_DAYS = 0.3
"""What is left for a sentence about other weekdays than the question."""
_OTHER_THINGS = 0.3
"""What is left for a sentence that does not name what the question wants to be counted."""
_COUNTED = re.compile(
    r"(?:how many|wie ?viele|combien de|cuánt[oa]s|quant[ie]|كم(?: عدد)?|сколько) (?P<thing>[^\W\d_]{3,})"
)
_ARTICLE = re.compile("^[وبفك]?(?:ال|لل)")
_ARABIC_VOWEL = re.compile("[اويءئؤ]")
_ENDING = re.compile("(?<=..)[ةهت]$")
_TIME = re.compile(r"\d{1,2}:\d{2}")
# A first name and a last name; German capitalizes every noun, but seldom two in a row.
_TWO_CAPITALS = regex.compile(r"(?<=\S )\p{Lu}\p{L}+ \p{Lu}\p{L}+")
_FREE = re.compile(
    r"\b(?:free|no charge|kostenlos|gratis|gratuit\w*|grátis|za darmo)\b|бесплатн|مجان|免费|免費|無料"
    r"|무료|निःशुल्क"
)


def asked_kind(question: str) -> QuestionKind | None:
    """Return what a question asks for; None if that is not known."""
    text = normalize_text(question).replace("ة", "ه")  # Many write the one for the other.
    return next((kind for kind, words in _compile().items() if words.search(text)), None)


@lru_cache(maxsize=1)
def _compile() -> dict[QuestionKind, re.Pattern[str]]:
    """Return the words of each kind; the first kind counts: "how much does it cost" asks for a price."""
    return {
        kind: re.compile("|".join([rf"\b(?:{'|'.join(asked['words'])})\b", *asked["anywhere"]]))
        for kind, asked in load_table("questions").items()
    }


def states_kind(kind: QuestionKind, sentence: str, language: str) -> bool:
    """Tell whether a sentence states what a question of a kind asks for.

    Args:
        kind: What is asked for.
        sentence: A sentence of a passage.
        language: Its language, an ISO 639-1 code.
    """
    figures = find_figures(sentence, language)
    if kind == "person":
        return _names_somebody(sentence, language)
    if kind == "number":
        return any(_is_number(figure) for figure in figures)
    if kind == "price":
        text = normalize_text(sentence)
        return bool(_FREE.search(text)) or any(map(_is_money, figures))
    if kind == "duration":
        return any(meaning.startswith("duration") for figure in figures for meaning in figure.measure)
    if any(_is_hour(figure) for figure in figures):
        return True
    text = normalize_text(sentence)
    if kind == "hour":
        return bool(spoken_times(text, language)[1])
    return bool(find_days(text, language) or find_months(text, language) or any(map(_is_year, figures)))


def lacks_answer(question: str, sentence: str, language: str) -> bool:
    """Tell whether a sentence cannot answer a question, because it has no number or no money to answer with.

    Only where the form of an answer is certain: a price has money in it or is free; how many, how high, how
    long and what time are answered with a number or a day.

    Args:
        question: What is asked.
        sentence: A sentence of a passage.
        language: The language of the sentence, an ISO 639-1 code.
    """
    kind = asked_kind(question)
    if kind in (None, "date", "person"):
        return False
    if kind == "price":
        return not (states_kind("price", sentence, language) or _has_bare_number(sentence, language))
    return not (collect_values(sentence, language) or spoken_times(normalize_text(sentence), language)[1])


def fitness(question: str, sentence: str, language: str) -> float:
    """Return from 0 to 1 how well a sentence can answer a question, by the form of both.

    A sentence without a time hardly answers a question for one, nor does one about other days, or one that
    says only what the question says.

    Args:
        question: What is asked.
        sentence: A sentence of a passage.
        language: The language of the sentence, an ISO 639-1 code.
    """
    asked = _terms(question, language)
    kind = asked_kind(question)
    value = 1.0 if _terms(sentence, language) - asked else _NOTHING_NEW
    if kind is not None and not states_kind(kind, sentence, language):
        value *= _WITHOUT[kind]
    elif kind == "number" and (thing := _counted_thing(question)):
        value *= 1.0 if _names_thing(thing, sentence, language) else _OTHER_THINGS
    return value if _may_be_about(question, sentence, language) else value * _OTHER_DAYS


def _counted_thing(question: str) -> str:
    """Return the word for what a question wants to be counted: the "seats" of "how many seats"."""
    match = _COUNTED.search(normalize_text(question))
    return match["thing"] if match else ""


def _names_thing(thing: str, sentence: str, language: str) -> bool:
    """Tell whether a sentence has a word, or in Arabic a form of it that differs in vowels.

    Arabic asks for a plural, and counts from eleven on in the singular: "كم عدد العمال" and "312 عاملا". Most
    such pairs differ in letters within the word, which stemmers do not remove.
    """
    if _terms(thing, language) & _terms(sentence, language):
        return True
    return language == "ar" and _consonants(thing) in map(_consonants, normalize_text(sentence).split())


def _consonants(word: str) -> str:
    """Return the consonants of a normalized Arabic word without article and ending, if two are left."""
    found = _ENDING.sub("", _ARABIC_VOWEL.sub("", _ARTICLE.sub("", re.sub(r"[^\w]", "", word))))
    return found if len(found) > 1 else word


def _may_be_about(question: str, sentence: str, language: str) -> bool:
    """Tell whether a sentence that names weekdays names one that the question names, if it names any."""
    wanted = {day.number for day in find_days(normalize_text(question), language)}
    text = normalize_text(sentence)
    stated = {day.number for day in find_days(text, language)} | set(map(str, unnamed_days(text)))
    return not wanted or not stated or bool(wanted & stated)


def _names_somebody(sentence: str, language: str) -> bool:
    """Tell whether a sentence has a name; in scripts without capitals, whether it has one beside a title."""
    return bool(
        find_titled_names(sentence, language)
        or find_names(sentence, language)
        or _TWO_CAPITALS.search(sentence)
    )


def _has_bare_number(sentence: str, language: str) -> bool:
    """Tell whether a sentence has a number that may be a price: without a unit, and in no date or time."""
    figures = find_figures(sentence, language)
    if any(_is_hour(figure) or _is_year(figure) for figure in figures) or find_months(
        normalize_text(sentence), language
    ):
        return False
    return any(_is_number(figure) and not figure.measure for figure in figures)


def _terms(text: str, language: str) -> set[int]:
    return set(sparse_query(text, language)[0])


def _is_number(figure: Figure) -> bool:
    return any(value.lstrip("-")[0].isdecimal() for value in figure.values)


def _is_hour(figure: Figure) -> bool:
    return any(_TIME.fullmatch(value) for value in figure.values)


def _is_money(figure: Figure) -> bool:
    return any(map(share_of, figure.measure))


def _is_year(figure: Figure) -> bool:
    return any(value.isdecimal() and len(value) == 4 for value in figure.values)
