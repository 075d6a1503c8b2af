"""Quotations: what stands between quotation marks, in many scripts."""

from __future__ import annotations

import re

__all__ = ["find_quotations"]

# A mark behind a digit opens no quotation: it is the inch of 27".
_QUOTED = re.compile(
    r"“([^”“]+)”|(?<!\d)”([^”“]+)”|„([^“”„]+)[“”]|«([^»«]+)»|»([^»«]+)«|「([^」「]+)」|『([^』『]+)』"
    r'|(?<!\d)"([^"]+)"'
)
_OMISSION = re.compile(r"\s*[\[(]?(?:…|\.\.\.)[\])]?\s*")


def find_quotations(text: str) -> list[list[str]]:
    """Return what stands between quotation marks, each as the parts between its omissions ("a ... b")."""
    found = []
    for match in _QUOTED.finditer(text):
        parts = [part.strip(" .,;:!?。，、؛،؟।") for part in _OMISSION.split(match[match.lastindex or 0])]
        if parts := [part for part in parts if any(char.isalnum() for char in part)]:
            found.append(parts)
    return found
