"""Tables and records into text in which every row repeats the names of its columns."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part, decode_text, replace_surrogates

__all__ = ["read_csv", "read_jsonl", "read_tsv", "rows_as_text"]

_BODIES = ("text", "content", "page_content")
"""The keys of a record that may hold its text."""
_HEAD = 100_000
"""Characters read to find the delimiter; no cell may be longer."""


def rows_as_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as paragraphs such as "Name: Anna | City: Cairo", which splitting keeps whole.

    The first row with two or more cells names the columns. Rows above it are kept as they are, and so are
    cells below no name.
    """
    names: list[str] = []
    paragraphs = []
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        if names:
            paragraphs.append(" | ".join(_name_cells(names, cells)))
        elif sum(map(bool, cells)) > 1:
            names = cells
        else:
            paragraphs.append("".join(cells))
    return "\n\n".join(filter(None, paragraphs)) or " | ".join(filter(None, names))


def _name_cells(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    for number, cell in enumerate(cells):
        name = names[number] if number < len(names) else ""
        if cell:
            yield f"{name}: {cell}" if name else cell


def read_csv(data: bytes) -> list[Part]:
    """Read a table separated by commas, semicolons, tabs or bars."""
    return _read_table(decode_text(data), ",;\t|")


def read_tsv(data: bytes) -> list[Part]:
    """Read a table separated by tabs."""
    return _read_table(decode_text(data), "\t")


def _read_table(text: str, delimiters: str) -> list[Part]:
    delimiter = max(delimiters, key=lambda one: _count_columns(text[:_HEAD], one))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [Part(rows_as_text(rows), {})]
    except csv.Error as error:
        raise LoadError(
            f"The file is a broken table: {error} at line {rows.line_num}; expected rows of cells. "
            "Close the quote that is open there and try again."
        ) from error


def _count_columns(text: str, delimiter: str) -> tuple[int, int]:
    """Return how many of the first rows have the same number of cells, two or more, and that number."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    widths = Counter(map(len, islice(rows, 20)))
    return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))


def read_jsonl(data: bytes) -> list[Part]:
    """Read one record per line, each as a part with "key: value" lines. Its text, if any, comes first."""
    # Strings may contain the other line ends of Unicode.
    lines = enumerate(decode_text(data).split("\n"), start=1)
    return [_read_record(number, line) for number, line in lines if line.strip()]


def _read_record(number: int, line: str) -> Part:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise TypeError(f"it is of type {type(record).__name__}")
        text = _write_record(record)
    except (ValueError, TypeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise LoadError(
            f"The file is not JSON Lines: line {number} is no JSON object ({reason}); expected one such as "
            '{"text": "..."}. Correct that line and try again.'
        ) from error
    title = record.get("title")
    titled = {"title": replace_surrogates(title)} if isinstance(title, str) and title else {}
    return Part(replace_surrogates(text), {**titled, "page": number})


def _write_record(record: dict[str, Any]) -> str:
    body = next((key for key in _BODIES if isinstance(record.get(key), str)), None)
    others = {key: value for key, value in record.items() if key != body}
    return "\n\n".join(filter(None, [record[body].strip() if body else "", "\n".join(_write_fields(others))]))


def _write_fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the "key: value" lines of a value, nested keys joined by dots; a plain list is one line."""
    nested: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        nested = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        nested = ((str(number), item) for number, item in enumerate(value, start=1))
    elif line := _write_scalar(value):
        yield f"{path}: {line}"
    for key, item in nested:
        yield from _write_fields(item, f"{path}.{key}" if path else key)


def _write_scalar(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_write_scalar, value)))
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value)
