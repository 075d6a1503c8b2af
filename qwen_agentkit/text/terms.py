"""The terms of a text, by which a search for words finds it. Every script.

A word has a plain form, which matches across languages (names, numbers, terms) and where the language of a
short query was guessed wrong, and other forms, which match other forms and spellings of the word. Scripts
that do not separate words, and Korean, whose particles are attached to nouns, have character pairs as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from operator import add
from zlib import crc32

from qwen_agentkit.text.letters import (
    fold_digraphs,
    fold_han,
    fold_indic,
    fold_letters,
    lower,
    spell_plainly,
)
from qwen_agentkit.text.stems import find_stems
from qwen_agentkit.text.stop_words import find_stop_places, is_stop_word
from qwen_agentkit.text.superscripts import separate_raised

__all__ = ["SIMPLE", "STOP_WORD", "Terms", "count_terms", "find_terms", "term_index"]

STOP_WORD = 0.1
"""The weight of a stop word in a query; others weigh 1."""
SIMPLE = "\x05"
"""In front of a word that stands for one with rare letters: the Vietnamese "da" is not "đa"."""


@dataclass(frozen=True)
class Terms:
    """The terms of one word. A leading control character separates forms from plain words."""

    plain: str
    forms: tuple[str, ...] = ()
    """Stems, or n-grams."""
    parts: tuple[str, ...] = ()
    """What a longer word may have in common with it: pieces of compounds, single characters."""
    spellings: tuple[str, ...] = ()
    """Other spellings of it: with ae for ä, the parts of a code."""
    simple: str = ""
    """It without letters that few keyboards have, if it has any."""
    weight: float = 1.0
    """How much the word says in a query: a stop word hardly anything."""

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """The terms under which a passage with this word is found."""
        simple = SIMPLE + self.simple if self.simple else ""
        terms = (self.plain, *self.forms, *self.parts, *self.spellings, simple)
        return tuple(term for term in terms if term)

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The same as `stored`, as numbers."""
        return tuple(map(term_index, self.stored))


def term_index(term: str) -> int:
    """Return the number that stands for a term in a sparse vector, of 32 bits. Few terms share one."""
    return crc32(term.encode())


# Languages written in other scripts, whose texts contain English terms.
_OTHER_SCRIPT = frozenset({
    "am", "ar", "bg", "bn", "el", "fa", "he", "hi", "hy", "ja", "ka", "km", "ko", "lo", "mr", "my", "ne",
    "ps", "ru", "ta", "th", "uk", "ur", "zh", "zh-hant",
})  # fmt: skip
# Languages that write compounds as one word.
_COMPOUNDING = frozenset({"af", "da", "de", "et", "fi", "hu", "is", "lb", "nl", "no", "sv"})
# Languages that change the ends of words in more ways than their stemmers know.
_CHANGING = frozenset({"bg", "cs", "el", "hr", "bs", "pl", "ro", "ru", "sk", "sl", "sr", "uk"})
# Languages whose letters are written with two where a keyboard lacks them, and English, which quotes them.
_DIGRAPHS = _COMPOUNDING | {"bs", "en", "hr", "sl", "sr"}
_PIECE = 4
"""The letters of a piece of a compound."""

# Han, kana, Hangul, Thai, Lao, Tibetan, Myanmar, Khmer.
_PAIRED = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3041-\u30ff\uac00-\ud7a3"
    "\u0e01-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"
)
_FIRST_SIGN = "\u3041"
"""From here on (kana, Han, Hangul) a single character may be a word."""
# Python's \w excludes combining accents and the vowel signs of Indic scripts.
_MARKS = "\u0300-\u036f\u0900-\u0963\u0971-\u0dff"
_PICTURE = "\u2600-\u27bf\U0001f000-\U0001faff"
_RUN = re.compile(rf"[{_PAIRED}]+")
_WORD = re.compile(rf"[{_PICTURE}]|(?:[^\W_{_PAIRED}]+|[{_MARKS}]+)+")
_ASCII_TOKEN = re.compile("[A-Za-z0-9]+")
_TOKEN = re.compile(rf"(?P<paired>{_RUN.pattern})|{_WORD.pattern}")
# QX-200, e-mail, col·legi: the joined word counts too.
_JOINT = re.compile("[-‐‒–_·]")
_LETTER = rf"(?:(?![{_PAIRED}_])[\w{_MARKS}])"
_JOINED = re.compile(rf"(?<![\w-]){_LETTER}{{1,40}}(?:[-‐‒–_·]{_LETTER}{{1,40}}){{1,7}}(?![\w-])")
_GROUP = re.compile("[0-9][.,'’٬ ][0-9]")
_GROUPED = re.compile(r"(?<![\d.,])(?:\d{1,3}([.,'’٬ ])\d{3}(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3})(?!\d)")

# Tatweel, vowel points of Arabic and Hebrew, joiners, direction marks, soft hyphens.
_IGNORED = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u00ad]"
)
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_ASCII_WORD = re.compile(r"[a-z]+")
_LETTERS_OR_DIGITS = re.compile(r"\d+|[^\W\d_]+")


