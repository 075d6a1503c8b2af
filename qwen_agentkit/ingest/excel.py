"""Excel files into rows that repeat the names of their columns, a part per sheet, through openpyxl."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from qwen_agentkit.ingest.office import first_title, read_office
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_xlsx"]


def read_xlsx(data: bytes) -> list[Part]:
    """Read an Excel file: of each sheet the name as a heading, and its rows."""
    return read_office(data, "Excel", _read_workbook)


def _read_workbook(data: bytes) -> list[Part]:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They tell what it could not save.
        book = load_workbook(
            io.BytesIO(data), read_only=True, data_only=True, keep_links=False, rich_text=True
        )
        shared = first_title(book.properties.title)
        return [
            Part(f"# {sheet.title}\n\n{text}", {**shared, "page": number})
            for number, sheet in enumerate(book.worksheets, start=1)
            for text in [_write_sheet(sheet)]
            if text
        ]


def _write_sheet(sheet: Any) -> str:
    sheet.reset_dimensions()  # Some programs write wrong ones, and rows would be lost.
    return rows_as_text([_write_value(value) for value in row] for row in sheet.iter_rows(values_only=True))


def _write_value(value: Any) -> str:
    """Write a value as a sheet shows it, dates in ISO format."""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):  # rich text: strings, and blocks with a font
        return _join_rich_text(value)
    return "" if value is None else str(value)


def _join_rich_text(blocks: Iterable[Any]) -> str:
    text = ""
    for block in blocks:
        position = getattr(getattr(block, "font", None), "vertAlign", None)
        piece = str(block)
        if position in ("superscript", "subscript"):
            piece = mark_raised(piece, text, lowered=position == "subscript")
        text += piece
    return text
