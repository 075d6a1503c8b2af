"""From the order in which a line stands on paper to the order in which it is read.

The inverse of the Unicode bidirectional algorithm (UAX #9) for one line whose glyphs are known from left to
right: letters of right-to-left scripts are read from the right, numbers and Latin words from the left.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["is_rtl_line", "logical_order", "mirror_brackets"]

_PHONE = re.compile(r"(?<![\d+])\+[0-9]{1,4}(?:[ ()./-]{1,2}[0-9]{1,5}){1,6}(?![\d+])")
_LATIN_BRACKETS = re.compile(r"[A-Za-z][!-'*-~]{0,60} ?\([^()\u0590-\u08ff]*[A-Za-z][^()\u0590-\u08ff]*\)")
_POWER = re.compile("[⁰¹²³⁴-⁹⁺⁻₀-₋]+")
_BRACKET = re.compile(r"[()\[\]{}«»‹›]")


@lru_cache(maxsize=1 << 14)
def _kind(text: str) -> str:
    """Return R or A (Arabic) for letters, L for letters read to the right, E or N (Arabic) for digits."""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("R", "AL"):
            return "A" if kind == "AL" else "R"
        if kind == "L":
            return "L"
        if kind in ("EN", "AN"):
            return "E" if kind == "EN" else "N"
    return {"CS": "C", "ES": "S", "ET": "T", "NSM": "M"}.get(
        unicodedata.bidirectional(text[0]) if text else "", "O"
    )


def is_rtl_line(text: str) -> bool:
    """Tell whether most letters of a text are of right-to-left scripts."""
    if text.isascii():
        return False
    kinds = [_kind(char) for char in text if not char.isascii()]
    right = sum(kind in "RA" for kind in kinds)
    if not right:
        return False
    left = sum(char.isascii() and char.isalpha() for char in text) + kinds.count("L")
    return 2 * right >= left


def logical_order(visual: Sequence[str], rtl: bool | None = None) -> str:
    """Return a line in logical order.

    Args:
        visual: The texts of its glyphs from left to right, each in logical order within itself. The marks of
            right-to-left letters stand to the left of their letter.
        rtl: Whether the line is read from the right. Default: if most of its letters are.
    """
    items = [text for text in visual if text]
    kinds = [_kind(text) for text in items]
    if is_rtl_line("".join(items)) if rtl is None else rtl:
        _mark_left_to_right(items, kinds)
        return mirror_brackets(_read_leftwards(items, kinds))
    # In a line written to the right, only the words between the first and last right-to-left letter turn.
    out: list[str] = []
    index = 0
    while index < len(items):
        if kinds[index] not in "RA":
            # What belongs to the part that turns: a mark in front of its letter, Arabic digits behind words.
            ahead = index
            while ahead < len(items) and kinds[ahead] == "M":
                ahead += 1
            if kinds[index] == "N":
                ahead = next((at for at in range(index, len(items)) if kinds[at] in "RAL"), len(items))
            if ahead == index or ahead == len(items) or kinds[ahead] not in "RA":
                out.append(items[index])
                index += 1
                continue
        end = last = index
        while end < len(items) and kinds[end] != "L":
            if kinds[end] in "RA":
                last = end
            end += 1
        out.append(_read_leftwards(items[index : last + 1], kinds[index : last + 1]))
        index = last + 1
    return mirror_brackets("".join(out))


def _mark_left_to_right(items: Sequence[str], kinds: list[str]) -> None:
    """Let phone numbers with a plus at their left, and brackets in Latin text, be read to the right.

    The groups of a number would stand in the other order if the writer had not set it apart: nothing begins
    with its last digits, then a plus. Brackets go with the text in and before them (UAX #9, N0).
    """
    starts: list[int] = []
    for number, item in enumerate(items):
        starts += [number] * len(item)
    for at, item in enumerate(items[:-1]):
        # A power follows its number, on whichever side of it a producer paints it.
        if kinds[at + 1] in "EN" and _POWER.fullmatch(item) and (at == 0 or kinds[at - 1] not in "EN"):
            kinds[at] = "R"
    text = "".join(items)
    for found in (*_PHONE.finditer(text), *_LATIN_BRACKETS.finditer(text)):
        for at in range(starts[found.start()], starts[found.end() - 1] + 1):
            kinds[at] = "L"


def _read_leftwards(items: Sequence[str], kinds: Sequence[str]) -> str:
    """Read a line from its right end; runs of numbers and Latin text are read to the right."""
    out: list[str] = []
    strong = "R"
    right = len(items) - 1
    while right >= 0:
        kind = kinds[right]
        if kind in "LEN" or (kind == "T" and _touches_number(kinds, right, strong)):
            left = _run_start(items, kinds, right, strong)
            out += items[left : right + 1]
            if "L" in kinds[left : right + 1]:
                strong = "L"
            right = left - 1
            continue
        if kind in "RA":
            strong = kind
        out.append(items[right])
        right -= 1
    return "".join(out)


def _touches_number(kinds: Sequence[str], right: int, strong: str) -> bool:
    """Tell whether a sign such as % belongs to the number at its left; behind Arabic letters it does not."""
    return strong != "A" and right > 0 and kinds[right - 1] == "E"


def _run_start(items: Sequence[str], kinds: Sequence[str], right: int, strong: str) -> int:
    """Return where the run of numbers and Latin text that ends here starts."""
    left = right
    while left > 0:
        nearest = left - 1
        while nearest >= 0 and kinds[nearest] not in "LENRA":
            nearest -= 1
        if nearest < 0 or kinds[nearest] in "RA":
            break
        between = kinds[nearest + 1 : left]
        if not _joins(kinds[nearest], "".join(between), kinds[left], items[nearest + 1 : left], strong):
            break
        left = nearest
    if left > 0 and kinds[left] == "E" and strong != "A":
        while left > 0 and kinds[left - 1] == "T":
            left -= 1
    return left


def _joins(before: str, between: str, after: str, signs: Sequence[str], strong: str) -> bool:
    """Tell whether two neighbors on paper are one run that is read to the right."""
    if not between:
        return True
    if before == "L" and after in "LE":
        return True
    if before in "ET" and after == "L":
        return True
    if before in "EN" and after in "EN":
        single = len(between) == 1
        return single and (between == "C" or (between == "S" and strong != "A" and before == after == "E"))
    return before == "E" and after == "T" and strong != "A"


def mirror_brackets(text: str) -> str:
    """Turn the brackets of a line around, kind by kind, if more of them find their partner then.

    Some files name brackets by their shape and some by their meaning, which differ in right-to-left text.
    """
    if not _BRACKET.search(text):
        return text
    for kind in ("()", "[]", "{}", "«»", "‹›"):
        if kind[0] in text or kind[1] in text:
            turned = text.translate({ord(kind[0]): kind[1], ord(kind[1]): kind[0]})
            text = turned if _lonely(turned, kind) < _lonely(text, kind) else text
    return text


def _lonely(text: str, kind: str) -> int:
    """Return how many brackets of a kind have no partner."""
    depth = lonely = 0
    for char in text:
        if char == kind[0]:
            depth += 1
        elif char == kind[1] and depth:
            depth -= 1
        elif char == kind[1]:
            lonely += 1
    return lonely + depth
