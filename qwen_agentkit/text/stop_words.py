"""Words that say little, such as "how" and "of", in the languages listed in data/stop_words.json.

Their frequency alone tells them apart in a large collection of the query's language, but not in a small or a
foreign one.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files

from qwen_agentkit.text.letters import fold_han, fold_indic, fold_letters, lower

__all__ = ["find_stop_places", "is_stop_word"]


def is_stop_word(word: str, language: str) -> bool:
    """Tell whether the plain form of a word is a stop word of the language."""
    return word in _stop_words(language)[0]


def find_stop_places(run: str, language: str) -> set[int]:
    """Return the places of the characters of stop words in text that does not separate words."""
    inside = _stop_words(language)[1]
    return {place for found in inside.finditer(run) for place in range(*found.span())}


@lru_cache
def _stop_words(language: str) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the stop words of a language, and a pattern that finds them where words are not separated."""
    table = _load_table()
    listed = table.get(language, table.get(language.split("-")[0], []))
    words = [fold_han(fold_letters(fold_indic(lower(word, language)))) for word in listed]
    long = sorted((word for word in words if len(word) > 1), key=len, reverse=True)
    return frozenset(words), re.compile("|".join(map(re.escape, long)) or r"(?!)")


@lru_cache
def _load_table() -> dict[str, list[str]]:
    text = (files("qwen_agentkit") / "data" / "stop_words.json").read_text(encoding="utf-8")
    return {language: words.split() for language, words in json.loads(text).items()}
