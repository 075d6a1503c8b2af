"""Records into "key: value" lines: JSON, JSON Lines and Jupyter notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.parts import Part, replace_surrogates
from qwen_agentkit.ingest.plaintext import fence

__all__ = ["read_ipynb", "read_json", "read_jsonl"]

_BODIES = ("text", "content", "page_content")
"""The keys of a record that may hold its text."""
_DAMAGED = (ValueError, TypeError, RecursionError)
"""What reading damaged or hostile JSON raises."""


def read_jsonl(data: bytes) -> list[Part]:
    """Read one record per line, each as a part with "key: value" lines. Its text, if any, comes first.

    A line that is no record costs that line.

    Raises:
        LoadError: No line is a record.
    """
    decoded = decode_text(data)
    # Strings may contain the other line ends of Unicode.
    lines = enumerate(decoded.text.split("\n"), start=1)
    parts = [_read_line(number, line) for number, line in lines if line.strip()]
    if parts and all(part.warnings for part in parts):
        raise LoadError(
            f"The file is not JSON Lines: {parts[0].warnings[0]} Correct that line and try again."
        )
    return [Part("", {}, decoded.warnings), *parts] if decoded.warnings else parts


def _read_line(number: int, line: str) -> Part:
    try:
        record = _parse(line)
        if not isinstance(record, dict):
            raise TypeError(f"it is of type {type(record).__name__}")
        return _read_record(record, number)
    except _DAMAGED as error:
        warning = (
            f'line {number} is no JSON object ({_reason(error)}); expected one such as {{"text": "..."}}.'
        )
        return Part("", {"page": number}, (warning,))


def _parse(text: str) -> Any:
    """Parse JSON. Numbers with a point or an exponent are those that are written: 1.10, 1E400."""
    return json.loads(text, parse_float=str)


def _reason(error: Exception) -> object:
    return error.msg if isinstance(error, json.JSONDecodeError) else error


def _read_record(record: dict[str, Any], number: int) -> Part:
    title = record.get("title")
    titled = {"title": replace_surrogates(title)} if isinstance(title, str) and title else {}
    return Part(replace_surrogates(_write_record(record)), {**titled, "page": number})


def read_json(data: bytes) -> list[Part]:
    """Read JSON: a list of records as a part each, anything else as "key: value" lines."""
    decoded = decode_text(data)
    try:
        value = _parse(decoded.text)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            parts = [_read_record(item, number) for number, item in enumerate(value, start=1)]
            return [Part("", {}, decoded.warnings), *parts] if decoded.warnings else parts
        if isinstance(value, dict):
            return [_read_record(value, 1)._replace(warnings=decoded.warnings)]
        return [Part(replace_surrogates("\n".join(_write_fields(value))), {}, decoded.warnings)]
    except _DAMAGED as error:
        line = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise LoadError(
            f"The file is broken JSON ({_reason(error)}{line}); expected one value. Correct it and try again."
        ) from error


def read_ipynb(data: bytes) -> list[Part]:
    """Read a notebook: texts as they are, code in fences, and what it printed. The page is the cell."""
    decoded = decode_text(data)
    try:
        notebook = _parse(decoded.text)
        language = notebook["metadata"].get("kernelspec", {}).get("language", "") or "python"
        cells = list(notebook["cells"])
        parts = [
            Part(replace_surrogates(_write_cell(cell, str(language))), {"page": number})
            for number, cell in enumerate(cells, start=1)
        ]
    except (*_DAMAGED, LookupError, AttributeError) as error:
        raise LoadError(
            f"The file is a broken notebook ({_reason(error)}); expected nbformat 4. Save it anew and try "
            "again."
        ) from error
    return [Part("", {}, decoded.warnings), *parts] if decoded.warnings else parts


def _write_cell(cell: dict[str, Any], language: str) -> str:
    source = _join(cell.get("source", ""))
    if cell["cell_type"] != "code":
        return source
    printed = [
        _join(output.get("text") or output.get("data", {}).get("text/plain", "") or _error(output))
        for output in cell.get("outputs", [])
    ]
    blocks = [fence(source, language), *(fence(text) for text in printed)]
    return "\n\n".join(filter(None, blocks))


def _error(output: dict[str, Any]) -> str:
    return f"{output['ename']}: {output.get('evalue', '')}" if output.get("ename") else ""


def _join(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


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
        yield f"{path}: {line}" if path else line
    for key, item in nested:
        yield from _write_fields(item, f"{path}.{key}" if path else key)


def _write_scalar(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_write_scalar, value)))
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value)
