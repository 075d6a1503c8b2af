"""BM25 sparse vectors, computed here so that every back end searches in the same way.

Every word is indexed twice: in its plain form, and by its Snowball stem, or by its character 4-grams if its
language has no stemmer. The plain form matches across languages (names, numbers, terms) and if the language
of a short query was guessed wrong. The stem matches other forms of the word in the same language. Scripts
that do not separate words, and Korean, whose particles are attached to nouns, are indexed by character
pairs.

Knows nothing of the collection: the store multiplies by the inverse document frequency (Qdrant's
``Modifier.IDF``). Words that say little, such as "how" and "of", weigh a tenth in a query: their frequency
alone tells them apart in a large collection of the query's language, but not in a small or a foreign one.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

import snowballstemmer

from qwen_agentkit.text.superscripts import separate_raised

__all__ = ["LARGEST_TERM", "query_mass", "sparse_document", "sparse_query"]

K1 = 1.2
"""BM25 term saturation: a lower value makes repetitions count less."""
B = 0.75
"""BM25 length normalization, 0 to 1."""
AVERAGE_LENGTH = 200
"""Terms in a typical chunk of 320 tokens. A constant, so that new documents change no stored vector."""
LARGEST_TERM = K1 + 1
"""What the value of a term in a passage approaches when it is repeated without end."""
STOP_WORD = 0.1
"""Weight of a stop word in a query; others weigh 1."""

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
# Their words have about five characters, those of Han and Hangul about two.
_LONG_PAIRED = re.compile("[\u0e01-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3]")
_LONG_PAIR = 0.4
# Python's \w excludes combining accents and the vowel signs of Indic scripts.
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

# Snowball stemmers hold state, so threads take turns.
_STEMMING = threading.Lock()


def sparse_document(text: str, language: str) -> tuple[list[int], list[float]]:
    """Return the sparse vector of a passage.

    Args:
        text: The passage.
        language: Its language, an ISO 639-1 code.

    Returns:
        Ascending 32-bit term indices, and as many saturated term frequencies (BM25, without the IDF).
    """
    words = list(_words(text, language))
    discount = K1 * (1 - B + B * len(words) / AVERAGE_LENGTH)
    counts = Counter(term for word in words for term in word)
    vector = sorted((_index(term), tf * (K1 + 1) / (tf + discount)) for term, tf in counts.items())
    return _merge(vector)


def sparse_query(text: str, language: str) -> tuple[list[int], list[float]]:
    """Return the sparse vector of a query.

    A word has a weight of 2: 1 for its plain form and 1 shared by its stem or n-grams, so that long words of
    languages without a stemmer do not outweigh the others. A pair of characters has a weight of 1. Stop words
    have a tenth.

    Args:
        text: The query.
        language: Its language, an ISO 639-1 code. It may differ from the documents'.

    Returns:
        Ascending 32-bit term indices, and as many weights.
    """
    weights: Counter[str] = Counter()
    for (plain, *others), weight in _weighted_words(text, language):
        weights[plain] += weight  # type: ignore[assignment]  # Counter is typed for int only.
        for term in others:
            weights[term] += weight / len(others)  # type: ignore[assignment]
    return _merge(sorted((_index(term), float(weight)) for term, weight in weights.items()))


def query_mass(text: str, language: str) -> float:
    """Return what the words of a query weigh together: about 2 a word, a tenth of it for stop words.

    In scripts such as Thai a pair of characters counts 0.4: a word has more of them than in Chinese, and each
    is more common. Arguments as in `sparse_query`.
    """
    return sum(
        weight * (min(2, len(terms)) if not _LONG_PAIRED.match(terms[0]) else _LONG_PAIR)
        for terms, weight in _weighted_words(text, language)
    )


def _merge(vector: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    # Two terms may share a hash, and Qdrant refuses repeated indices.
    sums: dict[int, float] = {}
    for index, value in vector:
        sums[index] = sums.get(index, 0.0) + value
    return list(sums), list(sums.values())


def _words(text: str, language: str) -> Iterator[tuple[str, ...]]:
    """Yield the terms of each word: the plain form first, then stem or n-grams."""
    for match in _TOKEN.finditer(_normalize(text)):
        run = match[0]
        if match["paired"]:
            yield from ((pair,) for pair in _pairs(run))
        else:
            yield _terms(run, language)


def _weighted_words(text: str, language: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the terms of each word of a query, and the weight of the word."""
    stops, inside = _stop_words(language)
    for match in _TOKEN.finditer(_normalize(text)):
        run = match[0]
        if match["paired"]:
            said = {place for found in inside.finditer(run) for place in range(*found.span())}
            for place, pair in enumerate(_pairs(run)):
                stop = all(place + offset in said for offset in range(len(pair)))
                yield (pair,), STOP_WORD if stop else 1.0
        else:
            terms = _terms(run, language)
            yield terms, STOP_WORD if terms[0] in stops else 1.0


def _normalize(text: str) -> str:
    text = _IGNORED.sub("", unicodedata.normalize("NFKC", separate_raised(text)).casefold())
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


def _pairs(run: str) -> list[str]:
    """Return the pairs of neighboring characters; a single character on its own is a word."""
    return [run[i : i + 2] for i in range(max(1, len(run) - 1))]


@lru_cache
def _stop_words(language: str) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the stop words of a language, and a pattern that finds them where words are not separated."""
    table = _load_stop_words()
    words = [_fold(_normalize(word)) for word in table.get(language, table.get(language.split("-")[0], []))]
    long = sorted((word for word in words if len(word) > 1), key=len, reverse=True)
    return frozenset(words), re.compile("|".join(map(re.escape, long)) or r"(?!)")


@lru_cache
def _load_stop_words() -> dict[str, list[str]]:
    text = (files("qwen_agentkit") / "data" / "stop_words.json").read_text(encoding="utf-8")
    return {language: words.split() for language, words in json.loads(text).items()}


@lru_cache(maxsize=1 << 16)
def _terms(word: str, language: str) -> tuple[str, ...]:
    plain = _fold(word)
    if word.isdigit():
        return (plain,)
    # Texts of every script contain English terms; languages in Latin script stem their own words.
    if _ASCII_WORD.fullmatch(word) and language in _OTHER_SCRIPT:
        language = "en"
    if language == "ar":
        return plain, "\x01" + _arabic_stem(plain)
    stemmer = _stemmer(language)
    if stemmer:
        # A leading control character separates stems and n-grams from plain words.
        with _STEMMING:
            return plain, "\x01" + _fold(stemmer.stemWord(word))
    framed = f"^{plain}$"
    return plain, *("\x02" + framed[i : i + 4] for i in range(max(1, len(framed) - 3)))


def _fold(word: str) -> str:
    """Remove accents, and unify spelling variants of Arabic letters."""
    if word.isascii():
        return word
    word = _ACCENT.sub("", unicodedata.normalize("NFD", word.translate(_ARABIC)))
    return unicodedata.normalize("NFC", word)


_ARABIC_PREFIXES = ("ال", "بال", "كال", "فال", "لل")
_ARABIC_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")


def _arabic_stem(word: str) -> str:
    """Strip conjunction, article and endings ("light10"). Snowball's stemmer keeps combinations of them."""
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
