"""Tables whose lines are no rows fail with one sentence, before they fill the memory."""

from __future__ import annotations

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import read_document, tables

LONG = 4_100_000


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize(
    ("data", "line"),
    [(b"a,b\n" + b"word," * (LONG // 5), 2), (b"x" * LONG, 1), (b'name,note\n"' + b"y" * LONG, 2)],
)
def test_a_line_that_is_no_row_is_named(data: bytes, line: int, ending: str) -> None:
    with pytest.raises(LoadError, match=rf"^Line {line} of the table has more than 4,000,000 characters"):
        read_document(data, ending)


def test_a_long_file_of_short_lines_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_LONGEST", 1_000)
    [part] = read_document(b"Name,City\n" + b"Anna,Cairo\n" * 500, ".csv")
    assert part.text.count("Name: Anna | City: Cairo") == 500


@pytest.mark.parametrize("separator", ["،", "؛", "，", "；", ";", "\t", "|"])
def test_cells_are_divided_by_the_separators_of_every_script(separator: str) -> None:
    rows = [("الاسم", "المدينة", "السعر"), ("أنا", "القاهرة", "٥"), ("سمير", "بون", "٧")]
    text = "\n".join(separator.join(row) for row in rows)
    [part] = read_document(text.encode(), ".csv")
    assert part.text.splitlines()[0] == "الاسم: أنا | المدينة: القاهرة | السعر: ٥"


def test_commas_inside_cells_divide_nothing() -> None:
    text = "الاسم,العنوان,السعر\nأنا,شارع النيل، القاهرة,٥\nسمير,طريق الجبل، بون,٧\n"
    [part] = read_document(text.encode(), ".csv")
    assert "العنوان: شارع النيل، القاهرة | السعر: ٥" in part.text
