"""Word files into Markdown, through python-docx: text, tables, numbers, notes, comments and charts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qwen_agentkit.ingest.charts import chart_text, diagram_text
from qwen_agentkit.ingest.formulas import formula_text
from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.numbering import Numbering, format_count
from qwen_agentkit.ingest.office import first_title, local_name, read_office
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.struck import join_struck
from qwen_agentkit.ingest.symbols import read_symbol
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.ingest.wordruns import Runs
from qwen_agentkit.ingest.wordstyles import Styles
from qwen_agentkit.text.superscripts import mark_raised

if TYPE_CHECKING:
    from docx.document import Document

__all__ = ["read_docx"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

_TRANSPARENT = frozenset({"sdt", "sdtContent", "ins", "moveTo", "customXml"})
"""Elements whose children are read in their place: content controls and tracked changes."""
_UNREAD = frozenset({"pPr", "rPr", "sdtPr", "tcPr", "trPr", "del", "moveFrom", "instrText", "Fallback", "rt"})
"""Properties, deleted text, and text that also occurs elsewhere, such as how characters are said."""
_CHARACTERS = {"p": "\n", "tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_FILE_NAME = re.compile(r"\S+\.\w{3,4}")
"""What programs write where a picture was not described."""
_PAGE_FIELD = re.compile(r"\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\b", re.I)


def read_docx(data: bytes) -> list[Part]:
    """Read a Word file: headings and lists as Markdown, tables as rows, notes behind their paragraphs.

    Headers stand in front of the text and footers behind it, once. Hidden and deleted text is left out.
    """
    return read_office(data, "Word", _read_document)


def _read_document(data: bytes) -> list[Part]:
    from docx import Document

    return [_Reader(Document(io.BytesIO(data))).read()]


class _Reader:
    """Reads one document, in order, since its paragraphs and notes are counted."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._runs = Runs(document.styles.element)
        styles = Styles(document.styles.element)
        self._marks = styles.marks()
        numbering = self._parts("numbering")
        self._numbering = Numbering(numbering[0] if numbering else None)
        self._style_numbers = styles.numbers()
        self._notes = {
            kind: {note.get(f"{_W}id"): note for root in self._parts(f"{kind}s") for note in root}
            for kind in ("footnote", "endnote", "comment")
        }
        self._numbers = {"footnote": 0, "endnote": 0}
        self._waiting: list[str] = []  # Notes, comments and charts that follow their paragraph.
        self._initial = ""  # A large first letter or figure, which is a paragraph of its own.

    def read(self) -> Part:
        """Return the document as one part."""
        for notes in self._notes.values():
            for note in notes.values():
                self._runs.prepare(note)
        body = self._document.element.body
        self._runs.prepare(body)
        text = self._write_blocks(body)
        heading = re.search(r"^#+ (.*)$", text, re.M)
        whole = "\n\n".join(
            filter(
                None, (self._write_edges("header"), text.strip(), self._initial, self._write_edges("footer"))
            )
        )
        title = first_title(self._document.core_properties.title, heading and heading[1])
        return Part(whole, title, tuple(self._runs.warnings))

    def _parts(self, name: str) -> list[Any]:
        """Return the roots of the parts of a kind, such as "footnotes"."""
        from docx.oxml.parser import parse_xml

        parts = [
            relation.target_part
            for relation in self._document.part.rels.values()
            if not relation.is_external and relation.reltype.rpartition("/")[2] == name
        ]
        return [part.element if hasattr(part, "element") else parse_xml(part.blob) for part in parts]

    def _write_blocks(self, parent: Any) -> str:
        return "".join(
            (self._write_paragraph(block) if local_name(block) == "p" else self._write_table(block))
            + self._write_waiting()
            for block in _children(parent, "p", "tbl")
        )

    def _write_waiting(self) -> str:
        waiting, self._waiting = self._waiting, []
        return "".join(f"\n\n{text}" for text in waiting if text)

    def _write_edges(self, name: str) -> str:
        """Return the different headers or footers, without the numbers of pages."""
        found: dict[str, None] = {}
        for root in self._parts(name):
            self._runs.prepare(root)
            _remove_page_numbers(root)
            found.update((" ".join(line.split()), None) for line in self._write_blocks(root).split("\n"))
        return "\n".join(filter(None, found))

    def _write_paragraph(self, paragraph: Any) -> str:
        lines = self._text(paragraph).split("\n")
        text = "\n".join(filter(None, (line.strip() for line in lines)))
        if _is_initial(paragraph):
            self._initial += text
            return ""
        if text:
            text, self._initial = self._initial + text, ""
        mark = self._find_mark(paragraph) if text else ""
        if mark:
            text = " ".join(text.split())
        between = "\n" if mark and not mark.startswith("#") else "\n\n"
        return f"{between}{mark}{text}" if text else ""

    def _find_mark(self, paragraph: Any) -> str:
        """Return what stands in front of a paragraph: marks of a heading, a bullet, its number."""
        mark = self._marks.get(paragraph.style, "")
        number, level = self._number_of(paragraph)
        if number == "0":
            return mark if mark.startswith("#") else ""
        label = self._numbering.count(number, level) if number else None
        if mark.startswith("#"):
            return f"{mark}{label} " if label and label != "-" else mark
        if label is None:
            return f"{'  ' * level}- " if number else mark
        return f"{'  ' * level}{label} " if label else ""

    def _number_of(self, paragraph: Any) -> tuple[str, int]:
        """Return the number and the level of a paragraph, its own or those of its style."""
        style = paragraph.style or ""
        style_number, style_level = self._style_numbers.get(style, ("", None))
        own = paragraph.pPr.numPr if paragraph.pPr is not None else None
        number = str(own.numId.val) if own is not None and own.numId is not None else style_number
        if own is not None and own.ilvl is not None:
            level = own.ilvl.val
        elif style_level is not None:
            level = style_level
        else:
            level = self._numbering.level_of_style(number, style) if number == style_number else 0
        return number or ("?" if own is not None else ""), max(0, min(level, 8))

    def _write_table(self, table: Any) -> str:
        """Return the rows of a table. A merged cell is repeated in every row and named column."""
        rows: list[list[str]] = []
        headers = 0
        above: dict[int, str] = {}
        for row in _children(table, "tr"):
            properties = row.find(f"{_W}trPr")
            if properties is not None and properties.find(f"{_W}del") is not None:
                continue
            before = properties.find(f"{_W}gridBefore") if properties is not None else None
            cells = [""] * (min(int(before.get(f"{_W}val") or 0), 63) if before is not None else 0)
            for cell in _children(row, "tc"):
                goes_on = cell.vMerge == "continue"
                text = above.get(len(cells), "") if goes_on else self._text(cell)
                cells += [text, *[Spanned(text)] * (min(cell.grid_span, 63) - 1)]
            is_head = properties is not None and properties.find(f"{_W}tblHeader") is not None
            headers += 1 if is_head and headers == len(rows) else 0
            rows.append(cells)
            above = dict(enumerate(cells))
        header_rows = headers if headers < len(rows) else 0
        return "\n\n" + rows_as_text(rows, header_rows, plain="| {} |")

    def _text(self, element: Any) -> str:
        return join_struck("".join(self._texts(element)))

    def _texts(self, element: Any) -> Iterator[str]:
        """Yield the text of an element and of boxes in it; inner paragraphs get lines of their own."""
        for child in element:
            name = local_name(child)
            if name == "t":
                yield child.text or ""
            elif name == "sym":
                code = child.get(f"{_W}char") or ""
                yield read_symbol(child.get(f"{_W}font") or "", int(code, 16) if code else 0xFFFD)
            elif name in ("footnoteReference", "endnoteReference", "commentReference"):
                yield self._refer(name.removesuffix("Reference"), child.get(f"{_W}id"))
            elif name == "oMath":
                yield formula_text(child)
            elif name in ("checkBox", "ddList"):
                yield _field_value(child)
            elif name in ("chart", "relIds"):
                self._waiting.append(self._read_drawing(child))
            elif name == "docPr":
                description = " ".join((child.get("descr") or "").split())
                self._waiting.append("" if _FILE_NAME.fullmatch(description) else description)
            elif name not in _UNREAD:
                yield _CHARACTERS.get(name, "")
                yield from self._texts(child)
                yield "\n" if name == "p" else ""

    def _refer(self, kind: str, name: str | None) -> str:
        """Let a note follow the paragraph, and return its mark."""
        note = self._notes[kind].get(name)
        if note is None:
            return ""
        text = " ".join(self._text(note).split())
        if kind == "comment":
            author = note.get(f"{_W}author")
            self._waiting.append(f"Comment{f' ({author})' if author else ''}: {text}" if text else "")
            return ""
        self._numbers[kind] += 1
        number = self._numbers[kind]
        mark = (
            mark_raised(str(number), "") if kind == "footnote" else f"[{format_count(number, 'lowerRoman')}]"
        )
        self._waiting.append(f"{mark} {text}" if text else "")
        return mark

    def _read_drawing(self, reference: Any) -> str:
        from docx.oxml.parser import parse_xml

        name = reference.get(f"{_R}id") or reference.get(f"{_R}dm")
        relation = self._document.part.rels.get(name or "")
        if relation is None or relation.is_external:
            return ""
        root = parse_xml(relation.target_part.blob)
        return chart_text(root) if local_name(reference) == "chart" else diagram_text(root)


