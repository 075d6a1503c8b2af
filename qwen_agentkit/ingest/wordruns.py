"""The runs of Word files as they are shown: hidden ones removed, raised ones marked, symbols read."""

from __future__ import annotations

from typing import Any

from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.struck import mark_struck
from qwen_agentkit.ingest.symbols import is_symbol_font, read_symbols
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["Runs"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Runs:
    """Rewrites the runs of a document in place.

    Args:
        styles: The element that holds the styles of the document.
    """

    def __init__(self, styles: Any) -> None:
        self.warnings: list[str] = []
        self._positions: dict[str, str] = {}
        self._switched: dict[str, set[str]] = {"vanish": set(), "strike": set(), "dstrike": set()}
        """The styles that hide or strike through what has them."""
        for properties in styles.iterfind(f"{_W}style/{_W}rPr"):
            style = properties.getparent().get(f"{_W}styleId") or ""
            align = properties.find(f"{_W}vertAlign")
            if align is not None:
                self._positions[style] = align.get(f"{_W}val") or ""
            for name, styles in self._switched.items():
                if _is_on(properties.find(f"{_W}{name}")):
                    styles.add(style)

    def prepare(self, root: Any) -> None:
        """Rewrite the runs below an element: in its paragraphs."""
        self._remove_hidden(root)
        _empty_instructions(root)
        before = ""
        for element in root.iter(f"{_W}p", f"{_W}r"):
            if local_name(element) == "p":
                before = ""
                continue
            position, font = self._position(element), _font(element)
            for text in element.iterchildren(f"{_W}t"):
                if is_symbol_font(font):
                    text.text = read_symbols(font, text.text or "")
                if position:
                    text.text = mark_raised(text.text or "", before, lowered=position == "subscript")
                before = text.text or before
                if self._is_switched(element, "strike") or self._is_switched(element, "dstrike"):
                    text.text = mark_struck(text.text or "")

    def _remove_hidden(self, root: Any) -> None:
        removed = False
        for run in list(root.iter(f"{_W}r")):
            if self._is_switched(run, "vanish"):
                removed = removed or any((text.text or "").strip() for text in run.iter(f"{_W}t"))
                run.getparent().remove(run)
        warning = "Hidden text was left out."
        if removed and warning not in self.warnings:
            self.warnings.append(warning)

    def _is_switched(self, run: Any, name: str) -> bool:
        """Tell whether a run has a property, itself or by its style or that of its paragraph."""
        own = run.find(f"{_W}rPr/{_W}{name}")
        if own is not None:
            return _is_on(own)
        styles = self._switched[name]
        style = run.find(f"{_W}rPr/{_W}rStyle")
        if not styles:
            return False
        if style is not None and style.get(f"{_W}val") in styles:
            return True
        paragraph = next(run.iterancestors(f"{_W}p"), None)
        of_paragraph = paragraph.find(f"{_W}pPr/{_W}pStyle") if paragraph is not None else None
        return of_paragraph is not None and of_paragraph.get(f"{_W}val") in styles

    def _position(self, run: Any) -> str:
        """Return "superscript" or "subscript" for a run, else an empty string."""
        own = run.find(f"{_W}rPr/{_W}vertAlign")
        style = run.find(f"{_W}rPr/{_W}rStyle")
        position = own.get(f"{_W}val") if own is not None else None
        if position is None and style is not None:
            position = self._positions.get(style.get(f"{_W}val"))
        if position is None:
            position = _raised_by_points(run)
        return position if position in ("superscript", "subscript") else ""


def _empty_instructions(root: Any) -> None:
    """Empty the results of fields that stand in the instruction of another one, which shows its own."""
    fields: list[tuple[bool, list[Any]]] = []  # Whether the result has begun, and the texts before it.
    for element in root.iter(f"{_W}fldChar", f"{_W}t"):
        kind = element.get(f"{_W}fldCharType")
        if local_name(element) == "t":
            for in_result, texts in fields:
                if not in_result:
                    texts.append(element)
        elif kind == "begin":
            fields.append((False, []))
        elif kind == "separate" and fields:
            fields[-1] = (True, fields[-1][1])
        elif kind == "end" and fields:
            for text in fields.pop()[1]:
                text.text = ""


def _raised_by_points(run: Any) -> str | None:
    """Return the position of a run that is moved up or down by some points, as older files do."""
    moved = run.find(f"{_W}rPr/{_W}position")
    value = (moved.get(f"{_W}val") or "") if moved is not None else ""
    half_points = int(value) if value.lstrip("-").isdecimal() else 0
    if abs(half_points) < 4:
        return None
    return "superscript" if half_points > 0 else "subscript"


def _font(run: Any) -> str:
    fonts = run.find(f"{_W}rPr/{_W}rFonts")
    return (fonts.get(f"{_W}ascii") or fonts.get(f"{_W}hAnsi") or "") if fonts is not None else ""


def _is_on(switch: Any) -> bool:
    return switch is not None and switch.get(f"{_W}val") not in ("0", "false", "off")
