"""Word files into Markdown, through python-docx."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qwen_agentkit.ingest.office import first_title, local_name, read_office, write_row
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.text.superscripts import mark_raised

if TYPE_CHECKING:
    from docx.document import Document

__all__ = ["read_docx"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"


def read_docx(data: bytes) -> list[Part]:
    """Read a Word file: headings and lists as Markdown, tables as rows, in order."""
    return read_office(data, "Word", _read_document)


def _read_document(data: bytes) -> list[Part]:
    from docx import Document

    document = Document(io.BytesIO(data))
    _mark_raised_runs(document)
    marks = _style_marks(document)
    blocks = _children(document.element.body, "p", "tbl")
    text = "".join(
        _write_paragraph(block, marks) if local_name(block) == "p" else _write_table(block)
        for block in blocks
    )
    heading = re.search(r"^#+ (.*)$", text, re.M)
    return [Part(text.strip(), first_title(document.core_properties.title, heading and heading[1]))]


def _style_marks(document: Document) -> dict[str, str]:
    """Return the Markdown mark of each style by its id; styles inherit from their base."""
    marks = {}
    for style in document.styles:
        base: Any = style
        for _ in range(9):  # A broken file may have a cycle of bases.
            if base is None or style.style_id in marks:
                break
            name = str(base.name).lower()
            if heading := re.fullmatch(r"heading ([1-9])|title", name):
                marks[style.style_id] = "#" * min(6, int(heading[1] or 1)) + " "
            elif name.startswith(("list bullet", "list number")) or base.element.xpath("./w:pPr/w:numPr"):
                marks[style.style_id] = "- "
            base = getattr(base, "base_style", None)
    return marks


def _write_paragraph(paragraph: Any, marks: dict[str, str]) -> str:
    lines = "".join(_texts(paragraph)).split("\n")
    text = "\n".join(filter(None, (line.strip() for line in lines)))
    mark = _find_mark(paragraph, marks)
    if mark:
        text = " ".join(text.split())
    between = "\n" if mark.endswith("- ") else "\n\n"
    return f"{between}{mark}{text}" if text else ""


def _find_mark(paragraph: Any, marks: dict[str, str]) -> str:
    mark = marks.get(paragraph.style, "")
    numbering = paragraph.pPr.numPr if paragraph.pPr is not None else None
    if numbering is None or mark.startswith("#"):
        return mark
    level = numbering.ilvl.val if numbering.ilvl is not None else 0
    taken_off = numbering.numId is not None and numbering.numId.val == 0
    return "" if taken_off else f"{'  ' * level}- "


def _write_table(table: Any) -> str:
    """Return the rows of a table. A cell merged over rows is repeated, one merged over columns is not."""
    lines = []
    above: dict[int, str] = {}
    for row in _children(table, "tr"):
        cells: dict[int, str] = {}
        column = 0
        for cell in _children(row, "tc"):
            goes_on = cell.vMerge == "continue"
            cells[column] = above.get(column, "") if goes_on else "".join(_texts(cell))
            column += cell.grid_span
        lines.append(write_row(cells.values()))
        above = cells
    return "\n\n" + "\n".join(filter(None, lines))


_TRANSPARENT = frozenset({"sdt", "sdtContent", "ins", "moveTo", "customXml"})
"""Elements whose children are read in their place: content controls and tracked changes."""
_UNREAD = frozenset({"pPr", "rPr", "sdtPr", "tcPr", "del", "moveFrom", "instrText", "Fallback"})
"""Properties, deleted text, and text that also occurs elsewhere."""
_CHARACTERS = {
    **{"p": "\n", "tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"},
    "den": "/",  # the denominator of a formula: 1/2 is not 12
}


def _children(parent: Any, *names: str) -> Iterator[Any]:
    for child in parent:
        if local_name(child) in names:
            yield child
        elif local_name(child) in _TRANSPARENT:
            yield from _children(child, *names)


def _texts(element: Any) -> Iterator[str]:
    """Yield the text of an element and of boxes in it; inner paragraphs get lines of their own."""
    for child in element:
        name = local_name(child)
        if name == "t":
            yield child.text or ""
        elif name not in _UNREAD:
            yield _CHARACTERS.get(name, "")
            yield from _texts(child)
            yield "\n" if name == "p" else ""


def _mark_raised_runs(document: Document) -> None:
    """Rewrite raised and lowered text in place, in runs and in formulas."""
    positions = _style_positions(document)
    before = ""
    for element in document.element.body.iter(f"{_W}p", f"{_W}r", f"{_M}r"):
        if local_name(element) == "p":
            before = ""
            continue
        position = _run_position(element, positions)
        for text in element.iterchildren(f"{_W}t", f"{_M}t"):
            if position:
                text.text = mark_raised(text.text or "", before, lowered=position == "subscript")
            before = text.text or before


def _run_position(run: Any, positions: dict[str, str]) -> str:
    """Return "superscript" or "subscript" for a run, else an empty string."""
    exponent = next(run.iterancestors(f"{_M}sup", f"{_M}sub"), None)
    if exponent is not None:
        return "subscript" if local_name(exponent) == "sub" else "superscript"
    own = run.find(f"{_W}rPr/{_W}vertAlign")
    style = run.find(f"{_W}rPr/{_W}rStyle")
    position = own.get(f"{_W}val") if own is not None else None
    if position is None and style is not None:
        position = positions.get(style.get(f"{_W}val"))
    return position if position in ("superscript", "subscript") else ""


def _style_positions(document: Document) -> dict[str, str]:
    """Return the positions that styles of characters set, by the id of the style."""
    found = ((style, style.element.find(f"{_W}rPr/{_W}vertAlign")) for style in document.styles)
    return {style.style_id: align.get(f"{_W}val") for style, align in found if align is not None}
