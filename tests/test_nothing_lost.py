"""What readers used to drop or to change without a word: values of charts, shapes, fields, heads, numbers."""

from __future__ import annotations

import copy
import datetime as dt
import io
from typing import Any

import pytest
from docx import Document
from docx.oxml import parse_xml as word_xml
from pptx import Presentation
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml import parse_xml
from pptx.util import Inches

from qwen_agentkit.ingest import read_document

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
DRAWING = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'


def read(data: bytes | str, suffix: str) -> str:
    parts = read_document(data if isinstance(data, bytes) else data.encode(), suffix)
    return "\n\n".join(part.text for part in parts if part.text)


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


# Slides


def test_a_shape_that_newer_programs_write_twice_is_read_once() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    box = slide.shapes.add_textbox(0, 0, Inches(3), Inches(1))
    box.text_frame.text = "The fee is 12 euros."
    names = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    both = parse_xml(
        f'<mc:AlternateContent {names}><mc:Choice Requires="x"/><mc:Fallback/></mc:AlternateContent>'
    )
    box._element.getparent().replace(box._element, both)
    both[0].append(box._element)
    both[1].append(copy.deepcopy(box._element))
    assert read(saved(deck), ".pptx") == "The fee is 12 euros."


def test_numbered_points_keep_their_numbers() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    frame = slide.shapes.add_textbox(0, 0, Inches(3), Inches(1)).text_frame
    for number, (level, kind) in enumerate([(0, "arabicPeriod"), (1, "alphaLcParenR"), (0, "arabicPeriod")]):
        paragraph = frame.paragraphs[0] if not number else frame.add_paragraph()
        paragraph.text, paragraph.level = f"point {number}", level
        paragraph._p.get_or_add_pPr().append(
            parse_xml(f'<a:buAutoNum {DRAWING} type="{kind}" startAt="{5 if not level else 1}"/>')
        )
    assert read(saved(deck), ".pptx") == "5. point 0\n  a) point 1\n6. point 2"


def test_a_chart_keeps_repeated_categories_and_shows_dates() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    points, days = XyChartData(), CategoryChartData()
    series = points.add_series("Height")
    series.add_data_point(1.5, 20)
    series.add_data_point(1.5, 30)
    days.categories = [dt.date(2024, 1, 1), dt.date(2024, 2, 1)]
    days.add_series("Visitors", (345, 367))
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, 0, 1, 1, points)
    slide.shapes.add_chart(XL_CHART_TYPE.LINE, 0, 0, 1, 1, days)
    assert read(saved(deck), ".pptx").split("\n\n") == [
        "Category: 1.5 | Height: 20",
        "Category: 1.5 | Height: 30",
        "Category: 2024-01-01 | Visitors: 345",
        "Category: 2024-02-01 | Visitors: 367",
    ]


# Word


def docx(xml: str) -> str:
    document = Document()
    document.element.body.insert(-1, word_xml(xml))
    return read(saved(document), ".docx")


def row(first: str, second: str, properties: str = "") -> str:
    cells = "".join(f"<w:tc><w:p><w:r><w:t>{one}</w:t></w:r></w:p></w:tc>" for one in (first, second))
    return f"<w:tr>{properties}{cells}</w:tr>"


def test_a_row_that_was_deleted_is_not_read() -> None:
    gone = '<w:trPr><w:del w:id="1" w:author="a"/></w:trPr>'
    table = row("Item", "Fee") + row("Old", "99", gone) + row("New", "42")
    assert docx(f"<w:tbl {WORD}>{table}</w:tbl>") == "Item: New | Fee: 42"


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("<w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>", "☑"),
        ("<w:checkBox><w:default w:val='0'/></w:checkBox>", "☐"),
        ("<w:ddList><w:result w:val='1'/><w:listEntry w:val='A'/><w:listEntry w:val='B'/></w:ddList>", "B"),
    ],
)
def test_fields_of_older_forms_are_read(field: str, shown: str) -> None:
    begin = f'<w:fldChar w:fldCharType="begin"><w:ffData>{field}</w:ffData></w:fldChar>'
    assert docx(f"<w:p {WORD}><w:r>{begin}</w:r><w:r><w:t> paid</w:t></w:r></w:p>") == f"{shown} paid"


def test_how_characters_are_said_is_not_said_twice() -> None:
    reading = "<w:rt><w:r><w:t>とうきょう</w:t></w:r></w:rt>"
    ruby = f"<w:ruby>{reading}<w:rubyBase><w:r><w:t>東京</w:t></w:r></w:rubyBase></w:ruby>"
    assert docx(f"<w:p {WORD}><w:r>{ruby}</w:r></w:p>") == "東京"


# Excel


def test_text_boxes_of_a_sheet_are_read() -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        first, second = book.add_worksheet("One"), book.add_worksheet("Two")
        first.write_row(0, 0, ["Item", "Fee"])
        first.write_row(1, 0, ["Rent", 12])
        first.insert_textbox(4, 0, "All fees in thousands.\nFrom 2024 on.")
        second.write(0, 0, "None")
    text = read(out.getvalue(), ".xlsx")
    assert text == "# One\n\nItem: Rent | Fee: 12\n\nAll fees in thousands.\nFrom 2024 on.\n\n# Two\n\nNone"


