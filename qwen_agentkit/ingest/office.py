"""Word, PowerPoint and Excel files into text, through the libraries of the extra `office`.

Those are imported by the one reader that needs them. Whatever they raise on a damaged file, a reader
raises LoadError.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.tables import rows_as_text

if TYPE_CHECKING:
    from docx.document import Document
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

__all__ = ["read_docx", "read_pptx", "read_xlsx"]

_LARGEST = 1 << 30
"""Bytes that a file may unpack to: libraries hold all of it in memory."""
_COMPOUND = b"\xd0\xcf\x11\xe0"
"""How files of before 2007 begin, and ones with a password."""
_UNTITLED = ("Word Document", "PowerPoint Presentation")
"""What the libraries call a file that has no properties."""


def read_docx(data: bytes) -> list[Part]:
    """Read a Word file: headings and lists as Markdown, tables as rows, in order."""
    return _read(data, "Word", _docx)


def read_pptx(data: bytes) -> list[Part]:
    """Read a PowerPoint file, a part a slide: its title as a heading, texts, tables, notes."""
    return _read(data, "PowerPoint", _pptx)


def read_xlsx(data: bytes) -> list[Part]:
    """Read an Excel file, a part a sheet: its name as a heading, and rows that stand alone."""
    return _read(data, "Excel", _xlsx)


def _read(data: bytes, kind: str, reader: Callable[[bytes], list[Part]]) -> list[Part]:
    try:
        _check(data, kind)
        return reader(data)
    except LoadError:
        raise
    except ImportError as error:
        raise LoadError(
            f"is one of {kind}'s files, which need the extra 'office' ({error}); "
            "type: pip install 'qwen-agentkit[office]'"
        ) from error
    except Exception as error:  # the libraries raise nearly anything on a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"is a broken {kind} file ({reason}), expected a readable one; save it anew and try again"
        ) from error


def _check(data: bytes, kind: str) -> None:
    """Refuse what is no archive, and one that would fill the memory."""
    if data.startswith(_COMPOUND):
        raise LoadError(
            f"is an encrypted {kind} file or one of before 2007, expected a newer one without a password; "
            "save it as such and try again"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise LoadError(
            f"unpacks to {size / 2**30:.1f} GB, expected {_LARGEST / 2**30:.0f} GB or less; "
            "take out pictures and films, or save it in several files"
        )


def _titled(*titles: str | None) -> dict[str, Any]:
    """Metadata with the first title that says something."""
    said = (" ".join((title or "").split()) for title in titles)
    title = next((title for title in said if title and title not in _UNTITLED), None)
    return {"title": title} if title else {}


def _row(cells: Iterable[str]) -> str:
    texts = [" ".join(cell.split()) for cell in cells]
    return f"| {' | '.join(texts)} |" if any(texts) else ""


def _docx(data: bytes) -> list[Part]:
    from docx import Document

    document = Document(io.BytesIO(data))
    marks = _marks(document)
    blocks = _inner(document.element.body, "p", "tbl")
    text = "".join(_paragraph(block, marks) if _name(block) == "p" else _table(block) for block in blocks)
    heading = re.search(r"^#+ (.*)$", text, re.M)
    return [Part(text.strip(), _titled(document.core_properties.title, heading and heading[1]))]


def _marks(document: Document) -> dict[str, str]:
    """What Markdown puts before a paragraph, by the id of its style; styles take after their base."""
    marks = {}
    for style in document.styles:
        base: Any = style
        for _ in range(9):  # a broken file may have a circle of bases
            if base is None or style.style_id in marks:
                break
            name = str(base.name).lower()
            if heading := re.fullmatch(r"heading ([1-9])|title", name):
                marks[style.style_id] = "#" * min(6, int(heading[1] or 1)) + " "
            elif name.startswith(("list bullet", "list number")) or base.element.xpath("./w:pPr/w:numPr"):
                marks[style.style_id] = "- "
            base = getattr(base, "base_style", None)
    return marks


def _paragraph(paragraph: Any, marks: dict[str, str]) -> str:
    lines = "".join(_words(paragraph)).split("\n")
    text = "\n".join(filter(None, (line.strip() for line in lines)))
    mark = _mark(paragraph, marks)
    if mark:
        text = " ".join(text.split())
    between = "\n" if mark.endswith("- ") else "\n\n"
    return f"{between}{mark}{text}" if text else ""


def _mark(paragraph: Any, marks: dict[str, str]) -> str:
    mark = marks.get(paragraph.style, "")
    numbering = paragraph.pPr.numPr if paragraph.pPr is not None else None
    if numbering is None or mark.startswith("#"):
        return mark
    level = numbering.ilvl.val if numbering.ilvl is not None else 0
    taken_off = numbering.numId is not None and numbering.numId.val == 0
    return "" if taken_off else f"{'  ' * level}- "


def _table(table: Any) -> str:
    """Rows of a table. A cell merged downwards is repeated in each row, one merged sideways is not."""
    lines = []
    above: dict[int, str] = {}
    for row in _inner(table, "tr"):
        cells: dict[int, str] = {}
        column = 0
        for cell in _inner(row, "tc"):
            goes_on = cell.vMerge == "continue"
            cells[column] = above.get(column, "") if goes_on else "".join(_words(cell))
            column += cell.grid_span
        lines.append(_row(cells.values()))
        above = cells
    return "\n\n" + "\n".join(filter(None, lines))


_LOOKED_THROUGH = frozenset({"sdt", "sdtContent", "ins", "moveTo", "customXml"})
"""Content controls and tracked changes."""
_UNREAD = frozenset({"pPr", "rPr", "sdtPr", "tcPr", "del", "moveFrom", "instrText", "Fallback"})
"""Properties, what was deleted, and what stands elsewhere already."""
_CHARACTERS = {"p": "\n", "tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def _name(element: Any) -> str:
    """Name of an element without its namespace; comments have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _inner(parent: Any, *names: str) -> Iterator[Any]:
    for child in parent:
        if _name(child) in names:
            yield child
        elif _name(child) in _LOOKED_THROUGH:
            yield from _inner(child, *names)


