"""Telephone numbers, bank accounts and other long codes, which are the same with any separators."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["digit_runs", "find_long_codes", "is_stated"]

# At least seven digits with single separators; an IBAN begins with letters.
_NUMBER = re.compile(r"\+?\(?\d(?:[\s().\-–/]{0,3}\d){6,24}")
_IBAN = re.compile(r"(?<![A-Za-z\d])[A-Z]{2}\d{2}(?:[ -]?[A-Z\d]{2,5}){2,8}(?![A-Za-z\d])")
_SEPARATORS = re.compile(r"(?<=\d)[\s().\-–/]{1,3}(?=\d)")
_TRUNK = re.compile(r"\(0\)")


def find_long_codes(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the places of long codes and the codes without separators."""
    text = _ascii_digits(text)
    taken = -1
    for match in sorted((*_IBAN.finditer(text), *_NUMBER.finditer(text)), key=lambda found: found.start()):
        if match.start() >= taken:
            taken = match.end()
            yield match.start(), match.end(), re.sub(r"[^A-Za-z\d]", "", _TRUNK.sub("", match[0]))


def digit_runs(text: str) -> str:
    """Return a text in which separated digits are joined, to find long codes in."""
    joined = _SEPARATORS.sub("", _TRUNK.sub("", _ascii_digits(text)))
    return re.sub(r"(?<=[A-Z\d])[ -](?=[A-Z\d])", "", joined)


def is_stated(code: str, runs: str) -> bool:
    """Tell whether the joined text of a source holds a code; a country's prefix may stand for the first 0."""
    if code in runs:
        return True
    local = code.removeprefix("00").lstrip("0")
    if not code.isdecimal() or len(local) < 7:
        return False
    return local in runs or any(
        local.endswith(known.lstrip("0")) and known.startswith("0") for known in re.findall(r"\d{7,}", runs)
    )


def _ascii_digits(text: str) -> str:
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() and not char.isascii() else char for char in text
    )
