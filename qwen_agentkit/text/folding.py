"""Two writings of the same words in one form, so that they can be compared: every script.

Knows characters, not words.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

__all__ = ["normalised", "unaccented"]

_FOLDED = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»‹›「」『』〝〞‶″", '"'),
        **dict.fromkeys("‘’‚‛′`´ʼ", "'"),
        **dict.fromkeys("‐‑‒–—―−﹣", "-"),
        **dict.fromkeys("أإآٱ", "ا"),
        **{"ی": "ي", "ى": "ي", "ک": "ك", "،": ",", "؛": ";", "؟": "?", "№": "No ", "٫": ".", "٬": ","},
        "\u0640": None,  # tatweel stretches a word and means nothing
    }
)
# Vowel points of Arabic and Hebrew, which most writers leave out.
_POINTS = re.compile("[\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]")
_WIDE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NO_SPACE = re.compile(rf"(?<=[{_WIDE}]) | (?=[{_WIDE}])")
# NFKC makes "11⁄2" of 1½.
_FRACTION = re.compile("(?:([0-9]{1,9}) ?)?([¼-¾⅐-⅞])")


def normalised(text: str) -> str:
    """Fold what differs between two writings of the same words.

    Case, white space, quotation marks, dashes, compatibility forms (NFKC), digits of every script,
    fractions such as ½, invisible and direction marks, Arabic and Hebrew points, and spaces beside scripts
    that have none.
    """
    text = _FRACTION.sub(_decimal, text)
    text = unicodedata.normalize("NFKC", text.translate(_FOLDED)).translate(_FOLDED)
    text = _POINTS.sub("", text)
    return _NO_SPACE.sub("", " ".join(text.translate(_PLAIN).casefold().split()))


def _decimal(match: re.Match[str]) -> str:
    """Write 1½ as 1.5."""
    value = int(match[1] or 0) + Decimal(str(unicodedata.numeric(match[2])))
    return f"{round(value, 3).normalize():f}"


class _Plain(dict[int, str | None]):
    """What `str.translate` makes of a character: ASCII digits of digits, nothing of invisible marks."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        hidden = unicodedata.category(char) == "Cf"
        self[code] = None if hidden else str(unicodedata.decimal(char)) if char.isdecimal() else char
        return self[code]


_PLAIN = _Plain()  # remembers each character it has seen


def unaccented(text: str) -> str:
    """A normalised text without the accents of its letters: São Paulo is Sao Paulo."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if not "\u0300" <= char <= "\u036f")