def _words(element: Any) -> Iterator[str]:
    """Text of an element, that of boxes in it included; a paragraph inside is on lines of its own."""
    for child in element:
        name = _name(child)
        if name == "t":
            yield child.text or ""
        elif name not in _UNREAD:
            yield _CHARACTERS.get(name, "")
            yield from _words(child)
            yield "\n" if name == "p" else ""


def _pptx(data: bytes) -> list[Part]:
    from pptx import Presentation

    deck = Presentation(io.BytesIO(data))
    slides = list(deck.slides)
    first = next((title for slide in slides for title in [_title(slide)] if title), None)
    shared = _titled(deck.core_properties.title, first)
    return [Part(_slide(slide), {**shared, "page": number}) for number, slide in enumerate(slides, start=1)]


def _title(slide: Slide) -> str:
    title = slide.shapes.title
    return " ".join(title.text_frame.text.split()) if title is not None and title.has_text_frame else ""


def _slide(slide: Slide) -> str:
    title = slide.shapes.title
    others = [shape for shape in slide.shapes if title is None or shape.element is not title.element]
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    blocks = [f"# {_title(slide)}" if _title(slide) else "", *_shapes(others), notes.text if notes else ""]
    return "\n\n".join(filter(None, (block.strip() for block in blocks)))


def _shapes(shapes: Iterable[BaseShape]) -> Iterator[str]:
    """Text of each shape; numbers of slides, dates and footers are left out."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KIND
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape

    furniture = (KIND.SLIDE_NUMBER, KIND.DATE, KIND.FOOTER, KIND.HEADER)
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _shapes(shape.shapes)
        elif shape.has_text_frame:
            if not (shape.is_placeholder and shape.placeholder_format.type in furniture):
                yield _frame(shape)
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            cells = ([cell.text for cell in row.cells if not cell.is_spanned] for row in shape.table.rows)
            yield "\n".join(filter(None, map(_row, cells)))


def _frame(shape: Any) -> str:
    """Paragraphs of a text frame, as a list where there are several."""
    texts = [(part.level, " ".join(part.text.split())) for part in shape.text_frame.paragraphs]
    said = [(level, text) for level, text in texts if text]
    if len(said) < 2:
        return "".join(text for _, text in said)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in said)


def _xlsx(data: bytes) -> list[Part]:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it cannot keep when it saves
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        shared = _titled(book.properties.title)
        return [
            Part(f"# {sheet.title}\n\n{text}", {**shared, "page": number})
            for number, sheet in enumerate(book.worksheets, start=1)
            for text in [_sheet(sheet)]
            if text
        ]


def _sheet(sheet: Any) -> str:
    sheet.reset_dimensions()  # some programs write wrong ones, and rows would be cut off there
    return rows_as_text([_shown(value) for value in row] for row in sheet.iter_rows(values_only=True))


def _shown(value: Any) -> str:
    """Write a value as a sheet shows it, dates in ISO."""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.15g}"
    return "" if value is None else str(value)
