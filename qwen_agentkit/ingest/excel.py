"""Excel files into rows that repeat the names of their columns, a part per sheet, through openpyxl."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from qwen_agentkit.ingest.drawings import drawn_texts
from qwen_agentkit.ingest.headers import Spanned
from qwen_agentkit.ingest.numberformats import show_duration, show_number
from qwen_agentkit.ingest.office import first_title, read_office
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.sheets import sheet_as_text
from qwen_agentkit.ingest.struck import join_struck, mark_struck
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_xlsx"]

_THREADED = re.compile(r"\[Threaded comment\].*?Comment:\s*", re.S)
"""What Excel puts before a comment for programs that know no threads."""
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|AM/PM|A/P', re.I)
"""What a format shows as it is, and its settings."""
_WEEKDAY = re.compile("^[^0#?]*(?<![a-z])a{3,4}(?![a-z])[^0#?]*$", re.I)
"""Formats of weekdays in Chinese and Japanese programs."""
_DATED = re.compile("[dyaegbr]|mmm", re.I)
"""Letters of days and years."""


def read_xlsx(data: bytes) -> list[Part]:
    """Read an Excel file: of each sheet the name as a heading, rows, text boxes, charts and comments."""
    return read_office(data, "Excel", _read_workbook)


def _read_workbook(data: bytes) -> list[Part]:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They tell what it could not save.
        book = load_workbook(io.BytesIO(data), data_only=True, keep_links=False, rich_text=True)
        uncounted, boxes = _find_uncounted(data), drawn_texts(data)
    shared = first_title(book.properties.title)
    return [
        _read_sheet(
            sheet, {**shared, "page": number}, uncounted.get(sheet.title, []), boxes.get(sheet.title, [])
        )
        for number, sheet in enumerate((book[name] for name in book.sheetnames), start=1)
    ]


def _read_sheet(sheet: Any, metadata: dict[str, Any], uncounted: list[str], boxes: list[str]) -> Part:
    if sheet.sheet_state != "visible":
        return Part("", metadata, (f"The sheet {sheet.title!r} is hidden and was left out.",))
    if not hasattr(sheet, "merged_cells"):  # A sheet that is nothing but a chart.
        shown = "\n\n".join(boxes)
        return Part(f"# {sheet.title}\n\n{shown}" if shown else "", metadata)
    hidden_rows, hidden_columns = _find_hidden(sheet)
    text = sheet_as_text(_rows(sheet, hidden_rows, hidden_columns))
    comments = "\n\n".join(_write_comments(sheet, hidden_rows, hidden_columns))
    whole = "\n\n".join(filter(None, (text, *boxes, comments)))
    said = list(_warn(sheet.title, uncounted, len(hidden_rows), len(hidden_columns)))
    return Part(f"# {sheet.title}\n\n{whole}" if whole else "", metadata, tuple(said))


def _warn(title: str, uncounted: list[str], rows: int, columns: int) -> Iterator[str]:
    if uncounted:
        more = f" and {len(uncounted) - 3} more" if len(uncounted) > 3 else ""
        yield (
            f"The sheet {title!r} has formulas without values ({', '.join(uncounted[:3])}{more}), which were "
            "left out. Open the file in a spreadsheet program, save it, and ingest it again."
        )
    if rows or columns:
        yield f"The sheet {title!r} has {rows} hidden rows and {columns} hidden columns, which were left out."


def _rows(sheet: Any, hidden_rows: set[int], hidden_columns: set[int]) -> Iterator[list[str]]:
    """Yield the rows of a sheet without what is hidden; an empty one where rows are missing.

    `iter_rows` would go over all the columns and rows up to the last cell, which may be 17 billion.
    """
    spans, covered = _merged(sheet)
    struck = {number for number, font in enumerate(sheet.parent._fonts) if font.strike}
    rows: dict[int, dict[int, str]] = {}
    for (row, column), cell in sorted(sheet._cells.items()):
        if row not in hidden_rows and column not in hidden_columns and (row, column) not in covered:
            text = _write_value(cell.value, cell.number_format, sheet.parent.epoch)
            if struck and cell._style.fontId in struck:
                text = mark_struck(text.replace("~~", ""))
            for other_row, other_column in spans.get((row, column), [(row, column)]):
                if text and other_row not in hidden_rows and other_column not in hidden_columns:
                    kind = Spanned if other_column > column else str
                    rows.setdefault(other_row, {})[other_column] = kind(text)
    first_column = min((min(cells) for cells in rows.values()), default=1)
    last = 0
    for number in sorted(rows):
        if last and number > last + 1 and not hidden_rows.issuperset(range(last + 1, number)):
            yield []
        yield [rows[number].get(at, "") for at in range(first_column, max(rows[number]) + 1)]
        last = number


def _merged(sheet: Any) -> tuple[dict[tuple[int, int], list[tuple[int, int]]], set[tuple[int, int]]]:
    """Return the cells of each merged range by its first cell, and the others of all ranges."""
    spans, covered = {}, set()
    for area in sheet.merged_cells.ranges:
        cells = [
            (row, column)
            for row in range(area.min_row, min(area.max_row, sheet.max_row) + 1)
            for column in range(area.min_col, min(area.max_col, sheet.max_column) + 1)
        ]
        if len(cells) <= 10_000:
            spans[cells[0]] = cells
            covered.update(cells[1:])
    return spans, covered


def _find_hidden(sheet: Any) -> tuple[set[int], set[int]]:
    """Return hidden rows and columns. Rows that a filter hides for now are not hidden."""
    rows = {number for number, row in sheet.row_dimensions.items() if row.hidden}
    columns = {
        number
        for column in sheet.column_dimensions.values()
        if column.hidden
        for number in range(column.min or column.index_int, min(column.max or 0, sheet.max_column) + 1)
    }
    filled_rows = {row for row, _ in sheet._cells}
    return set() if sheet.auto_filter.ref else rows & filled_rows, columns


def _write_comments(sheet: Any, hidden_rows: set[int], hidden_columns: set[int]) -> Iterator[str]:
    for (row, column), cell in sorted(sheet._cells.items()):
        comment = getattr(cell, "comment", None)
        if comment and comment.text and row not in hidden_rows and column not in hidden_columns:
            # The author of a threaded comment is the number of its thread.
            named = comment.author and comment.author != "None" and not comment.author.startswith("tc={")
            author = f" ({comment.author})" if named else ""
            text = " ".join(_THREADED.sub("", comment.text).split())
            yield f"Comment on {cell.coordinate}{author}: {text}"


def _find_uncounted(data: bytes) -> dict[str, list[str]]:
    """Return the formulas without values, by sheet: programs write them, and nothing has computed them."""
    from openpyxl import load_workbook

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(re.search(rb"<f[\s>/]", archive.read(name)) for name in sheets):
            return {}
    values = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    formulas = load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
    found: dict[str, list[str]] = {}
    for sheet in formulas.worksheets:
        pairs = zip(sheet.iter_rows(), values[sheet.title].iter_rows(), strict=False)
        found[sheet.title] = [
            cell.coordinate
            for row, kept in pairs
            for cell, value in zip(row, kept, strict=False)
            if cell.data_type == "f" and value.value is None
        ]
    return found


def _write_value(value: Any, code: str, epoch: datetime) -> str:
    """Write a value as a sheet shows it, dates in ISO format."""
    letters = _NO_LETTERS.sub("", code)
    if isinstance(value, int | float) and _WEEKDAY.search(letters):  # openpyxl knows no date in it.
        value = _as_date(value, epoch)
    if isinstance(value, datetime) and value.year < 1905 and not _DATED.search(letters):
        value = value.time()  # Only the time of day is shown of 30.25 days.
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return show_duration(value, code)
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return show_number(value, code)
    if isinstance(value, list):  # rich text: strings, and blocks with a font
        return _join_rich_text(value)
    return "" if value is None else str(value)


def _as_date(value: float, epoch: datetime) -> date | float:
    from openpyxl.utils.datetime import from_excel

    try:
        found = from_excel(value, epoch)
    except (ValueError, OverflowError):
        return value
    return found if isinstance(found, date) else value


def _join_rich_text(blocks: Iterable[Any]) -> str:
    text = ""
    for block in blocks:
        position = getattr(getattr(block, "font", None), "vertAlign", None)
        piece = str(block)
        if position in ("superscript", "subscript"):
            piece = mark_raised(piece, text, lowered=position == "subscript")
        if getattr(getattr(block, "font", None), "strike", None):
            piece = mark_struck(piece)
        text += piece
    return join_struck(text)
