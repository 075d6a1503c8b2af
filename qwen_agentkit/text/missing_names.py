"""The names of persons, places and things, and the codes, that a claim states and its sources do not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_agentkit.text.calendar_names import calendar_names
from qwen_agentkit.text.evidence import Evidence, join_code
from qwen_agentkit.text.figures import find_figures
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.names import find_codes, find_names, find_roman_numerals
from qwen_agentkit.text.short_signs import write_signs_apart
from qwen_agentkit.text.substitutions import find_substitution
from qwen_agentkit.text.titles import TitledName, find_titled_names

__all__ = ["find_missing_names"]


def find_missing_names(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the names and codes of a claim that no source states.

    Args:
        claim: A sentence without citation markers.
        sources: The passages it cites.
        language: The language of the claim.
    """
    claim = write_signs_apart(claim)
    codes = [code for code in find_codes(claim) if not any(join_code(code) in one.joined for one in sources)]
    titled = _find_missing_titled(claim, sources, language)
    # A source in another language may spell the names differently, so they are not compared.
    if not all(source.is_in(language) for source in sources):
        return codes + titled
    # EUR and Celsius are no names beside a number: its measure is compared.
    counted = {
        word for figure in find_figures(claim, language) for word in re.findall(r"\w+", figure.counted)
    }
    unstated = _find_unstated(claim, sources, language)
    missing = [name for name in unstated if normalize_text(name) not in counted]
    missing += [name for name in titled if name not in missing]
    if missing:
        return codes + missing
    # Where capitals tell nothing, only the place in a repeated sentence does.
    other = find_substitution(claim, [source.text for source in sources], language)
    if other and not set(normalize_text(other).split()) <= calendar_names(language) | counted:
        return [*codes, other]
    return codes


def _find_unstated(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the names and Roman numerals that no source states."""
    numerals = find_roman_numerals(claim)
    return [
        name
        for name in find_names(claim, language)
        if not any(
            _states_numeral(name, numerals[name], source)
            if name in numerals
            else _contains_name(name, source, language)
            for source in sources
        )
    ]


def _states_numeral(numeral: str, value: int, source: Evidence) -> bool:
    """Tell whether a source states a Roman numeral or its value; "XLI" is not in "XLII"."""
    return str(value) in source.values or bool(re.search(rf"\b{numeral}\b", source.text))


def _find_missing_titled(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the names beside a title that no source states, where all are in the script of the name."""
    missing = []
    for titled in find_titled_names(claim, language):
        comparable = all(source.shares_script(titled.name[0]) for source in sources)
        # Without capitals and without titles in the sources, the word may be anything.
        told = titled.capital or any(source.titled_names for source in sources)
        if comparable and told and not any(_states_person(titled, source, language) for source in sources):
            missing.append(titled.name)
        elif comparable and any(_has_other_last_name(titled, source) for source in sources):
            missing.append(titled.behind)
    return missing


def _states_person(titled: TitledName, source: Evidence, language: str) -> bool:
    signs = tuple(reading for reading in titled.readings if len(reading) == 1)
    if signs and source.titled_names:
        return any(name.startswith(signs) for one in source.titled_names for name in one.readings)
    return any(_contains_name(reading, source, language) for reading in titled.readings)


def _has_other_last_name(titled: TitledName, source: Evidence) -> bool:
    """Tell whether a source gives the first name of somebody another last name."""
    return (
        bool(titled.behind)
        and normalize_text(titled.behind) not in source.normalized
        and any(one.name == titled.name and one.behind for one in source.titled_names)
    )


# Languages in which a name changes its last letters with the grammatical case.
_INFLECTING = frozenset(
    {"be", "bg", "bs", "cs", "el", "et", "fi", "hr", "hu", "kk", "la", "lt", "lv", "mk", "pl", "ro", "ru"}
    | {"sk", "sl", "sr", "tr", "uk"}
)


def _contains_name(name: str, source: Evidence, language: str) -> bool:
    folded = remove_accents(normalize_text(name))
    if folded in remove_accents(source.normalized):
        return True
    for part in re.findall(r"[^\W_]+", folded):
        stem = part[: max(3, len(part) - 2)] if language in _INFLECTING else part.removesuffix("s")
        longest_ending = 6 if language in _INFLECTING else 2
        if not any(
            word.startswith(stem) and len(word) <= len(stem) + longest_ending for word in source.words
        ):
            return False
    return True