def find_terms(text: str, language: str) -> Iterator[Terms]:
    """Yield the terms of each word of a text.

    Args:
        text: Text in any script.
        language: Its language, an ISO 639-1 code.
    """
    text = _fold(text, language)
    for match in _TOKEN.finditer(text):
        if match["paired"]:
            yield from _pair_terms(match[0], language)
        else:
            yield _word_terms(match[0], language)
    yield from map(Terms, _joined_words(text))


def count_terms(text: str, language: str) -> tuple[Counter[int], int]:
    """Count the terms under which a passage is found: all that `find_terms` yields, much faster.

    Args:
        text: Text in any script.
        language: Its language, an ISO 639-1 code.

    Returns:
        How often each term occurs, by its index, and the number of words.
    """
    text = _fold(text, language)
    runs = [] if text.isascii() else [fold_han(run) for run in _RUN.findall(text)]
    if runs:
        words = _WORD.findall(_RUN.sub(" ", text))
    else:
        words = (_ASCII_TOKEN if text.isascii() else _WORD).findall(text)
    joined = [word for word in _joined_words(text) if word]
    length = len(words) + len(joined) + sum(max(1, len(run) - 1) for run in runs)
    found = [_word_terms(word, language).indices for word in words]
    others = chain(joined, *map(_stored_pairs, runs))
    return Counter(chain(chain.from_iterable(found), map(term_index, others))), length


def _fold(text: str, language: str) -> str:
    """Return a text in small letters and ASCII digits, without marks that many writers leave out."""
    text = lower(unicodedata.normalize("NFKC", separate_raised(text)), language)
    if text.isascii():
        return text
    text = fold_indic(_IGNORED.sub("", text))
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


def _joined_words(text: str) -> Iterator[str]:
    """Yield the words that signs join and the numbers in groups, without the signs."""
    pieces = text.split() if _JOINT.search(text) else ()  # Cheap searches first: most texts have none.
    places = [_JOINED.finditer(piece) for piece in pieces if _JOINT.search(piece)]
    if _GROUP.search(text):
        places.append(_GROUPED.finditer(text))
    for match in chain.from_iterable(places):
        yield fold_letters("".join(_LETTERS_OR_DIGITS.findall(match[0])))


def _stored_pairs(run: str) -> Iterator[str]:
    """Yield the terms of a folded run in a passage, which are those of `_pair_terms`."""
    if len(run) == 1:
        yield run
        return
    yield from map(add, run, run[1:])
    yield from (char for char in run if char >= _FIRST_SIGN)


def _pair_terms(run: str, language: str) -> Iterator[Terms]:
    """Yield the character pairs of a run; its characters are parts, since one of them may be a word."""
    run = fold_han(run)
    if len(run) == 1:
        yield Terms(run)
        return
    stops = find_stop_places(run, language)
    for place, (first, second) in enumerate(pairwise(run)):
        weight = STOP_WORD if {place, place + 1} <= stops else 1.0
        yield Terms(first + second, parts=(first,) if first >= _FIRST_SIGN else (), weight=weight)
    if run[-1] >= _FIRST_SIGN:
        yield Terms("", parts=(run[-1],), weight=STOP_WORD if len(run) - 1 in stops else 1.0)


@lru_cache(maxsize=1 << 16)
def _word_terms(word: str, language: str) -> Terms:
    plain = fold_letters(word)
    if word.isdigit():
        return Terms(plain)
    weight = STOP_WORD if is_stop_word(plain, language) else 1.0
    # Texts of every script contain English terms; languages in Latin script stem their own words.
    if _ASCII_WORD.fullmatch(word) and language in _OTHER_SCRIPT:
        language = "en"
    stems = find_stems(word, language)
    forms = tuple("\x01" + stem for stem in stems) or _pieces(f"^{plain}$", "\x02")
    parts: tuple[str, ...] = ()
    if language in _COMPOUNDING:
        parts = _compound_parts((stems or (plain,))[0])
    elif language in _CHANGING:
        parts = _beginnings(plain)
    simple = spell_plainly(plain)
    spellings = tuple(_spellings(word, plain, language))
    return Terms(plain, forms, parts, spellings, "" if simple == plain else simple, weight)


def _spellings(word: str, plain: str, language: str) -> Iterator[str]:
    if language in _DIGRAPHS and (spelling := fold_digraphs(word)):
        yield "\x03" + spelling
    if any(char.isdigit() for char in plain):
        yield from (part for part in _LETTERS_OR_DIGITS.findall(plain) if part != plain)


def _compound_parts(stem: str) -> tuple[str, ...]:
    """Return the pieces of a word that may be a compound or a part of one; its ends may be three letters."""
    ends = tuple("\x04" + end for end in (stem[:3], stem[-3:])) if len(stem) > _PIECE else ()
    return _pieces(stem, "\x04") + ends if len(stem) >= len("tür") else ()


def _beginnings(word: str) -> tuple[str, ...]:
    """Return the beginnings of a word that forms of it may share, where stemmers miss many forms."""
    return tuple("\x06" + word[:length] for length in range(_PIECE, min(len(word), 2 * _PIECE) + 1))


def _pieces(word: str, mark: str) -> tuple[str, ...]:
    """Return all overlapping pieces of a word."""
    return tuple(mark + word[i : i + _PIECE] for i in range(max(1, len(word) - _PIECE + 1)))
