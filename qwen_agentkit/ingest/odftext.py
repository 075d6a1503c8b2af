"""The text of OpenDocument files: paragraphs, lists with their numbers, tables, notes and comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.numbering import format_count
from qwen_agentkit.ingest.odfobjects import is_formula, write_formula
from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.struck import join_struck, mark_struck
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["OdfText", "attribute"]

_UNREAD = frozenset({
    "tracked-changes", "deletion", "sequence-decls", "variable-decls", "forms", "page-number", "page-count",
    "bookmark-start", "bookmark-end", "soft-page-break", "object-ole", "event-listeners",
    "dde-connection-decls", "scripts",
})  # fmt: skip
_FORMATS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_FORMATS |= {"一, 二, 三, ...": "chineseCounting", "أ, ب, ت, ...": "arabicAlpha", "1": "decimal"}
_SHAPES = frozenset({"frame", "text-box", "custom-shape", "g", "rect", "ellipse", "line", "connector"})
"""Drawn shapes, which may hold text, and frames, which may hold a formula or a chart."""
_DEEPEST = 100


def attribute(element: Any, name: str) -> str:
    """Return an attribute by its name without its namespace; empty if there is none."""
    found = next((key for key in element.attrib if key.rpartition("}")[2] == name), None)
    return element.attrib[found] if found else ""


class OdfText:
    """Writes the elements of one document, in order, since its lists and notes are counted.

    Args:
        roots: The roots that define styles.
        objects: The roots of the formulas and charts in the document, by their names.
    """

    def __init__(self, roots: Sequence[Any], objects: Mapping[str, Any]) -> None:
        self._objects = objects
        self.warnings: list[str] = []
        self._parents: dict[str, str] = {}
        self._positions: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._struck: dict[str, bool] = {}
        self._levels: dict[str, dict[int, Any]] = {}  # of each style of lists
        self._counts: dict[str, list[int]] = {}
        self._waiting: list[str] = []
        self._before = ""
        for root in roots:
            for element in root.iter():
                if local_name(element) == "style":
                    self._add_style(element)
                elif local_name(element) == "list-style":
                    levels = {int(attribute(one, "level") or 1): one for one in element}
                    self._levels[attribute(element, "name")] = levels

    def _add_style(self, style: Any) -> None:
        name = attribute(style, "name")
        self._parents[name] = attribute(style, "parent-style-name")
        for properties in style:
            if position := attribute(properties, "text-position"):
                first = position.split()[0]
                height = -1 if first == "sub" or first.startswith("-") else 1
                raised = first in ("super", "sub") or first.strip("-%").strip("0")
                self._positions[name] = ("sub" if height < 0 else "super") if raised else ""
            line = attribute(properties, "text-line-through-style")
            if line or attribute(properties, "text-line-through-type"):
                self._struck[name] = line != "none"
            if attribute(properties, "display") in ("none", "false"):
                self._hidden.add(name)

    def is_hidden(self, style: str) -> bool:
        """Tell whether a style, or one that it is based on, hides what has it."""
        return any(name in self._hidden for name in self._line(style))

    def _line(self, style: str) -> Iterator[str]:
        for _ in range(9):
            if not style:
                return
            yield style
            style = self._parents.get(style, "")

    def take_waiting(self) -> list[str]:
        """Return the notes and comments that wait for the end of their paragraph."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def write_edges(self, styles: Any, name: str) -> str:
        """Return the different headers or footers of a document."""
        found: dict[str, None] = {}
        for edge in styles.iter() if styles is not None else ():
            if local_name(edge) in (name, f"{name}-left", f"{name}-first"):
                for line in self.write_blocks(edge).split("\n"):
                    words = line.split()
                    if len(words) > 3 or any(len(word) > 3 or word.isdecimal() for word in words):
                        found[" ".join(words)] = None
        return "\n".join(found)

    def write_blocks(self, parent: Any, depth: int = 0) -> str:
        """Return the paragraphs, lists and tables in an element."""
        return "".join(self._blocks(parent, depth))

    def _blocks(self, parent: Any, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} elements inside each other")
        for child in parent:
            name = local_name(child)
            if name in ("p", "h"):
                yield self._paragraph(child)
            elif name == "list":
                yield "\n" + self._list(child, depth=depth)
            elif name == "table":
                yield self._table(child)
            elif name == "annotation":
                self._comment(child)
            elif name == "frame" and (found := self._find_object(child)) is not None:
                yield f"\n\n{self._write_object(found)}"
            elif name not in _UNREAD and not self._is_left_out(child):
                yield from self._blocks(child, depth + 1)
            yield "".join(f"\n\n{text}" for text in self.take_waiting())

    def _is_left_out(self, element: Any) -> bool:
        return attribute(element, "display") == "none" or self.is_hidden(attribute(element, "style-name"))

    def _paragraph(self, paragraph: Any) -> str:
        if self._is_left_out(paragraph):
            self._warn()
            return ""
        self._before = ""
        lines = join_struck("".join(self._runs(paragraph))).split("\n")
        text = "\n".join(filter(None, (line.strip() for line in lines)))
        if text and local_name(paragraph) == "h":
            level = attribute(paragraph, "outline-level")
            marks = "#" * min(int(level) if level.isdecimal() else 1, 6)
            text = f"{marks} {' '.join(text.split())}"
        return f"\n\n{text}" if text else ""

    def _warn(self) -> None:
        if "Hidden text was left out." not in self.warnings:
            self.warnings.append("Hidden text was left out.")

    def _list(self, element: Any, *, depth: int, style: str = "", level: int = 1) -> str:
        """Return the items of a list, each with its number or a dash."""
        style = attribute(element, "style-name") or style
        counts = self._counts.setdefault(style, [0] * 10)
        goes_on = attribute(element, "continue-numbering") == "true" or attribute(element, "continue-list")
        if not goes_on:
            counts[level - 1 :] = [0] * (11 - level)
        written = []
        for item in element:
            if local_name(item) not in ("list-item", "list-header"):
                continue
            label = self._label(style, level, item) if local_name(item) == "list-item" else ""
            for number, block in enumerate(item):
                if local_name(block) == "list":
                    written.append(self._list(block, depth=depth + 1, style=style, level=min(level + 1, 9)))
                else:
                    text = self.write_blocks([block], depth + 1).strip()
                    marks = "#" * (len(text) - len(text.lstrip("#"))) if local_name(block) == "h" else ""
                    mark = f"{marks} " if marks else "  " * (level - 1)
                    text = text.removeprefix(f"{marks} ") if marks else text
                    shown = f"{label} " if label and not number else ""
                    written.append(f"\n{mark}{shown}{text}" if text else "")
        return "".join(written)

    def _label(self, style: str, level: int, item: Any) -> str:
        definition = self._levels.get(style, {}).get(level)
        counts = self._counts[style]
        start = attribute(item, "start-value")
        if definition is None or local_name(definition) != "list-level-style-number":
            return "-"
        first = attribute(definition, "start-value")
        if start.isdecimal():
            counts[level - 1] = int(start)
        else:
            counts[level - 1] = counts[level - 1] + 1 if counts[level - 1] else int(first or 1)
        counts[level:] = [0] * (10 - level)
        shown = attribute(definition, "display-levels")
        numbers = [
            format_count(max(counts[at - 1], 1), _FORMATS.get(attribute(one, "num-format"), "decimal"))
            for at in range(level - int(shown or 1) + 1, level + 1)
            if at > 0 and (one := self._levels[style].get(at)) is not None and attribute(one, "num-format")
        ]
        if not numbers:
            return ""
        return (
            f"{attribute(definition, 'num-prefix')}{'.'.join(numbers)}{attribute(definition, 'num-suffix')}"
        )

    def _table(self, table: Any) -> str:
        if self._is_left_out(table):
            return ""
        rows: list[list[str]] = []
        headers = 0
        for row, in_head in _table_rows(table, in_head=False):
            cells: list[str] = []
            for cell in row:
                if local_name(cell) == "covered-table-cell":
                    spans = cells and attribute(row[len(cells) - 1], "number-columns-spanned")
                    above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
                    cells.append(
                        Spanned(cells[-1]) if spans or (cells and isinstance(cells[-1], Spanned)) else above
                    )
                elif local_name(cell) == "table-cell":
                    cells.append(self.write_cell(cell))
            headers += 1 if in_head and headers == len(rows) else 0
            rows.append(cells)
        return "\n\n" + rows_as_text(rows, headers if headers < len(rows) else 0, plain="| {} |")

    def write_cell(self, cell: Any) -> str:
        """Return the text of a cell in one line; its comments wait."""
        paragraphs = []
        for child in cell:
            if local_name(child) == "annotation":
                self._comment(child)
            elif local_name(child) == "p":
                self._before = ""
                paragraphs.append(join_struck("".join(self._runs(child))))
            elif local_name(child) in ("list", "h", "table"):
                paragraphs.append(self.write_blocks([child], 1))
            elif local_name(child) in _SHAPES:
                self._put_aside(child)
        return " ".join(" ".join(paragraphs).split())

    def _comment(self, annotation: Any) -> None:
        author = next(("".join(one.itertext()) for one in annotation if local_name(one) == "creator"), "")
        text = " ".join(
            "".join(one.itertext()) for one in annotation if local_name(one) in ("p", "list")
        )  # fmt: skip
        if text.strip():
            self._waiting.append(f"Comment{f' ({author})' if author else ''}: {' '.join(text.split())}")

    def _runs(self, element: Any, position: str = "") -> Iterator[str]:
        """Yield the text of a paragraph; raised text is marked, notes wait for its end."""
        yield self._mark(element.text, position)
        for child in element:
            yield from self._run(child, position)
            yield self._mark(child.tail, position)

    def _run(self, child: Any, position: str) -> Iterator[str]:
        name = local_name(child)
        style = attribute(child, "style-name")
        if name == "note":
            yield self._note(child)
        elif name == "annotation":
            self._comment(child)
        elif name in ("s", "tab"):
            yield " "
        elif name == "line-break":
            yield "\n"
        elif name in ("hidden-text", "hidden-paragraph") or self.is_hidden(style):
            self._warn()
        elif name == "frame" and (found := self._find_object(child)) is not None and is_formula(found):
            yield self._write_inline(write_formula(found), child.tail or "0")
        elif name in _SHAPES or name == "ruby-text":
            if name != "ruby-text":
                self._put_aside(child)
        elif name not in _UNREAD and name:
            own = next((self._positions[one] for one in self._line(style) if one in self._positions), None)
            texts = self._runs(child, position if own is None else own)
            struck = next((self._struck[one] for one in self._line(style) if one in self._struck), False)
            yield mark_struck("".join(texts)) if struck else "".join(texts)

    def _put_aside(self, shape: Any) -> None:
        """Let the text of a shape wait for the end of the paragraph in which it is anchored."""
        before, waiting = self._before, self.take_waiting()
        text = self.write_blocks([shape], 1).strip()
        self._before = before
        self._waiting = [*waiting, text] if text else waiting

    def _find_object(self, frame: Any) -> Any:
        """Return the formula or chart that a frame shows; None if it shows none."""
        names = (attribute(one, "href") for one in frame if local_name(one) == "object")
        return next(
            (self._objects[name] for name in (n.removeprefix("./") for n in names) if name in self._objects),
            None,
        )

    def _write_inline(self, formula: str, after: str) -> str:
        """Set a formula apart from letters and figures beside it, which are no part of it."""
        before, self._before = self._before, ""
        space = " " if before[-1:].isalnum() and formula[:1].isalnum() else ""
        return f"{space}{formula}{' ' if after[0].isalnum() and formula[-1:].isalnum() else ''}"

    def _write_object(self, root: Any) -> str:
        """Write a formula, or a chart: its titles, and the table of its values."""
        if is_formula(root):
            return write_formula(root)
        titles = ("".join(one.itertext()).strip() for one in root.iter() if local_name(one) == "title")
        tables = (self._table(one).strip() for one in root.iter() if local_name(one) == "table")
        return "\n\n".join(filter(None, (", ".join(filter(None, titles)), *tables)))

    def _mark(self, text: str | None, position: str) -> str:
        if not text:
            return ""
        text = text.replace("\n", " ")
        if position:
            text = mark_raised(text, self._before, lowered=position == "sub")
        self._before = text
        return text

    def _note(self, note: Any) -> str:
        citation = next(("".join(one.itertext()) for one in note if local_name(one) == "note-citation"), "")
        body = next((one for one in note if local_name(one) == "note-body"), None)
        before, waiting = self._before, self.take_waiting()
        text = " ".join(self.write_blocks(body, 1).split()) if body is not None else ""
        self._before = before
        mark = mark_raised(citation, "") if citation.isdecimal() else f"[{citation}]"
        self._waiting = [*waiting, f"{mark} {text}"]
        return mark


def _table_rows(table: Any, *, in_head: bool) -> Iterator[tuple[Any, bool]]:
    for child in table:
        if local_name(child) == "table-row":
            yield child, in_head
        elif local_name(child) in ("table-rows", "table-row-group", "table-header-rows"):
            yield from _table_rows(child, in_head=in_head or local_name(child) == "table-header-rows")
