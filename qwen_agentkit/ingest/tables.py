"""Tables and records into text whose every row stands alone, with the names of its columns."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part, decoded, storable

__all__ = ["read_csv", "read_jsonl", "read_tsv", "rows_as_text"]

_BODIES = ("text", "content", "page_content")
"""Names under which a record holds its text."""
_HEAD = 100_000
"""Characters by which a delimiter is found: no more than one cell may have."""


def rows_as_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as paragraphs, such as "Name: Anna | City: Cairo", so that splitting keeps them whole.

    The first row with two cells or more names the columns. What stands above it is kept as it is, and so
    is a cell below no name.
    """
    names: list[str] = []
    paragraphs = []
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        if names:
            paragraphs.append(" | ".join(_named(names, cells)))
        elif sum(map(bool, cells)) > 1:
            names = cells
        else:
            paragraphs.append("".join(cells))
    return "\n\n".join(filter(None, paragraphs)) or " | ".join(filter(None, names))


def _named(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    for number, cell in enumerate(cells):
        name = names[number] if number < len(names) else ""
        if cell:
            yield f"{name}: {cell}" if name else cell


def read_csv(data: bytes) -> list[Part]:
    """Read a table with commas or, where those give no columns, semicolons, tabs or bars."""
    return _table(decoded(data), ",;\t|")


def read_tsv(data: bytes) -> list[Part]:
    """Read a table with tabs."""
    return _table(decoded(data), "\t")


def _table(text: str, delimiters: str) -> list[Part]:
    delimiter = max(delimiters, key=lambda one: _agreement(text[:_HEAD], one))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [Part(rows_as_text(rows), {})]
    except csv.Error as error:
        raise LoadError(
            f"is a broken table: {error} at line {rows.line_num}, expected rows of cells; "
            "close the quote that is open there and try again"
        ) from error


def _agreement(text: str, delimiter: str) -> tuple[int, int]:
    """How many of the first rows have one number of cells, two or more; and that number."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    widths = Counter(map(len, islice(rows, 20)))
    return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))


def read_jsonl(data: bytes) -> list[Part]:
    """Read records, one a line: a part each, as "key: value" lines; its text, if it has one, comes first."""
    # Other ends of lines that Unicode knows may stand inside a string.
    lines = enumerate(decoded(data).split("\n"), start=1)
    return [_record(number, line) for number, line in lines if line.strip()]


def _record(number: int, line: str) -> Part:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise TypeError(f"it is of type {type(record).__name__}")
        text = _record_text(record)
    except (ValueError, TypeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise LoadError(
            f"is not JSON Lines: line {number} is no JSON object ({reason}), expected one such as "
            '{"text": "..."}; mend that line and try again'
        ) from error
    title = record.get("title")
    titled = {"title": storable(title)} if isinstance(title, str) and title else {}
    return Part(storable(text), {**titled, "page": number})


def _record_text(record: dict[str, Any]) -> str:
    body = next((key for key in _BODIES if isinstance(record.get(key), str)), None)
    others = {key: value for key, value in record.items() if key != body}
    return "\n\n".join(filter(None, [record[body].strip() if body else "", "\n".join(_fields(others))]))


def _fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the "key: value" lines of a value, with dots between nested keys; a plain list is one line."""
    nested: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        nested = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        nested = ((str(number), item) for number, item in enumerate(value, start=1))
    elif line := _scalar(value):
        yield f"{path}: {line}"
    for key, item in nested:
        yield from _fields(item, f"{path}.{key}" if path else key)


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_scalar, value)))
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value)
