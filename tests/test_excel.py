"""Excel: cells as a sheet shows them, merged ones, comments, and what is hidden or was never computed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.comments import Comment

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document
from qwen_agentkit.ingest.numberformats import show_duration, show_number

SHOWN = [
    (0.25, "0%", "25%"),
    (0.25, "0 %", "25 %"),
    (0.125, "0.0%", "12.5%"),
    (42, "00000", "00042"),
    (1234.5, '#,##0.00 "EUR"', "1,234.50 EUR"),
    (1234.5, "#,##0.00\\ [$€-407]", "1,234.50 €"),
    (1234.5, '_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-', "1,234.50 €"),
    (-5, "#,##0;(#,##0)", "(5)"),
    (0, '0;-0;"none"', "none"),
    (1.5, "# ?/?", "1 1/2"),
    (0.75, "?/?", "3/4"),
    (123456789, "000-00-0000", "123-45-6789"),
    (1234567, '0.0,,"M"', "1.2M"),
    (12345.678, "0.00E+00", "1.23E+04"),
    (2.5, "0", "3"),
    (0.1 + 0.2, "0.##", "0.3"),
    (0.1 + 0.2, "General", "0.3"),
    (5, '[>3]"many";"few"', "many"),
    (-1234.5, "[Red]#,##0.0", "-1,234.5"),
    (-0.001, "0.0", "0.0"),
    (7, "@", "7"),
    (1e300, "0" * 300, "1e+300"),
    (float("inf"), "0", "inf"),
]


@pytest.mark.parametrize(("value", "code", "shown"), SHOWN)
def test_a_number_is_written_as_it_is_shown(value: float, code: str, shown: str) -> None:
    assert show_number(value, code) == shown


@pytest.mark.parametrize(
    ("duration", "code", "shown"),
    [
        (timedelta(hours=30), "[h]:mm", "30:00"),
        (timedelta(hours=30, seconds=5), "[h]:mm:ss", "30:00:05"),
        (timedelta(minutes=90), "[mm]:ss", "90:00"),
        (-timedelta(hours=2), "[h]:mm", "-2:00"),
    ],
)
def test_a_duration_is_no_time_of_day(duration: timedelta, code: str, shown: str) -> None:
    assert show_duration(duration, code) == shown


def read(book: Workbook) -> list[Part]:
    out = io.BytesIO()
    book.save(out)
    return read_document(out.getvalue(), ".xlsx")


def sheet(rows: Sequence[Any], *merged: str) -> Workbook:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    for area in merged:
        book.active.merge_cells(area)
    return book


def test_cells_have_their_formats() -> None:
    book = sheet([["Share", "Code", "Price", "Time", "Sold"], [0.25, 42, 1234.5, timedelta(hours=30), True]])
    for cell, code in zip("ABCD", ("0%", "00000", '#,##0.00 "EUR"', "[h]:mm"), strict=True):
        book.active[f"{cell}2"].number_format = code
    [part] = read(book)
    assert part.text == "# Sheet\n\nShare: 25% | Code: 00042 | Price: 1,234.50 EUR | Time: 30:00 | Sold: TRUE"


def test_merged_cells_go_on() -> None:
    rows = [
        ["City", "Day", "Price"],
        ["القاهرة", "Mon", 5],
        [None, "Tue", 6],
        ["Closed in August", None, None],
    ]
    [part] = read(sheet(rows, "A2:A3", "A4:C4"))
    assert part.text == (
        "# Sheet\n\nCity: القاهرة | Day: Mon | Price: 5\n\nCity: القاهرة | Day: Tue | Price: 6\n\n"
        "Closed in August"
    )
    heads = [["Region", "2022", None, "2023", None], [None, "Q1", "Q2", "Q1", "Q2"], ["North", 1, 2, 3, 4]]
    [part] = read(sheet(heads, "A1:A2", "B1:C1", "D1:E1"))
    assert part.text == "# Sheet\n\nRegion: North | 2022 Q1: 1 | 2022 Q2: 2 | 2023 Q1: 3 | 2023 Q2: 4"


def test_a_letterhead_and_two_tables_keep_apart() -> None:
    rows: list[list[Any]] = [
        ["Contact:", "Ines Blum", "Date:", "2024-05-01"],
        [],
        ["Article", "Stock"],
        ["Bolt", 400],
    ]
    [part] = read(sheet([*rows, [], ["Driver", "Truck"], ["Yusuf", "T-9"]]))
    assert part.text == (
        "# Sheet\n\nContact: Ines Blum | Date: 2024-05-01\n\nArticle: Bolt | Stock: 400\n\nDriver: "
        "Yusuf | Truck: T-9"
    )


def test_formulas_that_nothing_computed_are_named() -> None:
    book = sheet([["Region", "Sum"], ["North", 5], ["Total", "=SUM(B2:B2)"]])
    [part] = read(book)
    assert part.text == "# Sheet\n\nRegion: North | Sum: 5\n\nRegion: Total"
    assert "'Sheet' has formulas without values (B3), which were left out" in part.warnings[0]
    with pytest.raises(LoadError, match="formulas without values"):
        read(sheet([["=1+1", "=2+2"]]))


def test_what_is_hidden_is_left_out_and_named() -> None:
    book = sheet([["Name", "Pay", "City"], ["Anna", 5, "Cairo"], ["Omar", 7, "Sofia"]])
    book.active.column_dimensions["B"].hidden = True
    book.active.row_dimensions[3].hidden = True
    secret = book.create_sheet("Salaries")
    secret.append(["Boss", 100])
    secret.sheet_state = "veryHidden"
    shown, hidden = read(book)
    assert shown.text == "# Sheet\n\nName: Anna | City: Cairo"
    assert shown.warnings == (
        "The sheet 'Sheet' has 1 hidden rows and 1 hidden columns, which were left out.",
    )
    assert hidden == Part("", {"page": 2}, ("The sheet 'Salaries' is hidden and was left out.",))


def test_rows_that_a_filter_hides_are_read() -> None:
    book = sheet([["Name", "City"], ["Anna", "Cairo"]])
    book.active.auto_filter.ref = "A1:B2"
    book.active.row_dimensions[2].hidden = True
    assert read(book)[0].text == "# Sheet\n\nName: Anna | City: Cairo"


def test_comments_are_read() -> None:
    book = sheet([["Truck", "State"], ["T-9", "ok"]])
    book.active["A2"].comment = Comment("يحتاج إلى إصلاح", "Ines")
    assert read(book)[0].text.endswith("Comment on A2 (Ines): يحتاج إلى إصلاح")


def test_a_cell_at_the_end_of_the_sheet_takes_no_time() -> None:
    book = sheet([["Name", "City"], ["Anna", "Cairo"]])
    book.active["XFD1048576"] = "far away"
    assert read(book)[0].text == "# Sheet\n\nName: Anna | City: Cairo\n\nfar away"
