"""Tables of rarer kinds: header rows in the middle, rows of units, fields, and formats of numbers."""

from __future__ import annotations

import io
from typing import Any

import pytest

from qwen_agentkit.ingest.loaders import read_document


def _text(data: str, suffix: str) -> str:
    [part] = read_document(data.encode(), suffix)
    return part.text.strip()


def test_a_header_row_in_the_middle_begins_another_table() -> None:
    page = (
        "<table><tr><th>Name<th>Fee</tr><tr><td>Anna<td>1</tr>"
        "<tr><th>Title<th>Pages</tr><tr><td>Guide<td>200</tr></table>"
    )
    assert _text(page, ".html") == "Name: Anna | Fee: 1\n\nTitle: Guide | Pages: 200"


@pytest.mark.parametrize("units", ["<td><td>(m)<td>(km²)", "<td><td>m<td>km²", "<th><th>m<th>km²"])
def test_units_below_the_names_belong_to_them(units: str) -> None:
    page = f"<table><tr><th>Lake<th>Depth<th>Area</tr><tr>{units}</tr><tr><td>Van<td>171<td>3755</table>"
    assert (
        _text(page, ".html").replace("(", "").replace(")", "") == "Lake: Van | Depth m: 171 | Area km²: 3755"
    )


def test_words_below_the_names_are_no_units() -> None:
    page = "<table><tr><th>Day<th>Open</tr><tr><td><td>closed</tr><tr><td>Mon<td>9</tr></table>"
    assert "Open: closed" in _text(page, ".html")


def test_a_cell_may_go_on_to_the_last_row() -> None:
    page = "<table><tr><th>A<th>B</tr><tr><td rowspan=0>x<td>1</tr><tr><td>2</tr></table>"
    assert _text(page, ".html") == "A: x | B: 1\n\nA: x | B: 2"


def test_figures_of_fields_and_formulas_stay_apart() -> None:
    page = "<p>Of <meter value=3>3</meter><output>77</output><progress>5</progress>0</p>"
    assert _text(page, ".html").split() == ["Of", "3", "77", "5", "0"]
    scripts = "<munderover><mo>∑</mo><mn>1</mn><mn>9</mn></munderover>"
    assert _text(f"<p><math>{scripts}</math></p>", ".html") == "∑₁⁹"


def test_children_of_a_flexible_box_stand_apart() -> None:
    page = '<div style="display:flex"><span>7</span><span>8<b>9</b></span></div><p><i>1</i><i>2</i></p>'
    assert _text(page, ".html").split() == ["7", "89", "12"]


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ("Name,Active\nAnna,TRUE\nBob,FALSE\n", "Name: Anna | Active: TRUE"),
        ("Name,2024-01-01,2024-02-01\nAnna,1,2\nBob,3,4\n", "Name: Anna | 2024-01-01: 1 | 2024-02-01: 2"),
        ("Anna,2024-01-01,2024-02-01\nBob,2024-03-01,2024-04-01\n", "Anna | 2024-01-01 | 2024-02-01"),
    ],
)
def test_truth_values_and_days_tell_names_from_values(rows: str, shown: str) -> None:
    assert _text(rows, ".csv").startswith(f"{shown}\n")


def test_text_for_excel_in_a_delimited_file_is_text() -> None:
    assert _text('code,amount\n="00042",5\n="00007",6\n', ".csv").startswith("code: 00042 | amount: 5\n")


def test_flowed_mail_is_joined() -> None:
    head = "From: a@b.example\nSubject: Fee\nContent-Type: text/plain; format=flowed"
    body = "The fee is 1 \n250 euros.\n\nIt is \ndue.\n"
    assert _text(f"{head}; delsp=yes\n\n{body}", ".eml").endswith("The fee is 1250 euros.\n\nIt isdue.")
    assert _text(f"{head}\n\n{body}", ".eml").endswith("The fee is 1 250 euros.\n\nIt is due.")


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (123456, "##0.0E+0", "123.5E+3"),
        (1234567, "0.00E+00", "1.23E+06"),
        (0.000123, "##0.0E+0", "123.0E-6"),
        (999.96, "##0.0E+0", "1.0E+3"),
        (-3, '[<0]"minus "0;0', "minus 3"),
        (-3, "[<100]0;0.0", "-3"),
        (30.25, "aaa", "1900-01-30T06:00:00"),
        (45356, "aaaa", "2024-03-05"),
        (30.25, "h:mm", "06:00:00"),
        (45356.25, "h:mm", "2024-03-05T06:00:00"),
        (30.25, "[mm]", "43560"),
        (30.25, '0.00E+00 "d"', "3.03E+01 d"),
        (30.25, "[$-2000401]#,##0.00", "30.25"),
        (-1234.5, "#,##0.00_);[Red](#,##0.00)", "(1,234.50)"),
        (0.256, '0.0" %"', "0.3 %"),
    ],
)
def test_excel_numbers_are_written_as_shown(value: Any, code: str, shown: str) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append([value, "x"])
    book.active["A1"].number_format = code
    out = io.BytesIO()
    book.save(out)
    [part] = read_document(out.getvalue(), ".xlsx")
    assert part.text == f"# Sheet\n\n{shown} | x"
