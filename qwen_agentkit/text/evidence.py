"""Compare a claim with the passages it cites: quotations, numbers and names.

Knows spellings, not meanings: a claim whose quotations, numbers and names all occur in its passages may still
say something else with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.text.calendar_names import calendar_names
from qwen_agentkit.text.citations import document_source, passage_language, without_markers
from qwen_agentkit.text.contacts import digit_runs, find_long_codes, is_stated
from qwen_agentkit.text.dates import Date, find_dates, has_other_order
from qwen_agentkit.text.figures import Figure, collect_values, find_figures, find_ranges
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.markup import without_markup
from qwen_agentkit.text.measures import are_compatible, are_equal
from qwen_agentkit.text.names import find_codes, find_names, find_roman_numerals
from qwen_agentkit.text.negation import find_denial
from qwen_agentkit.text.numerals import knows_number_words
from qwen_agentkit.text.ordinals import Ordinal, find_ordinals, find_stated_places, has_other_place
from qwen_agentkit.text.quotes import find_quotations
from qwen_agentkit.text.scripts import count_scripts, script_of
from qwen_agentkit.text.spoken import rewrite_amounts
from qwen_agentkit.text.substitutions import find_substitution
from qwen_agentkit.text.titles import TitledName, find_titled_names

__all__ = ["Evidence", "Missing", "find_missing"]


class Missing(TypedDict):
    """Something that a sentence states and none of its passages does.

    Attributes:
        kind: "quote", "number" (also times and dates), "name" (also addresses and codes) or "negation" (the
            sentence denies what a passage says, or the other way round).
        text: The words of the sentence; of a negation that it leaves out, those of the passage.
    """

    kind: Literal["quote", "number", "name", "negation"]
    text: str


# Removing a marker leaves a space: "in 1950 [2], and" becomes "in 1950 , and".
_SPACE_BEFORE_MARK = re.compile(r" (?=[.,;:!?])")


class Evidence:
    """A passage and its searchable forms, each computed when first needed."""

    def __init__(self, document: Document) -> None:
        self.document = document
        # A name or a year may occur only in the title.
        headings = (str(document.metadata.get(key) or "") for key in ("title", "section"))
        self.text = "\n".join([document.page_content, *filter(None, headings)])
        self.source = document_source(document)

    @cached_property
    def language(self) -> str:
        """The language of the passage."""
        return passage_language(self.document)

    @cached_property
    def normalized(self) -> str:
        """The normalized text."""
        return normalize_text(self.text)

    @cached_property
    def quotable(self) -> str:
        """The normalized text without footnote marks and markup, which quotations leave out."""
        return _SPACE_BEFORE_MARK.sub("", normalize_text(without_markup(without_markers(self.text))))

    @cached_property
    def values(self) -> set[str]:
        """Every value that the passage may state."""
        return collect_values(self.text, self.language)

    @cached_property
    def figures(self) -> list[Figure]:
        """What the passage certainly states."""
        return find_figures(self.text, self.language)

    @cached_property
    def ranges(self) -> list[tuple[Figure, Figure]]:
        """The pairs of numbers that are the ends of a range."""
        return find_ranges(self.text, self.language)

    @cached_property
    def dates(self) -> list[Date]:
        """The days of months that it states."""
        return find_dates(self.text, self.language)

    @cached_property
    def ordinals(self) -> list[Ordinal]:
        """The places in an order that it states: "third", "3."."""
        return find_stated_places(self.normalized, self.language)

    @cached_property
    def runs(self) -> str:
        """The text with separated digits joined."""
        return digit_runs(self.text)

    @cached_property
    def has_figures(self) -> bool:
        """Whether the passage certainly states a number."""
        return any(value.lstrip("-")[0].isdecimal() for figure in self.figures for value in figure.values)

    def knows(self, kinds: set[str], language: str) -> bool:
        """Tell whether the weekdays ("d") or the months ("m", "p", "j") of the passage can be read.

        Those of another language may be written in a way that is not known.
        """
        same = self.language.split("-")[0] == language.split("-")[0]
        return same or any(value.lstrip("~")[0] in kinds for value in self.values)

    @cached_property
    def may_spell_numbers(self) -> bool:
        """Whether the passage may state numbers in words that are not known here."""
        return not knows_number_words(self.language) and not re.search(r"\d", self.normalized)

    @cached_property
    def words(self) -> set[str]:
        """The words of the passage, without accents."""
        return set(re.findall(r"[^\W_]+", remove_accents(self.normalized)))

    @cached_property
    def titled_names(self) -> list[TitledName]:
        """The names that stand beside a title."""
        return find_titled_names(self.text, self.language)

    @cached_property
    def script(self) -> str:
        """The script of most of its words."""
        found = count_scripts(self.text)
        return _writing(max(found, key=lambda name: found[name], default=""))

    @cached_property
    def joined(self) -> str:
        """Text and source without spaces, hyphens and underscores: codes are searched in it."""
        return _join(f"{self.text}\n{self.source}")


def find_missing(claim: str, sources: Sequence[Evidence], language: str) -> list[Missing]:
    """Return what a claim states and none of its sources does, each once.

    Args:
        claim: A sentence without citation markers.
        sources: The passages it cites.
        language: The language of the claim.
    """
    missing: list[Missing] = []
    for parts in find_quotations(claim):
        if not any(all(_contains_quote(part, source) for part in parts) for source in sources):
            missing.append({"kind": "quote", "text": " … ".join(parts)})
    rest = _without_known_codes(claim, sources)
    missing += [{"kind": "number", "text": text} for text in _missing_figures(rest, sources, language)]
    missing += [{"kind": "name", "text": name} for name in _missing_names(rest, sources, language)]
    alike = [source.text for source in sources if source.language.split("-")[0] == language.split("-")[0]]
    if denial := find_denial(claim, alike, language):
        missing.append({"kind": "negation", "text": denial})
    return list({(item["kind"], item["text"]): item for item in missing}.values())


def _without_known_codes(claim: str, sources: Sequence[Evidence]) -> str:
    """Blank the telephone numbers, accounts and the like that a source states with other separators."""
    for start, end, code in find_long_codes(claim):
        if any(is_stated(code, source.runs) for source in sources):
            claim = f"{claim[:start]}{' ' * (end - start)}{claim[end:]}"
    return claim


def _missing_figures(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the numbers, ranges and dates of a claim that no source states like that."""
    values = set().union(*(source.values for source in sources))
    values |= {
        str(one.number)
        for source in sources
        for one in source.ordinals
        if f"-{one.number}" not in source.values
    }
    missing: list[str] = []
    for figure in find_figures(claim, language):
        # What a source states in another calendar has a "~", and does not answer to that calendar itself.
        elsewhere = figure.common or {f"~{value}" for value in figure.values}
        if not (figure.values | elsewhere) & values:
            if _contradicts(figure, sources, language) and not _is_converted(figure, sources):
                missing.append(figure.text)
        elif not _has_measure(figure, sources):
            missing.append(figure.text)
    for one, other in find_ranges(claim, language):
        if not any(_states_range(one, other, source) for source in sources) and any(
            _states_range(other, one, source) for source in sources
        ):
            missing.append(f"{one.text} – {other.text}")
    stated = [date for source in sources for date in source.dates]
    missing += [date.text for date in find_dates(claim, language) if has_other_order(date, stated)]
    places = _missing_places(claim, sources, values, language)
    return missing + [place for place in places if not any(place in text for text in missing)]


