"""OpenDocument files (ODF 1.3): texts (.odt), sheets (.ods) and slides (.odp)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.odfobjects import read_objects
from qwen_agentkit.ingest.odftext import OdfText, attribute
from qwen_agentkit.ingest.office import check_archive, first_title, local_name
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.sheets import sheet_as_text
from qwen_agentkit.ingest.xmlfiles import parse_xml

__all__ = ["read_odp", "read_ods", "read_odt"]

_MOST_REPEATS = 1000
"""Times that a filled row or cell is repeated; programs fill a sheet to its end with empty ones."""


class _Package:
    """The XML of a file, and the text in it."""

    def __init__(self, data: bytes) -> None:
        check_archive(data, "OpenDocument")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in names else b""
            if b"encryption-data" in manifest:
                raise LoadError(
                    "The file is encrypted; expected one without a password. Remove the password."
                )
            self.content = parse_xml(archive.read("content.xml"))
            self.styles = parse_xml(archive.read("styles.xml")) if "styles.xml" in names else None
            meta = parse_xml(archive.read("meta.xml")) if "meta.xml" in names else None
            objects = read_objects(archive)
        roots = [root for root in (self.styles, self.content) if root is not None]
        self.text = OdfText(roots, objects)
        titles = ("".join(one.itertext()) for one in _all(meta, "title")) if meta is not None else ()
        self.title = next(iter(titles), None)


def _read(data: bytes) -> _Package:
    try:
        return _Package(data)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, RuntimeError) as error:
        reason = str(error) or type(error).__name__
        raise LoadError(
            f"The file is a broken OpenDocument file ({reason}); expected a readable one. Save it anew "
            "and try again."
        ) from error


def _all(root: Any, *names: str) -> Iterator[Any]:
    return (element for element in root.iter() if local_name(element) in names)


def read_odt(data: bytes) -> list[Part]:
    """Read a text: headings, numbered lists, tables, notes, comments, headers and footers."""
    package = _read(data)
    body = next(_all(package.content, "text"), package.content)
    heads = package.text.write_edges(package.styles, "header")
    feet = package.text.write_edges(package.styles, "footer")
    text = package.text.write_blocks(body).strip()
    heading = next((line.lstrip("# ") for line in text.split("\n") if line.startswith("#")), None)
    whole = "\n\n".join(filter(None, (heads, text, feet)))
    return [Part(whole, first_title(package.title, heading), tuple(package.text.warnings))]


def read_odp(data: bytes) -> list[Part]:
    """Read slides: a part each, with its title as a heading, and its notes."""
    package = _read(data)
    slides = list(_all(package.content, "page"))
    texts = [_write_slide(package.text, slide) for slide in slides]
    first = next((text[2:].partition("\n")[0] for text in texts if text.startswith("# ")), None)
    shared = first_title(package.title, first)
    return [_slide_part(text, number, shared) for number, text in enumerate(texts, start=1)]


def _slide_part(text: str, number: int, shared: dict[str, Any]) -> Part:
    warnings = () if text else (f"Slide {number} holds no text, and was not read.",)
    return Part(text, {**shared, "page": number}, warnings)


def _write_slide(writer: OdfText, slide: Any) -> str:
    """Return the title of a slide, then its other frames, then its notes."""
    titles: list[str] = []
    others: list[str] = []
    for shape in slide:
        kind = attribute(shape, "class")
        if kind in ("date-time", "footer", "page-number", "header"):
            continue
        text = writer.write_blocks(shape).strip()
        if kind == "title" and text:
            titles.append(f"# {' '.join(text.split())}")
        elif text:
            others.append(text)
    return "\n\n".join([*titles, *others])


def read_ods(data: bytes) -> list[Part]:
    """Read sheets: a part each, with its name as a heading, and its rows as they are shown."""
    package = _read(data)
    shared = first_title(package.title)
    return [
        _read_sheet(package.text, sheet, {**shared, "page": number})
        for number, sheet in enumerate(_all(package.content, "table"), start=1)
    ]


def _read_sheet(writer: OdfText, sheet: Any, metadata: dict[str, Any]) -> Part:
    name = attribute(sheet, "name")
    if writer.is_hidden(attribute(sheet, "style-name")):
        return Part("", metadata, (f"The sheet {name!r} is hidden and was left out.",))
    uncounted: list[str] = []
    rows = list(_rows(writer, sheet, uncounted))
    hidden = _hidden_columns(sheet, max(map(len, rows), default=0))
    left_out = {at for at in hidden if any(row[at] for row in rows if at < len(row))}
    text = sheet_as_text([[cell for at, cell in enumerate(row) if at not in hidden] for row in rows])
    shapes = [writer.write_blocks(one).strip() for one in sheet if local_name(one) == "shapes"]
    shown = (*shapes, *writer.take_waiting())
    whole = "\n\n".join(filter(None, (text, *shown)))
    warnings: tuple[str, ...] = (
        (f"The sheet {name!r} has {len(uncounted)} formulas without values, which were left out. Open the "
         "file in a spreadsheet program, save it, and ingest it again.",)
        if uncounted
        else ()
    )  # fmt: skip
    if left_out:
        warnings += (f"The sheet {name!r} has {len(left_out)} hidden columns, which were left out.",)
    return Part(f"# {name}\n\n{whole}" if whole else "", metadata, warnings)


def _rows(writer: OdfText, sheet: Any, uncounted: list[str]) -> Iterator[list[str]]:
    """Yield the rows of a sheet without hidden ones; a merged cell is repeated where it goes on."""
    merged: dict[int, tuple[int, str]] = {}  # Rows left and text of cells from above, by column.
    for row in _all(sheet, "table-row"):
        if attribute(row, "visibility") == "collapse":
            continue
        cells: list[str] = []
        for cell in row:
            if local_name(cell) in ("table-cell", "covered-table-cell"):
                _add_cell(cells, cell, writer.write_cell(cell) or _bare_value(cell), merged)
                if attribute(cell, "formula") and not attribute(cell, "value-type"):
                    uncounted.append(attribute(cell, "formula"))
        yield from _repeat(_without_end(cells), _count(row, "number-rows-repeated"))


def _hidden_columns(sheet: Any, width: int) -> set[int]:
    """Return which of the columns are hidden."""
    hidden: set[int] = set()
    at = 0
    for column in _all(sheet, "table-column"):
        repeated = attribute(column, "number-columns-repeated")
        end = min(at + (int(repeated) if repeated.isdecimal() else 1), width)
        if attribute(column, "visibility") == "collapse":
            hidden.update(range(at, end))
        at = end
    return hidden


def _bare_value(cell: Any) -> str:
    """Return the value of a cell that a program wrote without the text that shows it."""
    kind, value = attribute(cell, "value-type"), attribute(cell, "value")
    if kind == "percentage" and value:
        with suppress(InvalidOperation):
            return f"{Decimal(value).scaleb(2).normalize():f}%"
    if kind == "boolean":
        return attribute(cell, "boolean-value").upper()
    named = attribute(
        cell, {"date": "date-value", "time": "time-value", "string": "string-value"}.get(kind, "")
    )
    return named or f"{value} {attribute(cell, 'currency')}".strip()


def _add_cell(cells: list[str], cell: Any, text: str, merged: dict[int, tuple[int, str]]) -> None:
    """Add a cell, as often as it is repeated. Covered cells stand where a merged one goes on."""
    width, height = _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned")
    for _ in range(_count(cell, "number-columns-repeated")):
        at = len(cells)
        if local_name(cell) == "covered-table-cell":
            left, above = merged.pop(at, (0, ""))
            cells.append(above)
            if left > 1:
                merged[at] = (left - 1, above)
            continue
        cells.append(text)
        for column in range(at, at + width) if width * height > 1 else ():
            kept = text if column == at else Spanned(text)
            rows = height if column > at else height - 1
            if rows:
                merged[column] = (rows, kept)


def _without_end(cells: list[str]) -> list[str]:
    """Drop the empty cells at the end."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _repeat(cells: list[str], times: int) -> Iterator[list[str]]:
    for _ in range(times if any(cells) else min(times, 1)):
        yield cells


def _count(element: Any, name: str) -> int:
    value = attribute(element, name)
    return max(1, min(int(value), _MOST_REPEATS)) if value.isdecimal() else 1
