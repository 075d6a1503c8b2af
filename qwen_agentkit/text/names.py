"""Names, titles, addresses and codes in a text.

Knows capitals and punctuation. Knows no list of names.
"""

from __future__ import annotations

import re

from qwen_agentkit.text.calendar_names import calendar_names
from qwen_agentkit.text.folding import normalize_text

__all__ = ["find_codes", "find_names", "find_roman_numerals", "remove_codes"]

_CODE = re.compile(
    r"https?://[^\s<>()\[\]{}]+|www\.[^\s<>()\[\]{}]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,99}\w"
    # "50 m2" has a unit behind its number, and no code.
    r"|(?<![A-Za-z\d])(?!(?<=\d\s)[kcdm]?m[23](?!\w))[A-Za-z]+[-_]?\d[A-Za-z\d_-]*"
)
_TITLE = re.compile("《([^》《]+)》")
_CAPITALIZED = re.compile(r"(?<![\w@./'’-])[^\W\d_][\w'’]+(?:-[^\W\d_][\w'’]*)*")
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7a3]+")
"""What stands together with a Latin word in scripts without spaces."""
_POSSESSIVE = re.compile(r"['’]s?$")
# German and Luxembourgish capitalize every noun.
_CAPITALS_MEAN_NOTHING = frozenset({"de", "lb"})

_ERAS = frozenset(("AD", "AH", "BC", "BCE", "CE", "AM", "PM"))
_DASH_IS_A_VERB = frozenset({"be", "ru", "uk"})
"""Languages in which a dash stands for "is"."""


def find_codes(text: str) -> list[str]:
    """Return addresses and words with digits (QX-200, a@b.org), which are the same in every language."""
    return [match[0].rstrip(".,;:!?-") for match in _CODE.finditer(text)]


def remove_codes(text: str) -> str:
    """Replace addresses and words with digits by spaces; the length stays the same."""
    return _CODE.sub(lambda match: " " * len(match[0]), text)


def find_names(text: str, language: str) -> list[str]:
    """Return the capitalized words of a sentence that are names, and titles in Chinese title marks.

    The first word of a sentence or a quotation, every noun in German and every word of a heading are
    capitalized anyway, so they are not counted as names.
    """
    found = [match[1] for match in _TITLE.finditer(text)]
    words = list(_CAPITALIZED.finditer(remove_codes(text)))
    if _is_heading([word[0] for word in words]):
        return found
    known = calendar_names(language)
    first = next((place for place, char in enumerate(text) if char.isalnum()), len(text))
    for word in words:
        name = _bare_name(word[0])
        if not name or name in _ERAS or normalize_text(name) in known:
            continue
        acronym = len(name) > 1 and name.isupper()
        capital = name[0].isupper() and len(name) > 2 and language not in _CAPITALS_MEAN_NOTHING
        before = text[max(0, word.start() - 20) : word.start()]
        begins = word.start() <= first or _ends_clause(before, language)
        if acronym or (capital and not begins):
            found.append(name)
    return found


def _is_heading(words: list[str]) -> bool:
    """Tell whether most long words have a capital; the first has one in any case."""
    long = [word for word in words if len(word) > 3][1:]
    return len(long) > 2 and sum(word[0].isupper() for word in long) >= 0.75 * len(long)


def _bare_name(word: str) -> str:
    """Return a word without its possessive ending and what stands together with it; "" if it is a number."""
    parts = [part for part in _WIDE.split(_POSSESSIVE.sub("", word)) if part]
    return parts[0] if parts and not parts[0][0].isdigit() else ""


_ROMAN = re.compile(
    r"(?<![\w-])(?=[IVXLC]{2}|[VX](?![\w])|M[CDMLXVI]{3})"
    r"(M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))(?=(?:e|er|ème)?(?![\w-]))"
)
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def find_roman_numerals(text: str) -> dict[str, int]:
    """Return the Roman numerals of a text and their values; a single I is no numeral."""
    found = {}
    for match in _ROMAN.finditer(text):
        digits = [_ROMAN_DIGITS[char] for char in match[1]]
        pairs = zip(digits, [*digits[1:], 0], strict=True)
        found[match[1]] = sum(-digit if digit < following else digit for digit, following in pairs)
    return found


def _ends_clause(before: str, language: str) -> bool:
    """Tell whether a word behind `before` begins a sentence, a clause or a quotation."""
    mark = (before.rstrip() or ":")[-1]
    return mark in ".!?:;…—–-(\"'“„«‘¿¡*_" and not (mark in "—–" and language in _DASH_IS_A_VERB)
