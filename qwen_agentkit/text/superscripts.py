"""Raised and lowered characters: 10⁶ is never 106.

Readers write raised and lowered text with `mark_raised`; whatever folds characters calls `separate_raised`
first, because Unicode's compatibility form of ⁶ is 6.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["mark_raised", "separate_raised"]

_PLAIN = "0123456789+-=()"
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎"
_TO_RAISED = str.maketrans(_PLAIN + "−", _RAISED + "⁻")
_TO_LOWERED = str.maketrans(_PLAIN + "−", _LOWERED + "₋")
_TO_PLAIN = str.maketrans(_RAISED + _LOWERED, _PLAIN * 2)

_SIGNS = frozenset("+-−")
_ORDINAL = re.compile(r"st|nd|rd|th|er|re|ère|e|è|ème|ter|te|o|a|os|as|º|ª|°", re.I)
"""Raised endings of ordinal numbers: 1st, 2nd, 3ème."""
_RUN = re.compile(rf"(?<=\d)[{_RAISED}]+|(?<=\d)[{_LOWERED}]+|[{_RAISED}{_LOWERED}]+(?=\d)")


def mark_raised(text: str, before: str, *, lowered: bool = False) -> str:
    """Write raised or lowered text so that it cannot be read as part of its neighbor.

    Digits and signs become Unicode superscripts or subscripts: 10⁶, H₂O. Other text gets a caret or an
    underscore where it would join a number: 2^n. Ordinal endings and references in brackets stay as they
    are: 1st, [1].

    Args:
        text: The raised or lowered text.
        before: The text in front of it; only its last character counts.
        lowered: Whether the text is lowered instead of raised.
    """
    if text.lstrip().startswith("["):
        return text
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    marked = digits.translate(_TO_LOWERED if lowered else _TO_RAISED)
    if not any(char.isalnum() and char not in _RAISED + _LOWERED for char in marked):
        # A sign alone may be that of digits which come apart from it.
        is_sign = digits.strip() in _SIGNS
        return marked if is_sign or any(char.isdecimal() for char in digits) else text
    joins_number = text[:1].isalpha() and before[-1:].isdecimal() and not _ORDINAL.fullmatch(text.strip())
    joins_word = text[:1].isdecimal() and before[-1:].isalnum()
    return f"{'_' if lowered else '^'}{text}" if joins_number or joins_word else text


def separate_raised(text: str) -> str:
    """Rewrite raised and lowered digits beside a number in plain characters: 10⁶ becomes 10^6.

    Those that touch no number stay, since m² and m2, H₂O and H2O are the same.
    """
    return _RUN.sub(_separated, text) if not text.isascii() else text


def _separated(match: re.Match[str]) -> str:
    run = match[0].translate(_TO_PLAIN)
    if match.start() and match.string[match.start() - 1].isdecimal():
        run = f"{'^' if match[0][0] in _RAISED else '_'}{run}"
    return f"{run} " if match.string[match.end() : match.end() + 1].isdecimal() else run
