"""PowerPoint files into text, a part per slide, through python-pptx."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qwen_agentkit.ingest.charts import chart_text, diagram_text
from qwen_agentkit.ingest.formulas import formula_text
from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.numbering import format_count
from qwen_agentkit.ingest.office import first_title, local_name, read_office
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.struck import join_struck, mark_struck
from qwen_agentkit.ingest.symbols import is_symbol_font, read_symbols
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

if TYPE_CHECKING:
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

__all__ = ["read_pptx"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A14 = "{http://schemas.microsoft.com/office/drawing/2010/main}"
_ALTERNATIVES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_COUNTS = {
    **{"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"},
    **{"thaiNum": "thaiNumbers", "hindiNum": "hindiNumbers", "thaiAlpha": "thaiLetters"},
    **{"hebrew2": "hebrew2", "arabic1": "arabicAlpha", "arabic2": "arabicAbjad"},
    **dict.fromkeys(("ea1Chs", "ea1Cht", "ea1JpnChs", "ea1JpnKor"), "chineseCounting"),
}
"""The names of styles of numbers (ECMA-376 part 1, 20.1.10.61) as those of Word."""
_COUNT_NAME = re.compile(r"(\w+?)(Period|ParenR|ParenBoth|Plain|Minus)")
_FILE_NAME = re.compile(r"\S+\.\w{3,4}")


def read_pptx(data: bytes) -> list[Part]:
    """Read a PowerPoint file: of each slide its title as a heading, texts, tables, charts, notes."""
    return read_office(data, "PowerPoint", _read_deck)


def _read_deck(data: bytes) -> list[Part]:
    from pptx import Presentation

    deck = Presentation(io.BytesIO(data))
    slides = list(deck.slides)
    for slide in slides:
        _rewrite_runs(slide.element)
        if slide.has_notes_slide:
            _rewrite_runs(slide.notes_slide.element)
    first = next((title for slide in slides for title in [_title(slide)] if title), None)
    shared = first_title(deck.core_properties.title, first)
    authors = _read_authors(deck.part)
    return [
        _read_slide(slide, {**shared, "page": number}, authors)
        for number, slide in enumerate(slides, start=1)
    ]


def _read_slide(slide: Slide, metadata: dict[str, Any], authors: dict[str, str]) -> Part:
    page = metadata["page"]
    if slide.element.get("show") in ("0", "false"):
        return Part("", metadata, (f"Slide {page} is hidden and was left out.",))
    text = _write_slide(slide, authors)
    if not text and any(local_name(element) in ("pic", "blip") for element in slide.element.iter()):
        return Part("", metadata, (f"Slide {page} holds pictures and no text, and was not read.",))
    return Part(text, metadata)


def _rewrite_runs(slide: Any) -> None:
    """Rewrite raised and lowered text and that of symbol fonts in place."""
    _choose_alternatives(slide)
    before = ""
    for element in slide.iter(f"{_A}p", f"{_A}r"):
        if local_name(element) == "p":
            before = ""
            continue
        properties, text = element.find(f"{_A}rPr"), element.find(f"{_A}t")
        baseline = properties.get("baseline", "0") if properties is not None else "0"
        if text is not None and text.text:
            font = _font(properties)
            if is_symbol_font(font):
                text.text = read_symbols(font, text.text)
            if baseline.strip("0%"):
                text.text = mark_raised(text.text, before, lowered=baseline.startswith("-"))
            before = text.text
            if (properties.get("strike", "") if properties is not None else "") in ("sngStrike", "dblStrike"):
                text.text = mark_struck(text.text)


def _choose_alternatives(slide: Any) -> None:
    """Put what newer programs show in the place of alternatives, which python-pptx passes over.

    A formula becomes a run, since the library knows none.
    """
    from pptx.oxml import parse_xml

    for alternatives in list(slide.iter(_ALTERNATIVES)):
        choice = next((one for one in alternatives if len(one)), ())
        for child in list(choice):
            alternatives.addprevious(child)
        alternatives.getparent().remove(alternatives)
    for formula in list(slide.iter(f"{_A14}m")):
        run = parse_xml(f'<a:r xmlns:a="{_A[1:-1]}"><a:rPr/><a:t/></a:r>')
        run[1].text = " ".join(map(formula_text, formula))
        formula.getparent().replace(formula, run)


def _font(properties: Any) -> str:
    """Return the font of a run: that of its symbols if it names one."""
    for name in ("sym", "latin"):
        font = properties.find(f"{_A}{name}") if properties is not None else None
        if font is not None and is_symbol_font(font.get("typeface") or ""):
            return str(font.get("typeface"))
    return ""


def _title(slide: Slide) -> str:
    title = slide.shapes.title
    text = title.text_frame.text if title is not None and title.has_text_frame else ""
    return join_struck(" ".join(text.split()))


def _write_slide(slide: Slide, authors: dict[str, str]) -> str:
    title = slide.shapes.title
    others = [shape for shape in slide.shapes if title is None or shape.element is not title.element]
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    blocks = [
        f"# {_title(slide)}" if _title(slide) else "",
        *_write_shapes(others),
        join_struck(notes.text) if notes else "",
        *_write_comments(slide, authors),
    ]
    return "\n\n".join(filter(None, (block.strip() for block in blocks)))


def _write_shapes(shapes: Iterable[BaseShape]) -> Iterator[str]:
    """Yield the text of each shape, without slide numbers, dates and footers."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KIND
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape

    decoration = (KIND.SLIDE_NUMBER, KIND.DATE, KIND.FOOTER, KIND.HEADER)
    for shape in shapes:
        if _is_hidden(shape):
            continue
        if isinstance(shape, GroupShape):
            yield from _write_shapes(shape.shapes)
        elif shape.has_text_frame:
            if not (shape.is_placeholder and shape.placeholder_format.type in decoration):
                yield _write_frame(shape)
        elif isinstance(shape, GraphicFrame):
            yield _write_graphic(shape)
        else:
            description = " ".join((_properties(shape).get("descr") or "").split())
            yield "" if _FILE_NAME.fullmatch(description) else description