def _missing_places(claim: str, sources: Sequence[Evidence], values: set[str], language: str) -> list[str]:
    """Return the ordinal numbers of a claim that its sources speak against: another floor, another time."""
    base = language.split("-")[0]
    alike = [one for source in sources if source.language.split("-")[0] == base for one in source.ordinals]
    foreign = [one for source in sources if source.language.split("-")[0] != base for one in source.ordinals]
    return [
        one.text
        for one in find_ordinals(normalize_text(claim), language)
        if has_other_place(one, alike, foreign)
        and (str(one.number) not in values or any(one.things & other.things for other in alike))
    ]


def _states_range(one: Figure, other: Figure, source: Evidence) -> bool:
    return any(
        one.values & first.values and other.values & last.values and not one.values & other.values
        for first, last in source.ranges
    )


def _has_measure(figure: Figure, sources: Sequence[Evidence]) -> bool:
    """Tell whether a source may state the number of a claim with the same unit or currency."""
    if not figure.measure:
        return True
    stated = [one for source in sources for one in source.figures if one.values & figure.values]
    return (
        not stated
        or any(are_compatible(figure.measure, one.measure) for one in stated)
        or _is_converted(figure, sources)
    )


def _is_converted(figure: Figure, sources: Sequence[Evidence]) -> bool:
    """Tell whether a source states the amount in another unit: 90 minutes are 1.5 hours."""
    return any(
        are_equal(value, figure.measure, other, one.measure)
        for source in sources
        for one in source.figures
        if one.measure
        for value in figure.values
        for other in one.values
    )


