"""Charts and diagrams (SmartArt) of office files into text (ECMA-376 part 1, 21.2 and 21.4)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from qwen_agentkit.ingest.numberformats import show_number
from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.tables import rows_as_text

__all__ = ["chart_text", "diagram_text"]

_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_WINDOWS, _MAC = datetime(1899, 12, 30), datetime(1904, 1, 1)
"""The days from which dates are counted."""
_MOST = 10_000
"""Points that a chart may have."""
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
"""What a format of numbers shows as it is, and its colors."""


def chart_text(root: Any) -> str:
    """Return the title, the axes, and a row for each category with the values of all series.

    Args:
        root: The element `c:chartSpace`.
    """
    title = _rich_text(root.find(f"{_C}chart/{_C}title"))
    axes = [text for axis in root.iter(f"{_C}title") for text in [_rich_text(axis)] if text and text != title]
    switch = root.find(f"{_C}date1904")
    start = _MAC if switch is not None and switch.get("val", "1") not in ("0", "false") else _WINDOWS
    rows: dict[tuple[str, int], dict[int, str]] = {}  # by category and how often it came before
    names = []
    for number, series in enumerate(root.iter(f"{_C}ser")):
        texts = _points(series.find(f"{_C}tx"))
        names.append(" ".join(texts.values()) or f"Series {number + 1}")
        categories = _points(series.find(f"{_C}cat"), start) or _points(series.find(f"{_C}xVal"), start)
        values = _points(series.find(f"{_C}val"), start) or _points(series.find(f"{_C}yVal"), start)
        seen = Counter[str]()
        for place, value in values.items():
            category = categories.get(place, str(place + 1))
            rows.setdefault((category, seen[category]), {})[number] = value
            seen[category] += 1
    named = ["Category" if names else "", *names]
    table = [
        [category, *(row.get(at, "") for at in range(len(names)))] for (category, _), row in rows.items()
    ]
    written = rows_as_text([named, *table], 1) if table else ""
    return "\n\n".join(filter(None, (title, ", ".join(dict.fromkeys(axes)), written)))


def _rich_text(element: Any) -> str:
    if element is None:
        return ""
    texts = [text.text or "" for text in element.iter(f"{_A}t")]
    return " ".join(("".join(texts) or " ".join(_points(element).values())).split())


def _points(element: Any, start: datetime = _WINDOWS) -> dict[int, str]:
    """Return the cached values of a series by their place; labels of several levels are joined.

    A label of an outer level stands at its first category and holds up to the next one.
    """
    if element is None:
        return {}
    levels = list(element.iter(f"{_C}lvl")) or [element]
    *outer, found = (_level_points(level, start) for level in reversed(levels))
    for level in outer[::-1]:
        starts = sorted(level)
        for place in found:
            if at := bisect_right(starts, place):
                found[place] = f"{level[starts[at - 1]]} {found[place]}"
    if not found:  # A name that is no reference to cells.
        name = next((value.text for value in element.iter(f"{_C}v") if value.text), "")
        return {0: name} if name else {}
    return found


def _level_points(level: Any, start: datetime) -> dict[int, str]:
    code = next((code.text or "" for code in level.iter(f"{_C}formatCode")), "")
    found = {}
    for point in list(level.iter(f"{_C}pt"))[:_MOST]:
        value = point.find(f"{_C}v")
        place = point.get("idx", "")
        if value is not None and value.text and place.isdecimal():
            found[int(place)] = _show(value.text, code, start)
    return found


def _show(value: str, code: str, start: datetime) -> str:
    """Write a value as the chart shows it, the share 0.25 as 25%, and dates in ISO format."""
    letters = _NO_LETTERS.sub("", code).lower()
    try:
        if "general" in letters or not any(char in letters for char in "ymdhs"):
            return show_number(float(value), code) if code else value
        moment = start + timedelta(days=round(float(value) * 86400) / 86400)
    except (ValueError, OverflowError):
        return value
    if not any(char in letters for char in "yd"):
        return moment.time().isoformat()
    return moment.date().isoformat() if moment.time() == datetime.min.time() else moment.isoformat()


def diagram_text(root: Any) -> str:
    """Return the texts of a diagram as a list, in the order in which they were written.

    Args:
        root: The element `dgm:dataModel`.
    """
    return "\n".join(f"- {text}" for text in _diagram_points(root))


def _diagram_points(root: Any) -> Iterator[str]:
    for point in root.iter():
        if local_name(point) == "pt":
            paragraphs = (
                "".join(text.text or "" for text in part.iter(f"{_A}t")) for part in point.iter(f"{_A}p")
            )
            if text := " ".join(" ".join(paragraphs).split()):
                yield text
