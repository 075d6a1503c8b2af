"""Tables into text in which every row repeats the names of its columns, and delimited files."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.headers import Spanned, find_header, join_names
from qwen_agentkit.ingest.parts import Part

__all__ = ["read_csv", "read_tsv", "rows_as_text", "write_row"]

_HEAD = 100_000
"""Characters read to find the delimiter; no cell may be longer."""
_LOOKED_AT = 100
"""Rows among which those that name the columns are looked for."""
_LONGEST = 4_000_000
"""Most characters of a line."""
_UNIT = re.compile(
    r"[(\[][^()\[\]]{1,12}[)\]]|[^\W\d_]{0,5}[%°€$£¥²³/·][^\W\d_]{0,4}[²³2]?"
    r"|[kcmnµ]?m|[km]?g|t|[mch]?l|ha|s|h|min|d|[kMG]?Hz|[kMG]?W|[kMG]?Wh|[kM]?V|A|Pa|hPa|bar|[kMGT]?B"
    r"|EUR|USD|GBP|CHF|TRY|SAR|AED|EGP|INR|JPY|CNY|kV|km2|m2|m3|м|км|кг|т|л|руб|م|كم|كغ|米|公里|千米|公斤|元|円|人"
)
"""What stands for a unit: (m), km², %, EUR."""
_EXCEL_TEXT = re.compile(r'="([^"]*)"')
"""How text that looks like a number is written for Excel: ="00042"."""
_WIDEST = 16_384
"""Most cells of a row, as in a spreadsheet: a line of millions is no row."""


def rows_as_text(
    rows: Iterable[Sequence[str]], header_rows: int = 0, *, plain: str = "{}", gaps_end: bool = False
) -> str:
    """Write rows as paragraphs such as "Name: Anna | City: Cairo", which splitting keeps whole.

    Empty rows divide tables. The rows that name the columns are found by their shape; rows above them are
    kept as they are, and so are tables without such rows and cells below no name. A cell that is merged over
    columns is written for each of them that has a name.

    Args:
        rows: The cells of each row; `Spanned` where a merged cell goes on.
        header_rows: How many rows at the top name the columns, where that is known.
        plain: How a row of a table without names is written.
        gaps_end: Whether the names of a table never hold below an empty row, as in a sheet of several tables.
    """
    cleaned = [_clean(row) for row in rows]
    names: Sequence[str] = []
    if header_rows:
        header_rows += _has_units(cleaned[header_rows : header_rows + _LOOKED_AT])
        names = join_names(cleaned[:header_rows])
        body = cleaned[header_rows:]
        written = [_write_named(names, row) for row in body] if body else [_write_plain(names)]
        return "\n\n".join(filter(None, written))
    paragraphs: list[str] = []
    for has_cells, block in groupby(cleaned, key=any):
        if has_cells:
            names = _write_block(list(block), [] if gaps_end else names, paragraphs, plain)
    return "".join(paragraphs).strip("\n")


def _has_units(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row below the names has units for them: nothing, m, km²."""
    if len(rows) < 2 or not rows[0] or rows[0][0] or not any(rows[0]):
        return False
    units = [cell for cell in rows[0] if cell]
    filled = all(row and row[0] for row in rows[1:])
    return filled and all(_UNIT.fullmatch(cell) for cell in units)


def _clean(row: Sequence[str]) -> Sequence[str]:
    return [type(cell)(" ".join(cell.split())) for cell in row]


def _write_block(
    block: list[Sequence[str]], names: Sequence[str], paragraphs: list[str], plain: str
) -> Sequence[str]:
    """Add the text of rows without an empty one between them; return the names that hold below them."""
    start = 0
    while start < len(block):
        header = find_header(block[start : start + _LOOKED_AT])
        end = _next_label(block, start + header[1] if header else start)
        if header:
            first, behind = start + header[0], start + header[1]
            paragraphs += [f"\n\n{_write_plain(row)}" for row in block[start:first]]
            names = join_names(block[first:behind])
            start = behind
        rows = block[start:end]
        if names and (header or _fits(rows, names)):
            written = (_write_named(names, row) for row in rows if list(row) != list(names))
            paragraphs += [f"\n\n{row}" for row in written if row]
        else:
            names = []
            between = "\n\n" if plain == "{}" else "\n"
            rows_plain = [plain.format(row) for row in map(_write_plain, rows) if row]
            paragraphs.append("\n\n" + between.join(rows_plain))
        start = max(end, start)
    return names


