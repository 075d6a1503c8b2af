"""The numbers, times, dates, ranges and places in an order that a claim states and its sources do not."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_agentkit.text.dates import find_dates, has_other_order
from qwen_agentkit.text.evidence import Evidence
from qwen_agentkit.text.figures import Figure, find_figures, find_ranges
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.measures import are_compatible, are_equal
from qwen_agentkit.text.ordinals import find_ordinals, has_other_place

__all__ = ["find_missing_figures"]


def find_missing_figures(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    """Return the numbers, ranges and dates of a claim that no source states like that."""
    values = set().union(*map(_stated_values, sources))
    figures = find_figures(claim, language)
    missing = [figure.text for figure in figures if _is_missing(figure, sources, values, language)]
    missing += [
        f"{one.text} – {other.text}"
        for one, other in find_ranges(claim, language)
        if not any(_states_range(one, other, source) for source in sources)
        and any(_states_range(other, one, source) for source in sources)
    ]
    stated = [date for source in sources for date in source.dates]
    missing += [date.text for date in find_dates(claim, language) if has_other_order(date, stated)]
    places = _find_missing_places(claim, sources, values, language)
    return missing + [place for place in places if not any(place in text for text in missing)]


def _stated_values(source: Evidence) -> set[str]:
    """Return every value that a source may state, those of its ordinal numbers included."""
    ordinals = {one.number for one in source.ordinals if f"-{one.number}" not in source.values}
    return source.values | set(map(str, ordinals))


def _is_missing(figure: Figure, sources: Sequence[Evidence], values: set[str], language: str) -> bool:
    # What a source states in another calendar has a "~", and does not answer to that calendar itself.
    elsewhere = figure.common or {f"~{value}" for value in figure.values}
    if (figure.values | elsewhere) & values:
        return not _has_measure(figure, sources)
    return _contradicts(figure, sources, language) and not _is_converted(figure, sources)


def _find_missing_places(
    claim: str, sources: Sequence[Evidence], values: set[str], language: str
) -> list[str]:
    """Return the ordinal numbers of a claim that its sources speak against: another floor, another time."""
    alike = [one for source in sources if source.is_in(language) for one in source.ordinals]
    foreign = [one for source in sources if not source.is_in(language) for one in source.ordinals]
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
