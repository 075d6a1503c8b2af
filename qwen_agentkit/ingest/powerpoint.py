"""PowerPoint files into text, a part per slide, through python-pptx."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qwen_agentkit.ingest.office import first_title, local_name, read_office, write_row
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.text.superscripts import mark_raised

if TYPE_CHECKING:
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

__all__ = ["read_pptx"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def read_pptx(data: bytes) -> list[Part]:
    """Read a PowerPoint file: of each slide the title as a heading, texts, tables and notes."""
    return read_office(data, "PowerPoint", _read_deck)


def _read_deck(data: bytes) -> list[Part]:
    from pptx import Presentation

    deck = Presentation(io.BytesIO(data))
    slides = list(deck.slides)
    for slide in slides:
        _mark_raised_text(slide.element)
        if slide.has_notes_slide:
            _mark_raised_text(slide.notes_slide.element)
    first = next((title for slide in slides for title in [_title(slide)] if title), None)
    shared = first_title(deck.core_properties.title, first)
    return [
        Part(_write_slide(slide), {**shared, "page": number}) for number, slide in enumerate(slides, start=1)
    ]


def _mark_raised_text(slide: Any) -> None:
    """Rewrite raised and lowered text of a slide in place."""
    before = ""
    for element in slide.iter(f"{_A}p", f"{_A}r"):
        if local_name(element) == "p":
            before = ""
            continue
        properties, text = element.find(f"{_A}rPr"), element.find(f"{_A}t")
        baseline = properties.get("baseline", "0") if properties is not None else "0"
        if text is not None and text.text:
            if baseline.strip("0%"):
                text.text = mark_raised(text.text, before, lowered=baseline.startswith("-"))
            before = text.text


def _title(slide: Slide) -> str:
    title = slide.shapes.title
    return " ".join(title.text_frame.text.split()) if title is not None and title.has_text_frame else ""


def _write_slide(slide: Slide) -> str:
    title = slide.shapes.title
    others = [shape for shape in slide.shapes if title is None or shape.element is not title.element]
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    blocks = [
        f"# {_title(slide)}" if _title(slide) else "",
        *_write_shapes(others),
        notes.text if notes else "",
    ]
    return "\n\n".join(filter(None, (block.strip() for block in blocks)))


def _write_shapes(shapes: Iterable[BaseShape]) -> Iterator[str]:
    """Yield the text of each shape, without slide numbers, dates and footers."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KIND
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape

    decoration = (KIND.SLIDE_NUMBER, KIND.DATE, KIND.FOOTER, KIND.HEADER)
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _write_shapes(shape.shapes)
        elif shape.has_text_frame:
            if not (shape.is_placeholder and shape.placeholder_format.type in decoration):
                yield _write_frame(shape)
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            cells = ([cell.text for cell in row.cells if not cell.is_spanned] for row in shape.table.rows)
            yield "\n".join(filter(None, map(write_row, cells)))


def _write_frame(shape: Any) -> str:
    """Return the paragraphs of a text frame; several become a list."""
    texts = [(part.level, " ".join(part.text.split())) for part in shape.text_frame.paragraphs]
    filled = [(level, text) for level, text in texts if text]
    if len(filled) < 2:
        return "".join(text for _, text in filled)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in filled)