def _next_label(block: Sequence[Sequence[str]], start: int) -> int:
    """Return the first row that begins another table: a label in a row of its own above another header."""
    for at in range(start + 1, len(block) - 2):
        if _count(block[at]) == 1 and _count(block[at + 1]) > 1:
            header = find_header(block[at + 1 : at + _LOOKED_AT])
            if header and header[0] == 0:
                return at
    return len(block)


def _fits(rows: Sequence[Sequence[str]], names: Sequence[str]) -> bool:
    """Tell whether rows below an empty one go on with the table above it."""
    return all(_count(row) > 1 and len(row) <= len(names) + 1 for row in rows)


def _count(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell and not isinstance(cell, Spanned))


def _write_plain(row: Sequence[str]) -> str:
    """Join the cells of a row; a cell that ends with a colon names the next one."""
    text = ""
    for cell in row:
        if cell and not isinstance(cell, Spanned):
            text += (" " if text.endswith((":", "：")) else " | " if text else "") + cell
    return text


def _write_named(names: Sequence[str], cells: Sequence[str]) -> str:
    return " | ".join(_name_cells(names, cells))


def _name_cells(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    if _count(cells) == 1 and len(cells) > 2 and sum(map(bool, cells)) == len(cells):
        yield cells[0]  # A label over the whole table names nothing.
        return
    for number, cell in enumerate(cells):
        name = names[number] if number < len(names) else ""
        if cell and (name or not isinstance(cell, Spanned)):
            yield f"{name.rstrip(':')}: {cell}" if name else cell


def write_row(cells: Iterable[str]) -> str:
    """Write cells as a row of a Markdown table; empty if all of them are."""
    texts = [" ".join(cell.split()) for cell in cells]
    return f"| {' | '.join(texts)} |" if any(texts) else ""


def read_csv(data: bytes) -> list[Part]:
    """Read a table separated by commas or semicolons of any script, tabs, bars, or what databases write."""
    return _read_table(data, ",;\t|^~¦\x01\x1f،؛，；")


def read_tsv(data: bytes) -> list[Part]:
    """Read a table separated by tabs."""
    return _read_table(data, "\t")


def _read_table(data: bytes, delimiters: str) -> list[Part]:
    decoded = decode_text(data)
    _check_lines(decoded.text)
    head = decoded.text[:_HEAD]
    delimiter = max(delimiters, key=lambda one: _count_columns(head, one))
    reader = csv.reader(io.StringIO(decoded.text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [_check_width(row, reader.line_num) for row in reader]
    except csv.Error as error:
        raise LoadError(
            f"The file is a broken table: {error} at line {reader.line_num}; expected rows of cells. "
            "Close the quote that is open there and try again."
        ) from error
    rows = [[_EXCEL_TEXT.sub(r"\1", cell) if cell.startswith('="') else cell for cell in row] for row in rows]
    if rows and rows[0] and rows[0][0].startswith("sep="):  # what Excel reads to know the delimiter
        del rows[0]
    return [Part(rows_as_text(rows), {}, decoded.warnings + _doubt(rows))]


def _check_lines(text: str) -> None:
    """Refuse a line that is no row before the reader takes it apart, which would fill the memory."""
    start = 0
    while len(text) - start > _LONGEST:
        end = text.rfind("\n", start, start + _LONGEST)
        if end < 0:
            raise LoadError(
                f"Line {text.count(chr(10), 0, start) + 1} of the table has more than {_LONGEST:,} "
                "characters; expected rows of cells. Check the ends of its lines."
            )
        start = end + 1


def _check_width(row: list[str], line: int) -> list[str]:
    if len(row) > _WIDEST:
        raise LoadError(
            f"Line {line} of the table has {len(row):,} cells; expected {_WIDEST:,} or fewer. Check the ends "
            "of its lines."
        )
    return row


def _doubt(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Say it where a table of several rows and columns has no names."""
    wide = [_clean(row) for row in rows if _count(row) > 1]
    if len(wide) < 2 or any(find_header(wide[at : at + 80]) for at in range(min(3, len(wide)))):
        return ()
    return ("No row was found that names the columns; the first one was read like the others.",)


def _count_columns(text: str, delimiter: str) -> tuple[int, int]:
    """Return how many of the first rows have the same number of cells, two or more, and that number."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        widths = Counter(map(len, islice(rows, 20)))
    except csv.Error:
        return (0, 0)
    return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
