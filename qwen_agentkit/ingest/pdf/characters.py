"""The characters of a page: one form for each letter, in the order of Unicode, and legible."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["clean", "count_torn", "illegible", "is_left_vowel", "may_be_words", "needs_care", "script_of"]

# Presentation forms of Arabic, Hebrew and Latin letters, and radicals and copies of Han characters.
_FORMS = re.compile("[\ufb00-\ufb4f\ufb50-\ufdff\ufe70-\ufefc\uf900-\ufaff\u2e80-\u2fdf]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]")

# Vowel signs that stand in front of the consonant which they follow in Unicode.
_LEFT_VOWELS = (
    "\u093f\u09bf\u09c7\u09c8\u0a3f\u0abf\u0b47\u0bc6-\u0bc8\u0d46-\u0d48\u0dd9-\u0ddb\u1031\u17c1-\u17c3"
)
_CONSONANT = (
    "[\u0915-\u0939\u0958-\u095f\u0995-\u09b9\u09dc-\u09df\u0a15-\u0a39\u0a95-\u0ab9\u0b15-\u0b39"
    "\u0b95-\u0bb9\u0d15-\u0d39\u0d9a-\u0dc6\u1000-\u1020\u1780-\u17a2]"
)
_JOINT = "[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0d4d\u0dca\u1039\u17d2\u103b-\u103e]"
_NUKTA = "[\u093c\u09bc\u0a3c]?"
_SYLLABLE = f"{_CONSONANT}{_NUKTA}(?:{_JOINT}(?:{_CONSONANT}{_NUKTA})?)*"
_LEFT_FIRST = re.compile(f"([{_LEFT_VOWELS}])({_SYLLABLE})")
_IMPOSSIBLE = re.compile(
    f"(?:^|[^\u0900-\u0dff\u1000-\u109f\u1780-\u17ff])[{_LEFT_VOWELS}]"
    f"|[\u0905-\u0914\u0985-\u0994\u0b85-\u0b94\u093e\u09be\u0bbe][{_LEFT_VOWELS}]"
)

# Scripts whose glyphs are not characters one by one, and characters that no text has.
_CARE = re.compile(
    "[\u0300-\u036f\u0590-\u08ff\u0900-\u109f\u1780-\u18af\u1a00-\u1cff\ua800-\uaaff\ufb1d-\ufdff\ufe70-\ufefc"
    "\x00-\x08\x0e-\x1f\x7f-\x9f\ufff9-\uffff\ue000-\uf8ff\U00010800-\U00011fff\U0001e800-\U0001efff]"
)
_STRANGE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufff9-\uffff\ue000-\uf8ff\U000f0000-\U0010ffff]")
_LATIN_1 = re.compile("[\x80-\xff]")
_GLYPH_NAME = re.compile(r"/[a-zA-Z]{1,3}\d{1,5}\b|\(cid:\d+\)")
# Unicode's categories Cc, Co and Cs, but for the end of a line.
_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
_ODD = re.compile(r"(?<!\S)(?:[A-Za-z]*[a-z][A-Z]\S*|[^aeiouyAEIOUY\s]+)(?!\S)")
"""What `_is_odd` says of a word of more than three ASCII letters, for many words at once."""
_ARABIC_WORD = re.compile(r"[\u0620-\u065f\u0670-\u06d3]+")
_TORN = re.compile(
    r"(?<![\w().،:/-])(?<!\d )[\u0626\u0628\u062a-\u062e\u0633-\u063f\u0641-\u0647\u0649\u064a\u0679-\u0687"
    r"\u069a-\u06bf\u06c1-\u06c3\u06cc\u06ce](?![\w().،:/-])(?! \d)"
)
_TORN_SHARE = 0.08
_CAPITAL_INSIDE = re.compile("[a-z][A-Z]")
_VOWEL = re.compile("[aeiouyAEIOUY]")
_FEW = 20
"""Fewer words or letters prove nothing."""


def is_left_vowel(text: str) -> bool:
    """Tell whether a text is a vowel sign that stands in front of its consonant on paper."""
    return bool(re.fullmatch(f"[{_LEFT_VOWELS}]", text))


def needs_care(text: str) -> bool:
    """Tell whether a page holds characters that PDFium alone does not read reliably."""
    return bool(_CARE.search(text))


def clean(text: str) -> str:
    """Return text without characters that stand for nothing, and with one form for each letter.

    Superscripts stay, since 10⁶ must not become 106.
    """
    text = _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\uf0b7", "•").replace("\uf0a7", "▪")  # the marks of lists in the font Symbol
    text = _INVISIBLE.sub("", text).replace("\u00a0", " ").replace("\u202f", " ")
    return unicodedata.normalize("NFC", _order_vowels(_NO_TEXT.sub("", text)))


def _order_vowels(text: str) -> str:
    """Put vowel signs behind their consonant if the producer wrote them in the order of the paper."""
    return _LEFT_FIRST.sub(r"\2\1", text) if _IMPOSSIBLE.search(text) else text


def illegible(text: str, unknown: int) -> str:
    """Say why a text is no language; empty if it may be one.

    Args:
        text: The text of a page, before `clean`.
        unknown: How many of its glyphs have no text.
    """
    visible = sum(map(len, text.split()))
    strange = len(_STRANGE.findall(text)) + sum(map(len, _GLYPH_NAME.findall(text)))
    if strange + unknown > 0.3 * (visible + unknown):
        return "most of its characters are names of glyphs or have no meaning"
    upper = len(_LATIN_1.findall(text))
    if upper > 3 and 2 * upper > visible:  # Text of another encoding that was taken for Latin-1.
        return "its encoding is not known"
    words = re.findall(r"[^\W_]{2,}", text)
    if len(words) >= _FEW and sum(map(_mixes_scripts, words)) > 0.3 * len(words):
        return "its words are thrown together from several scripts"
    arabic = [] if text.isascii() else _ARABIC_WORD.findall(clean(text))
    if len(arabic) >= _FEW // 2 and sum(map(_is_letter, arabic)) > 0.35 * len(arabic):
        return "the letters of its words are torn apart"
    latin = [word for word in words if len(word) > 3 and word.isascii() and word.isalpha()]
    if len(latin) >= _FEW and len(_ODD.findall(" ".join(latin))) > 0.5 * len(latin):
        return "its words are in no language"
    return ""


def count_torn(text: str) -> int:
    """Return how many letters stand alone that Arabic script joins to the next; 0 if they are few.

    Letters that count points or follow a figure, such as the mark of a year, may stand alone.
    """
    words = _ARABIC_WORD.findall(text)
    torn = len(_TORN.findall(text)) if words else 0
    return torn if torn > 1 and torn > _TORN_SHARE * len(words) else 0


def _is_letter(word: str) -> bool:
    return sum(map(str.isalpha, word)) == 1


def may_be_words(text: str) -> bool:
    """Tell whether text that is guessed from the codes of glyphs reads like words with spaces between."""
    if _STRANGE.search(text) or any(not ("\u0020" <= char < "\u0250") for char in text if not char.isspace()):
        return False
    words = text.split()
    letters = [char for char in unicodedata.normalize("NFD", text) if char.isascii() and char.isalpha()]
    vowels = sum(char in "aeiouyAEIOUY" for char in letters)
    return (
        len(letters) > 0.5 * sum(map(len, words))
        and sum(map(len, words)) < 15 * len(words)
        and 0.25 < vowels / max(1, len(letters)) < 0.7
        and sum(map(_is_odd, words)) < 0.3 * len(words)
    )


def _is_odd(word: str) -> bool:
    """Tell whether a word is written as hardly any is: capitals behind small letters, or no vowel."""
    if _CAPITAL_INSIDE.search(word):
        return True
    return len(word) > 3 and not _VOWEL.search(word if word.isascii() else unicodedata.normalize("NFD", word))


def _mixes_scripts(word: str) -> bool:
    return not word.isascii() and len({script_of(char) for char in word} - {"", "CJK"}) > 1


@lru_cache(maxsize=1 << 14)
def script_of(letter: str) -> str:
    """Return the script of a letter: the first word of its name. Empty for letters of all scripts."""
    name = unicodedata.name(letter, "").partition(" ")[0] if letter.isalpha() else ""
    if name in ("HIRAGANA", "KATAKANA", "HANGUL", "HALFWIDTH", "KATAKANA-HIRAGANA"):
        return "CJK"
    return "" if name in ("FULLWIDTH", "MODIFIER", "FEMININE", "MASCULINE", "MICRO") else name
