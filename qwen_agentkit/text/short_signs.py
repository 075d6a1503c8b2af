"""Short signs beside numbers, written apart from them: 2.5M, €3bn, EUR12, Q3, v2.1, 5'10"."""

from __future__ import annotations

import re

from qwen_agentkit.text.measures import is_currency_code

__all__ = ["write_signs_apart"]

_MILLIONS = re.compile(r"(?<=\d) ?(?:M(?![\w²³])|(?i:mn|mln)(?!\w))|(?<=\d)M(?=[€$£])")
_THOUSANDS = re.compile(r"(?<=\d)K(?!\w)")
_BILLIONS = re.compile(r"(?<=\d) ?(?:bn|Bn|BN)(?!\w)|(?<=\d)B(?!\w)")
_MONEY_MILLIONS = re.compile(r"([$€£¥₹]\s?\d[\d.,]*) ?m(?!\w)")
_QUARTER = re.compile(r"(?<!\w)[QH]([1-4])(?!\w)")
_CODE_AND_NUMBER = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?=\d)")


_VERSION = re.compile(r"(?<!\w)[vV](?=\d{1,4}\.\d)")
_FEET = re.compile(r"(?<!\w)(\d)['′’] ?(\d{1,2}) ?(?:[\"″”]|'')")


def write_signs_apart(text: str) -> str:
    """Write the short signs of a text apart from their numbers: 2.5M, €3bn, EUR12, Q3, v2.1, 5'10"."""
    text = _FEET.sub(r"\1 feet \2 inches", _VERSION.sub("", text))
    text = _MONEY_MILLIONS.sub(r"\1 million", text)
    text = _MILLIONS.sub(" million", _BILLIONS.sub(" billion", _THOUSANDS.sub(" thousand", text)))
    return _CODE_AND_NUMBER.sub(_apart, _QUARTER.sub(r" \1 ", text))


def _apart(match: re.Match[str]) -> str:
    return f"{match[1]} " if is_currency_code(match[1]) else match[1]
