"""BM25 sparse vectors, made on our side so that every back end searches the same way.

Every word is indexed twice, in two spaces that share one 32-bit index: as it stands, and as what
survives inflection (its Snowball stem, or its character 4-grams where no stemmer exists). The plain
form matches across languages (names, numbers, terms) and when the language of a short query is guessed
wrong; the stem matches other forms of the word in the same language. Scripts that do not separate words,
and Korean, whose particles stick to nouns, are indexed by character pairs.

Knows nothing of the collection: the store multiplies by inverse document frequency (Qdrant's
``Modifier.IDF``), which also takes the place of stop words.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import snowballstemmer

__all__ = ["sparse_document", "sparse_query"]

K1 = 1.2
"""How fast repeating a term stops to count."""
B = 0.75
"""How much a long text is discounted, 0..1."""
AVERAGE_LENGTH = 200
"""Terms in a usual chunk of 320 tokens. A constant, so that adding documents changes no stored vector."""

_STEMMERS = {
    "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_OTHER_SCRIPT = frozenset({
    "ar", "bg", "bn", "el", "fa", "he", "hi", "hy", "ja", "ko", "ne", "ru", "sr", "ta", "th", "uk", "ur",
    "zh", "zh-hant",
})  # fmt: skip
_AVAILABLE = frozenset(snowballstemmer.algorithms())

# Han, kana, Hangul, Thai, Lao, Tibetan, Myanmar, Khmer.
_PAIRED = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3041-\u30ff\uac00-\ud7a3"
    "\u0e01-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"
)
# Python's \w leaves out combining accents and the vowel signs of Indic scripts.
_MARKS = "\u0300-\u036f\u0900-\u0963\u0971-\u0dff"
_TOKEN = re.compile(rf"(?P<paired>[{_PAIRED}]+)|(?:(?![{_PAIRED}_])[\w{_MARKS}])+")

# Tatweel, vowel points of Arabic and Hebrew, joiners, direction marks, soft hyphens.
_IGNORED = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u00ad]"
)
_ARABIC = str.maketrans("أإآٱىیئؤةۀکگ", "ااااييءءههكك")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_ACCENT = re.compile("[\u0300-\u036f]")
_ASCII_WORD = re.compile(r"[a-z]+")

# A Snowball stemmer keeps the word it works on in itself.
_STEMMING = threading.Lock()


def sparse_document(text: str, language: str) -> tuple[list[int], list[float]]:
    """Turn a passage into term indices and saturated term frequencies.

    Args:
        text: The passage.
        language: Its language, an ISO 639-1 code.

    Returns:
        Ascending 32-bit indices and, of the same length, BM25's saturated term frequencies.
    """
    words = list(_words(text, language))
    discount = K1 * (1 - B + B * len(words) / AVERAGE_LENGTH)
    counts = Counter(term for word in words for term in word)
    vector = sorted((_index(term), tf * (K1 + 1) / (tf + discount)) for term, tf in counts.items())
    return _merged(vector)


def sparse_query(text: str, language: str) -> tuple[list[int], list[float]]:
    """Turn a query into term indices and weights.

    A word weighs 2: 1 as it stands and 1 shared by its stem or its n-grams, so that long words of
    languages without a stemmer do not outweigh the others.

    Args:
        text: The query.
        language: Its language, an ISO 639-1 code. It need not be the documents'.

    Returns:
        Ascending 32-bit indices and, of the same length, weights.
    """
    weights: Counter[str] = Counter()
    for plain, *others in _words(text, language):
        weights[plain] += 1
        for term in others:
            weights[term] += 1 / len(others)  # type: ignore[assignment]  # Counter's stubs know int only
    return _merged(sorted((_index(term), float(weight)) for term, weight in weights.items()))


def _merged(vector: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    # Two terms of one text may share a hash; Qdrant refuses an index that stands twice.
    sums: dict[int, float] = {}
    for index, value in vector:
        sums[index] = sums.get(index, 0.0) + value
    return list(sums), list(sums.values())


def _words(text: str, language: str) -> Iterator[tuple[str, ...]]:
    """Yield the terms of each word: the plain form first, then the forms that survive inflection."""
    text = _IGNORED.sub("", unicodedata.normalize("NFKC", text).casefold())
    text = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    for match in _TOKEN.finditer(text):
        run = match[0]
        if match["paired"]:
            # A single character between borders is a word of its own.
            yield from ((run[i : i + 2],) for i in range(max(1, len(run) - 1)))
        else:
            yield _terms(run, language)


@lru_cache(maxsize=1 << 16)
def _terms(word: str, language: str) -> tuple[str, ...]:
    plain = _fold(word)
    if word.isdigit():
        return (plain,)
    # English terms stand inside texts of every script; Latin-script languages stem their own.
    if _ASCII_WORD.fullmatch(word) and language in _OTHER_SCRIPT:
        language = "en"
    if language == "ar":
        return plain, "\x01" + _arabic_stem(plain)
    stemmer = _stemmer(language)
    if stemmer:
        # A leading control character keeps stems and n-grams out of the space of plain words.
        with _STEMMING:
            return plain, "\x01" + _fold(stemmer.stemWord(word))
    framed = f"^{plain}$"
    return plain, *("\x02" + framed[i : i + 4] for i in range(max(1, len(framed) - 3)))


def _fold(word: str) -> str:
    """Drop accents, and the spelling variants of Arabic letters that writers mix."""
    if word.isascii():
        return word
    word = _ACCENT.sub("", unicodedata.normalize("NFD", word.translate(_ARABIC)))
    return unicodedata.normalize("NFC", word)


_ARABIC_PREFIXES = ("ال", "بال", "كال", "فال", "لل")
_ARABIC_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")


def _arabic_stem(word: str) -> str:
    """Strip conjunction, article and endings ("light10"); Snowball keeps both when they stand together."""
    if word.startswith("و") and len(word) > 3:
        word = word[1:]
    for prefix in _ARABIC_PREFIXES:
        if word.startswith(prefix) and len(word) >= len(prefix) + 2:
            word = word[len(prefix) :]
            break
    for suffix in _ARABIC_SUFFIXES:
        if word.endswith(suffix) and len(word) >= len(suffix) + 2:
            word = word[: -len(suffix)]
    return word


@lru_cache
def _stemmer(language: str) -> Any:
    name = _STEMMERS.get(language)
    return snowballstemmer.stemmer(name) if name in _AVAILABLE else None


def _index(term: str) -> int:
    return zlib.crc32(term.encode())