# Mail

HEAD = "From: a@example.org\nMIME-Version: 1.0\n"


def two_texts(kind: str, plain: str, html: str) -> str:
    parts = f"--x\nContent-Type: text/plain\n\n{plain}\n--x\nContent-Type: text/html\n\n{html}\n--x--\n"
    return f"{HEAD}Content-Type: multipart/{kind}; boundary=x\n\n{parts}"


def test_a_hint_at_the_real_text_does_not_take_its_place() -> None:
    hint = "Your program does not show HTML."
    assert "12 EUR" in read(two_texts("alternative", hint, "<p>The fee is 12 EUR.</p>"), ".eml")
    plain = read(two_texts("alternative", "The fee is 12 EUR.", "<p>The fee is 12 EUR.</p>"), ".eml")
    assert plain.endswith("\n\nThe fee is 12 EUR.")


def test_two_texts_that_follow_each_other_are_both_read() -> None:
    assert read(two_texts("mixed", "Part one.", "<p>Part two.</p>"), ".eml").endswith(
        "Part one.\n\nPart two."
    )


def test_a_head_in_an_old_encoding_is_read() -> None:
    message = "From: a@example.org\nSubject: Größe 12\nContent-Type: text/plain; charset=latin-1\n\nGröße 12"
    assert read(message.encode("latin-1"), ".eml").startswith("Subject: Größe 12\n")


def test_an_attachment_is_read_in_the_encoding_that_it_declares() -> None:
    part = 'Content-Type: text/plain; charset=windows-1257; name="a.txt"\nContent-Disposition: attachment'
    message = f"{HEAD}Content-Type: multipart/mixed; boundary=x\n\n--x\n\nSee.\n--x\n{part}\n\nĀ 12\n--x--\n"
    assert read(message.encode("cp1257"), ".eml").endswith("\n\nĀ 12")


# Records and Markdown


@pytest.mark.parametrize("number", ["1.10", "12.00", "1E400", "0.12345678901234567890", "1e5"])
def test_numbers_stay_as_they_are_written(number: str) -> None:
    assert read(f'{{"fee": {number}}}', ".json") == f"fee: {number}"
    assert read(f'{{"fee": {number}}}\n', ".jsonl") == f"fee: {number}"


def test_what_a_cell_failed_with_is_read_and_colors_are_not() -> None:
    outputs = (
        '{"output_type": "error", "ename": "KeyError", "evalue": "7"},'
        '{"output_type": "stream", "text": "\\u001b[31mred 8\\u001b[0m"}'
    )
    cell = f'{{"cell_type": "code", "source": "x", "outputs": [{outputs}]}}'
    text = read(f'{{"metadata": {{}}, "cells": [{cell}]}}', ".ipynb")
    assert text == "```python\nx\n```\n\n```\nKeyError: 7\n```\n\n```\nred 8\n```"


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        ("---\nPrice: 12\nFee: 13\n---\n", "Price: 12\nFee: 13"),
        ("---\nversion: 1.10\ncode: 010\nlayout: page\ndraft: true\n---\n", "version: 1.10\ncode: 010"),
        ("---\nrent:\n  fee: 12 EUR\n  paid: true\n---\n", "rent.fee: 12 EUR"),
        ("+++\nversion = 1.10\n[rent]\nfee = '12 EUR'\n+++\n", "version: 1.10\nrent.fee: 12 EUR"),
    ],
)
def test_what_stands_in_front_matter_is_kept_as_it_is_written(head: str, kept: str) -> None:
    assert read(f"{head}Text.\n", ".md") == f"{kept}\n\nText.\n"


# Tables


def test_a_table_of_two_years_has_their_names() -> None:
    text = read(",2022,2023\nRent,500,550\nWater,50,55\n", ".csv")
    assert text == "Rent | 2022: 500 | 2023: 550\n\nWater | 2022: 50 | 2023: 55"


def test_groups_without_merged_cells_name_their_columns() -> None:
    text = read(",2022,,2023\nCity,Q1,Q2,Q1,Q2\nRome,1,2,3,4\nBonn,5,6,7,8\n", ".csv")
    assert text.split("\n\n")[0] == "City: Rome | 2022 Q1: 1 | 2022 Q2: 2 | 2023 Q1: 3 | 2023 Q2: 4"


def test_a_row_of_values_names_nothing() -> None:
    text = read("What,When\nt,09:05\nd,2024-05-02\nflag,TRUE\nday,2024-05-01\n", ".csv")
    assert text.split("\n\n")[-1] == "What: day | When: 2024-05-01"


@pytest.mark.parametrize("delimiter", ["^", "~", "\x01", "\x1f"])
def test_delimiters_of_databases_are_found(delimiter: str) -> None:
    lines = (("name", "fee"), ("Anna", "12"), ("Boris", "34"))
    text = read("\n".join(delimiter.join(line) for line in lines), ".csv")
    assert text == "name: Anna | fee: 12\n\nname: Boris | fee: 34"
