"""One form for different spellings of the same words, so that texts can be compared. Every script.

Knows characters, not words.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from qwen_agentkit.text.superscripts import separate_raised

__all__ = ["normalize_pattern", "normalize_text", "remove_accents"]

_FOLDED = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»‹›「」『』〝〞‶″", '"'),
        **dict.fromkeys("‘’‚‛′`´ʼ", "'"),
        **dict.fromkeys("‐‑‒–—―−﹣", "-"),
        **dict.fromkeys("أإآٱ", "ا"),
        **{"ی": "ي", "ى": "ي", "ک": "ك", "،": ",", "؛": ";", "؟": "?", "№": "No ", "٫": ".", "٬": ","},
        "\u0640": None,  # The tatweel stretches a word and has no meaning.
    }
)
# Most writers leave out the vowel points of Arabic and Hebrew.
_POINTS = re.compile("[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]")
_WIDE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NO_SPACE = re.compile(rf"(?<=[{_WIDE}]) | (?=[{_WIDE}])")
# NFKC would turn 1½ into "11⁄2".
_FRACTION = re.compile("(?:([0-9]{1,9}) ?)?([¼-¾⅐-⅞])")


def normalize_text(text: str) -> str:
    """Fold the differences between two spellings of the same words.

    These are case, white space, quotation marks, dashes, compatibility forms (NFKC), the digits of every
    script, fractions such as ½, invisible and direction marks, Arabic and Hebrew vowel points, and spaces
    beside scripts that use none. A raised digit stays apart from the number before it: 10⁶ becomes 10^6.
    """
    text = separate_raised(_FRACTION.sub(_write_decimal, text))
    text = unicodedata.normalize("NFKC", text.translate(_FOLDED)).translate(_FOLDED)
    text = _POINTS.sub("", text)
    return _NO_SPACE.sub("", " ".join(text.translate(_PLAIN).casefold().split()))


def normalize_pattern(pattern: str) -> str:
    """Normalize the letters of a regular expression, and not its signs."""
    return re.sub(r"[^\x00-\x7f⁄]+", lambda found: normalize_text(found[0]), pattern)


def _write_decimal(match: re.Match[str]) -> str:
    """Write 1½ as 1.5."""
    value = int(match[1] or 0) + Decimal(str(unicodedata.numeric(match[2])))
    return f"{round(value, 3).normalize():f}"


class _PlainCharacters(dict[int, str | None]):
    """A table for `str.translate`: digits become ASCII digits, invisible marks are removed."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        hidden = unicodedata.category(char) == "Cf"
        self[code] = None if hidden else str(unicodedata.decimal(char)) if char.isdecimal() else char
        return self[code]


_PLAIN = _PlainCharacters()  # Remembers each character it has seen.


def remove_accents(text: str) -> str:
    """Return a normalized text without accents: "são paulo" becomes "sao paulo"."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not "\u0300" <= char <= "\u036f")