def _children(parent: Any, *names: str) -> Iterator[Any]:
    for child in parent:
        if local_name(child) in names:
            yield child
        elif local_name(child) in _TRANSPARENT:
            yield from _children(child, *names)


def _is_initial(paragraph: Any) -> bool:
    frame = paragraph.find(f"{_W}pPr/{_W}framePr")
    return frame is not None and frame.get(f"{_W}dropCap") in ("drop", "margin")


def _field_value(field: Any) -> str:
    """Return what a field of an older form shows: a ticked box, or the entry that was chosen."""
    found = {local_name(child): child.get(f"{_W}val") or "" for child in field}
    if local_name(field) == "checkBox":
        return "☐" if found.get("checked", found.get("default", "0")) in ("0", "false", "off") else "☑"
    entries = [child.get(f"{_W}val") or "" for child in field if local_name(child) == "listEntry"]
    chosen = found.get("result", found.get("default", "0"))
    return entries[int(chosen)] if chosen.isdecimal() and int(chosen) < len(entries) else ""


def _remove_page_numbers(root: Any) -> None:
    """Empty the fields that number pages, and the words around them, such as "Page 3 of 12"."""
    for paragraph in root.iter(f"{_W}p"):
        if _empty_page_fields(paragraph):
            texts = list(paragraph.iter(f"{_W}t"))
            rest = "".join(text.text or "" for text in texts)
            if len(rest.split()) < 4 and not any(map(str.isdecimal, rest)):
                for text in texts:
                    text.text = ""


def _empty_page_fields(paragraph: Any) -> bool:
    """Empty the fields that number pages, and tell whether there were any."""
    found = False
    for field in paragraph.iter(f"{_W}fldSimple"):
        if _PAGE_FIELD.match(field.get(f"{_W}instr") or ""):
            found = True
            for text in field.iter(f"{_W}t"):
                text.text = ""
    depth, counts = 0, False
    for element in paragraph.iter(f"{_W}fldChar", f"{_W}instrText", f"{_W}t"):
        name = local_name(element)
        if name == "fldChar":
            depth += {"begin": 1, "end": -1}.get(element.get(f"{_W}fldCharType") or "", 0)
            counts = counts and depth > 0
        elif name == "instrText":
            counts = counts or bool(depth and _PAGE_FIELD.match(element.text or ""))
            found = found or counts
        elif counts:
            element.text = ""
    return found