def _properties(shape: BaseShape) -> dict[str, str]:
    """Return the attributes of a shape that are common to all kinds."""
    found = next((one for one in shape.element.iter() if local_name(one) == "cNvPr"), None)
    return dict(found.attrib) if found is not None else {}


def _is_hidden(shape: BaseShape) -> bool:
    return _properties(shape).get("hidden") in ("1", "true")


def _write_graphic(shape: Any) -> str:
    """Return the text of a table, a chart or a diagram."""
    if shape.has_table:
        return rows_as_text(_rows(shape.table), plain="| {} |")
    if shape.has_chart:
        return chart_text(_parse(shape.chart_part))
    ids = next((one for one in shape.element.iter() if local_name(one) == "relIds"), None)
    relation = shape.part.rels.get(ids.get(f"{_R}dm")) if ids is not None else None
    return diagram_text(_parse(relation.target_part)) if relation is not None else ""


def _rows(table: Any) -> Iterator[list[str]]:
    """Yield the cells of each row; one that is merged over rows or columns is repeated."""
    above: list[str] = []
    for row in table.rows:
        cells: list[str] = []
        for cell in row.cells:
            if cell._tc.get("hMerge") in ("1", "true") and cells:
                cells.append(Spanned(cells[-1]))
            elif cell._tc.get("vMerge") in ("1", "true") and len(above) > len(cells):
                cells.append(above[len(cells)])
            else:
                cells.append(join_struck(cell.text))
        yield cells
        above = cells


def _read_authors(part: Any) -> dict[str, str]:
    """Return the names of those who wrote comments."""
    roots = (
        _parse(relation.target_part)
        for relation in part.rels.values()
        if not relation.is_external and relation.reltype.rpartition("/")[2] in ("commentAuthors", "authors")
    )
    return {author.get("id", ""): author.get("name", "") for root in roots for author in root}


def _write_comments(slide: Slide, authors: dict[str, str]) -> Iterator[str]:
    """Yield the comments of a slide, of older and of newer programs."""
    for relation in slide.part.rels.values():
        if relation.is_external or relation.reltype.rpartition("/")[2] != "comments":
            continue
        for element in _parse(relation.target_part).iter():
            if local_name(element) in ("cm", "reply"):
                own = [one for one in element if local_name(one) in ("text", "txBody")]
                runs = [run.text or "" for one in own for run in one.iter(f"{_A}t")]
                text = " ".join(("".join(runs) or " ".join(one.text or "" for one in own)).split())
                author = authors.get(element.get("authorId", ""), "")
                yield f"Comment{f' ({author})' if author else ''}: {text}" if text else ""


def _parse(part: Any) -> Any:
    from pptx.oxml import parse_xml

    return parse_xml(part.blob)


def _write_frame(shape: Any) -> str:
    """Return the paragraphs of a text frame; several become a list, with the numbers that they have."""
    counts = _Counts()
    texts = [
        (part.level, counts.label(part), join_struck(" ".join(part.text.split())))
        for part in shape.text_frame.paragraphs
        if part.text.strip()
    ]
    if len(texts) < 2:
        return "".join(f"{label} {text}" if label else text for _, label, text in texts)
    return "\n".join(f"{'  ' * level}{label or '-'} {text}" for level, label, text in texts)


class _Counts:
    """Counts the numbered paragraphs of one text frame."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[str, int]] = {}  # by level: the style and the last number

    def label(self, paragraph: Any) -> str:
        """Return the number of the next paragraph, such as "5."; empty if it has none."""
        level = paragraph.level
        numbered = paragraph._p.find(f"{_A}pPr/{_A}buAutoNum")
        kind = numbered.get("type", "") if numbered is not None else ""
        before, last = self._counts.get(level, ("", 0))
        self._counts = {at: count for at, count in self._counts.items() if at < level}
        found = _COUNT_NAME.fullmatch(kind)
        if not found:
            return ""
        count = last + 1 if before == kind else int(numbered.get("startAt", "1"))
        self._counts[level] = (kind, count)
        shown = format_count(count, _COUNTS.get(found[1], "decimal"))
        return {"Period": f"{shown}.", "ParenR": f"{shown})", "ParenBoth": f"({shown})"}.get(found[2], shown)