def _contradicts(figure: Figure, sources: Sequence[Evidence], language: str) -> bool:
    """Tell whether a figure that no source states makes the claim wrong."""
    kinds = {value[0] for value in figure.values}
    if kinds <= {"d", "m", "p", "j"}:
        return any(source.knows(kinds, language) for source in sources)
    if not all(value.isdecimal() and int(value) <= 12 for value in figure.values):
        return True
    # "Two rules" may count what a passage lists, so it contradicts only passages with figures.
    if figure.spelled:
        return any(source.has_figures for source in sources)
    return not any(source.may_spell_numbers for source in sources)


def _contains_quote(part: str, source: Evidence) -> bool:
    wanted = _SPACE_BEFORE_MARK.sub("", normalize_text(without_markup(part)))
    # Where words are separated by spaces, half a word does not count as a quotation.
    head = r"(?<!\w)" if _uses_spaces(wanted[0]) else ""
    tail = r"(?!\w)" if _uses_spaces(wanted[-1]) else ""
    quote = re.compile(f"{head}{re.escape(wanted)}{tail}")
    return any(quote.search(text) for text in (source.normalized, source.quotable))


def _uses_spaces(char: str) -> bool:
    """Tell whether a letter is Latin, Greek or Cyrillic."""
    return char < "\u0530" and char.isalnum()


def _missing_names(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    claim = rewrite_amounts(claim)
    codes = [
        code for code in find_codes(claim) if not any(_join(code) in source.joined for source in sources)
    ]
    titled = _missing_titled(claim, sources, language)
    # A source in another language may spell the names differently, so they are not compared.
    base = language.split("-")[0]
    if any(source.language.split("-")[0] != base for source in sources):
        return codes + titled
    numerals = find_roman_numerals(claim)
    # EUR and Celsius are no names beside a number: its measure is compared.
    counted = {
        word for figure in find_figures(claim, language) for word in re.findall(r"\w+", figure.counted)
    }
    names = [
        name
        for name in find_names(claim, language)
        if normalize_text(name) not in counted
        and not any(_states_numeral(name, numerals, source) for source in sources)
    ]
    missing = [
        name
        for name in names
        if name in numerals or not any(_contains_name(name, source, language) for source in sources)
    ]
    missing += [name for name in titled if name not in missing]
    # Where capitals tell nothing, only the place in a repeated sentence does.
    other = None if missing else find_substitution(claim, [source.text for source in sources], language)
    words = set(normalize_text(other or "").split())
    return [*codes, *missing, *([other] if other and not words <= calendar_names(language) | counted else [])]


def _states_numeral(name: str, numerals: dict[str, int], source: Evidence) -> bool:
    """Tell whether a source states a Roman numeral or its value; "XLI" is not in "XLII"."""
    if name not in numerals:
        return False
    return str(numerals[name]) in source.values or bool(re.search(rf"\b{name}\b", source.text))


def _missing_titled(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the names beside a title that no source states, where all are in the script of the name."""
    missing = []
    for titled in find_titled_names(claim, language):
        comparable = all(source.script == _writing(script_of(titled.name[0])) for source in sources)
        # Without capitals and without titles in the sources, the word may be anything.
        told = titled.capital or any(source.titled_names for source in sources)
        if comparable and told and not any(_states_person(titled, source, language) for source in sources):
            missing.append(titled.name)
        elif comparable and any(_has_other_last_name(titled, source) for source in sources):
            missing.append(titled.behind)
    return missing


def _writing(script: str) -> str:
    """Return one name for the scripts that Japanese mixes."""
    return "han" if script == "kana" else script


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


def _join(text: str) -> str:
    return re.sub(r"[\s_-]", "", normalize_text(text))
