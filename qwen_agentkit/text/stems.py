"""The stems of words: Snowball's, and light ones where Snowball has none or keeps affixes.

Knows affixes, no dictionary. A stem need not be a word; forms of one word have to share one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import Stemmer

from qwen_agentkit.text.letters import fold_letters

__all__ = ["find_stems"]

_SNOWBALL = {
    "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "lt": "lithuanian", "ms": "indonesian", "ne": "nepali",
    "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "bs": "serbian", "hr": "serbian", "sr": "serbian", "sv": "swedish",
    "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_NO_CACHE = 0  # the terms of a word are kept, so its stem is asked for once

# A stemmer holds state, so threads take turns.
_STEMMING = threading.Lock()
_STEMMED_TWICE = frozenset({"el", "es", "et", "fi", "hu", "ro", "ru", "tr"})
_SERBIAN = frozenset({"bs", "hr", "sr"})
_PLURALS = {
    "es": (("ces", "z"),),
    "fr": (("avaux", "avail"), ("eaux", "eau"), ("aux", "al")),
    "pt": (
        ("ões", "ão"), ("ães", "ão"), ("ais", "al"), ("éis", "el"), ("ens", "em"),
        ("uis", "ul"), ("óis", "ol"),
    ),
}  # fmt: skip
_SHORTEST = 3
"""The fewest letters that a light stemmer leaves."""


def find_stems(word: str, language: str) -> tuple[str, ...]:
    """Return the stems of a word in small letters, folded; none if its language has no stemmer.

    Affixes that may also be part of the word give a second stem.
    """
    if language == "ar":
        return _arabic_stems(fold_letters(word))
    if language == "bn":
        folded = fold_letters(word)
        shorter = _strip_suffix(folded, _BENGALI_SUFFIXES, 2)
        return _distinct(shorter, _strip_suffix(shorter, _BENGALI_SUFFIXES, 2))
    if language == "en":
        word = _american(word)
    stemmer = _stemmer(language)
    if stemmer is None:
        return ()
    with _STEMMING:
        own = stemmer.stemWord(word)
        stem = fold_letters(own)
        if language in ("id", "ms"):
            stem = fold_letters(stemmer.stemWord(stem))  # "pemakaian" takes two steps
        further = [fold_letters(form) for form in _further_stems(stemmer, word, own, language)]
    if language in _SERBIAN:
        return _distinct(stem, _serbian_base(stem))
    if language == "fa":
        return _distinct(
            stem, _strip(_strip_prefix(fold_letters(word), _PERSIAN_PREFIXES), _PERSIAN_SUFFIXES)
        )
    if language in ("id", "ms") and stem[0] in "kt" and stem[1:2] in tuple("aiueo"):
        # The prefix meng- replaces this letter: "kirim", "mengirim".
        return stem, stem[1:]
    return _distinct(stem, *further)


def _further_stems(stemmer: Any, word: str, stem: str, language: str) -> Iterator[str]:
    """Yield what other forms of the word may have as their stem."""
    if language in _STEMMED_TWICE:
        yield stemmer.stemWord(stem)  # What the first step leaves may look like another form: "kütüphane".
    if (singular := _singular(word, language)) != word:
        yield stemmer.stemWord(singular)
    if other := _further_stemmer(language):
        yield other.stemWord(word)


_OUR, _TRE = re.compile("(?<=..[^aeiou])our(?!n)|(?<=savi)our"), re.compile("(?<=..)tre(?=s?$)")
_ISE, _OGUE = re.compile("(?<=...)(?:ys|is)(?=(?:e[drs]?|es|ing|ation|ations)$)"), re.compile("ogue(?=s?$)")


def _american(word: str) -> str:
    """Return an English word in the American spelling, or both spellings in a third."""
    word = _TRE.sub("ter", _OGUE.sub("og", _OUR.sub("or", word)))
    return _ISE.sub(lambda found: f"{found[0][0]}z", word)


def _serbian_base(stem: str) -> str:
    """Return a stem without the long plural, and with the k that becomes c in front of an i."""
    if len(stem) > _SHORTEST and stem[-1] in "aeiou":
        stem = stem[:-1]
    stem = _strip_suffix(stem, ("ov", "ev"))
    return f"{stem[:-1]}k" if stem.endswith("c") and len(stem) > _SHORTEST else stem


def _singular(word: str, language: str) -> str:
    """Return a word without a plural that changes the letters before it; the word if it has none."""
    for ending, other in _PLURALS.get(language, ()):
        if word.endswith(ending) and len(word) >= len(ending) + 1:
            return word[: -len(ending)] + other
    return word


def _distinct(*stems: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stems))


_BENGALI_SUFFIXES = (
    "গুলোকে", "গুলোর", "গুলিকে", "গুলির", "গুলোতে", "গুলো", "গুলি", "গুলা", "টিকে", "টাকে", "দেরকে", "টির", "টার", "দের",
    "য়ের", "টি", "টা", "কে", "তে", "রা", "ের", "য়ে", "র", "ে",
)  # fmt: skip
_ARABIC_PREFIXES = ("ال", "بال", "كال", "فال", "لل")
_ARABIC_PRONOUNS = ("هما", "كما", "هم", "هن", "كم", "كن", "نا")
_ARABIC_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")
_ARABIC_POSSESSIVES = (*_ARABIC_PRONOUNS, "ها", "ي", "ه", "ك")
_ARABIC_PARTICLES = "بلكفس"


def _arabic_stems(word: str) -> tuple[str, ...]:
    """Strip conjunction, article and endings ("light10"), and possessives. Snowball keeps combinations."""
    if word.startswith("و") and len(word) > 3:
        word = word[1:]
    stripped = _strip_prefix(word, _ARABIC_PREFIXES)
    stems = [_arabic_endings(stripped)]
    # "in a library" is one word; the first letter may as well belong to the word.
    if stripped == word and word[0] in _ARABIC_PARTICLES and len(word) > 4:
        stems.append(_arabic_endings(word[1:]))
        if word.startswith("فس") and len(word) > 5:  # "and they will write"
            stems.append(_arabic_endings(word[2:]))
    return _distinct(*stems)


def _arabic_endings(word: str) -> str:
    owned = _strip_suffix(word, _ARABIC_POSSESSIVES)
    # The ending of a feminine noun is t in front of a possessive: رسالة, رسالتي.
    if owned != word and owned.endswith("ت") and len(owned) > _SHORTEST:
        return owned[:-1].replace("ء", "") or owned
    word = _strip_suffix(word, _ARABIC_PRONOUNS)
    for suffix in _ARABIC_SUFFIXES:
        word = _strip_suffix(word, (suffix,), 2)
    return word.replace("ء", "") or word


_PERSIAN_PREFIXES = tuple(map(fold_letters, ("نمی", "می")))
_PERSIAN_SUFFIXES = tuple(
    fold_letters(
        "هایشان هایمان هایتان هایش هایم هایت هایی های ها ترین تر شان مان تان اش ات ام ای ان ند یم ید "
        "ی م ت ش ن ه"
    ).split()
)


def _strip(word: str, suffixes: tuple[str, ...]) -> str:
    """Strip suffixes until none is left: what was stripped from a longer form is stripped here too."""
    while (shorter := _strip_suffix(word, suffixes)) != word:
        word = shorter
    return word


def _strip_prefix(word: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        if word.startswith(prefix) and len(word) >= len(prefix) + 2:
            return word[len(prefix) :]
    return word


def _strip_suffix(word: str, suffixes: tuple[str, ...], shortest: int = _SHORTEST) -> str:
    for suffix in suffixes:
        if word.endswith(suffix) and len(word) >= len(suffix) + shortest:
            return word[: -len(suffix)]
    return word


@lru_cache
def _further_stemmer(language: str) -> Any:
    """Return a second stemmer; Dutch has two, which differ at plurals such as "dagen"."""
    return Stemmer.Stemmer("dutch_porter", _NO_CACHE) if language == "nl" else None


@lru_cache
def _stemmer(language: str) -> Any:
    name = _SNOWBALL.get(language)
    return Stemmer.Stemmer(name, _NO_CACHE) if name else None
