"""Reading: each format into text that splits well, damaged files into reasons, hostile ones in no time."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from openpyxl import Workbook
from pptx import Presentation
from pptx.util import Inches

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import SUFFIXES, Part, ingest, loaders, office, read_document, split, workers
from qwen_agentkit.ingest.pictures import PICTURE_SUFFIXES
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

ROOT = Path(__file__).parents[1]
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def saved(file: Any) -> bytes:
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def rewritten(data: bytes, name: str, change: Callable[[str], str]) -> bytes:
    """An archive in which one file is another."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            text = old.read(entry)
            new.writestr(entry, change(text.decode()) if entry == name else text)
    return out.getvalue()


def without_properties(data: bytes) -> bytes:
    return rewritten(
        data, "_rels/.rels", lambda rels: re.sub("<Relationship [^>]*core-properties[^>]*>", "", rels)
    )


def only(data: bytes | str, suffix: str) -> Part:
    [part] = read_document(data.encode() if isinstance(data, str) else data, suffix)
    return part


def test_what_is_found_can_be_read_and_the_other_way_round() -> None:
    assert set(loaders._READERS) == SUFFIXES - PICTURE_SUFFIXES  # Those need text recognition.


# Tables and records


def test_every_row_of_a_table_names_its_columns() -> None:
    table = "Name,City,Note\nAnna,القاهرة,\n李雷,北京,likes tea\n\nOmar,,a,b\n"
    assert only(table, ".csv").text == (
        "Name: Anna | City: القاهرة\n\nName: 李雷 | City: 北京 | Note: likes tea\n\nName: Omar | Note: a | b"
    )


def test_a_cell_may_hold_delimiters_quotes_and_ends_of_lines() -> None:
    table = 'Question,Answer\r\n"Open,\r\nwhen?", "At ""nine"", daily"\r\n'
    assert only(table, ".csv").text == 'Question: Open, when? | Answer: At "nine", daily'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    rows = [("水果", "Price"), ("苹果", '"1,50; new"'), ("梨", '"2,30"')]
    table = "Fruit of the day\n" + "".join(delimiter.join(row) + "\n" for row in rows)
    assert only(table, ".csv").text == (
        "Fruit of the day\n\n水果: 苹果 | Price: 1,50; new\n\n水果: 梨 | Price: 2,30"
    )


def test_decimal_commas_are_no_delimiters() -> None:
    table = "Obst;Kilo;Korb\nApfel;1,50;7,50\nBirne;2,30;9,90\n"
    assert only(table, ".csv").text.endswith("Obst: Birne | Kilo: 2,30 | Korb: 9,90")


def test_tabs_alone_divide_a_tsv() -> None:
    table = "المدينة\tNote\nالقاهرة\tbig, old\nبيروت\tsea, hills\n"
    for encoding in ("utf-8-sig", "utf-16"):
        assert only(table.encode(encoding), ".tsv").text == (
            "المدينة: القاهرة | Note: big, old\n\nالمدينة: بيروت | Note: sea, hills"
        )


def test_names_without_rows_and_single_cells_are_text_too() -> None:
    assert only("Name,City\n", ".csv").text == "Name | City"
    assert only("apples\npears\n", ".csv").text == "apples\n\npears"


def test_no_chunk_tears_a_row() -> None:
    table = "name,town\n" + "".join(f"Person number {n} of the long list,الإسكندرية\n" for n in range(40))
    chunks = split(only(table, ".csv").text, count_words, max_tokens=48, overlap=0)
    assert len(chunks) > 5
    rows = [row for chunk in chunks for row in chunk.text.split("\n\n")]
    assert rows == [f"name: Person number {n} of the long list | town: الإسكندرية" for n in range(40)]


def test_an_open_quote_has_a_line() -> None:
    with pytest.raises(LoadError, match=r"broken table: .* at line \d+; expected .*\. Close the quote"):
        read_document(b'a,b\n1,"' + b"text, more\n" * 20_000, ".csv")


def test_a_record_has_its_text_first_and_nested_keys_with_dots() -> None:
    record = {
        "id": 7,
        "page_content": "تفتح المكتبة في التاسعة.\n\nDaily.",
        "metadata": {"lang": "ar", "tags": ["a", "b", 3], "old": None, "pages": [{"n": 1}, {"n": 2.5}]},
        "public": True,
        "empty": "",
    }
    assert only(json.dumps(record), ".jsonl").text == (
        "تفتح المكتبة في التاسعة.\n\nDaily.\n\nid: 7\nmetadata.lang: ar\nmetadata.tags: a, b, 3\n"
        "metadata.pages.1.n: 1\nmetadata.pages.2.n: 2.5\npublic: true"
    )


@pytest.mark.parametrize("key", ["text", "content", "page_content"])
def test_each_record_is_a_part_that_knows_its_line_and_title(key: str) -> None:
    lines = [
        json.dumps({"title": "时间", key: "图书馆\u2028九点开门。"}, ensure_ascii=False),
        "",
        '{"title": "", "q": "When?", "a": "At nine."}',
    ]
    assert read_document("\r\n".join(lines).encode(), ".jsonl") == [
        Part("图书馆\u2028九点开门。\n\ntitle: 时间", {"title": "时间", "page": 1}),
        Part("q: When?\na: At nine.", {"page": 3}),
    ]


DAMAGED_LINES = {
    '{"a": "cut': "Unterminated string",
    "[1, 2]": "type list",
    '"words"': "type str",
    "[" * 100_000: "recursion",
    '{"a":' * 800 + "1" + "}" * 800 + "}": "Extra data|recursion",
    '{"a": ' + "9" * 5000 + "}": "digits",
}


@pytest.mark.parametrize("line", DAMAGED_LINES, ids=lambda line: line[:8])
def test_a_damaged_line_costs_that_line_and_has_its_number(line: str) -> None:
    reason = rf"line 3 is no JSON object \(.*({DAMAGED_LINES[line]}).*\); expected one such as"
    first, damaged, last = read_document(f'{{"a": 1}}\n\n{line}\n{{"a": 2}}\n'.encode(), ".jsonl")
    assert (first.text, damaged.text, last.text) == ("a: 1", "", "a: 2")
    assert re.match(reason, damaged.warnings[0])
    with pytest.raises(LoadError, match=reason.replace("3", "1") + ".* Correct"):
        read_document(line.encode(), ".jsonl")


def test_half_characters_do_not_come_through() -> None:
    part = only(r'{"title": "t\ud800", "text": "one \ud83d two"}', ".jsonl")
    assert (part.text, part.metadata["title"]) == ("one ? two\n\ntitle: t?", "t?")


# Word


def test_a_word_file_comes_in_as_markdown_in_order() -> None:
    document = Document()
    document.core_properties.title = "دليل المكتبة"
    document.add_heading("Handbook", 0)
    document.add_heading("开放时间", 2)
    document.add_paragraph("图书馆九点开门。").add_run("\nEvery  day.")
    document.add_paragraph("العضوية", style="List Bullet")
    document.add_paragraph("Cards", style="List Number 2")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Fee\nin euros", "5"
    document.add_paragraph("After the table.")
    assert only(saved(document), ".docx") == Part(
        "# Handbook\n\n## 开放时间\n\n图书馆九点开门。\nEvery  day.\n- العضوية\n1. Cards\n\n"
        "| Fee in euros | 5 |\n\nAfter the table.",
        {"title": "دليل المكتبة"},
    )


def test_styles_take_after_their_base() -> None:
    document = Document()
    for name, base in (("Chapter", "Heading 3"), ("Point", "List Bullet")):
        document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH).base_style = document.styles[base]
        document.add_paragraph(f"A {name}", style=name)
    round_and_round = document.styles.add_style("Round", WD_STYLE_TYPE.PARAGRAPH)
    round_and_round.base_style = round_and_round
    document.add_paragraph("A circle", style="Round")
    assert only(saved(document), ".docx").text == "### A Chapter\n- A Point\n\nA circle"


def test_numbering_makes_a_list_and_zero_takes_it_off() -> None:
    document = Document()
    for number, level in ((1, 0), (1, 1), (0, 0)):
        properties = document.add_paragraph(f"{number} {level}")._p.get_or_add_pPr()
        numbering = properties.get_or_add_numPr()
        numbering.get_or_add_ilvl().val = level
        numbering.get_or_add_numId().val = number
    assert only(saved(document), ".docx").text == "- 1 0\n  - 1 1\n\n0 0"


def test_merged_cells_are_repeated_downwards_and_empty_rows_go() -> None:
    document = Document()
    table = document.add_table(4, 3)
    for number, cell in enumerate(cell for row in table.rows[:3] for cell in row.cells):
        cell.text = str(number)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "القاهرة"
    table.cell(2, 0).merge(table.cell(2, 1)).text = "both"
    assert only(saved(document), ".docx").text == "| القاهرة | 1 | 2 |\n| القاهرة | 4 | 5 |\n| both | 8 |"


def test_controls_tracked_changes_and_boxes_are_read_and_deletions_are_not() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    paragraph = (
        f"<w:p {WORD}><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>{run.format('Open')}"
        f"<w:ins>{run.format(' at ten')}</w:ins><w:del><w:r><w:delText> at nine</w:delText></w:r></w:del>"
        f"<w:moveFrom>{run.format(' moved')}</w:moveFrom>"
        f"<w:hyperlink>{run.format(' 每天')}</w:hyperlink><w:r><w:tab/><w:noBreakHyphen/></w:r>"
        f"<w:r><w:pict><w:txbxContent><w:p>{run.format('A box.')}</w:p></w:txbxContent></w:pict></w:r></w:p>"
    )
    control = f"<w:sdt {WORD}><w:sdtContent><w:p>{run.format('عنصر تحكم')}</w:p></w:sdtContent></w:sdt>"
    document = Document()
    for xml in (paragraph, control):
        document.element.body.insert(-1, parse_xml(xml))
    assert only(saved(document), ".docx").text == "Open at ten 每天 -\nA box.\n\nعنصر تحكم"


def test_a_word_file_without_a_title_has_its_first_heading() -> None:
    document = Document()
    document.add_paragraph("Text.")
    untitled = without_properties(saved(document))
    assert only(untitled, ".docx").metadata == {}
    document.add_heading("第一章", 1)
    assert only(without_properties(saved(document)), ".docx").metadata == {"title": "第一章"}


# PowerPoint


def test_each_slide_is_a_part_with_its_title_first() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    body = slide.placeholders[1].text_frame
    body.text = "First point\nتفتح المكتبة"
    body.paragraphs[1].level = 1
    cells = slide.shapes.add_table(2, 2, 0, 0, Inches(3), Inches(1)).table
    cells.cell(0, 0).merge(cells.cell(0, 1))
    for row, column, text in ((0, 0, "价格"), (1, 0, "Tea"), (1, 1, "2")):
        cells.cell(row, column).text = text
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a\vgroup"
    slide.shapes.title.text = "开放\v时间"
    slide.shapes._spTree.append(slide.shapes.title.element)  # the last one drawn
    slide.notes_slide.notes_text_frame.text = "Say hello."
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "النهاية"
    assert read_document(saved(deck), ".pptx") == [
        Part(
            "# 开放 时间\n\n- First point\n  - تفتح المكتبة\n\n| 价格 |\n| Tea | 2 |\n\n"
            "In a group\n\nSay hello.",
            {"title": "开放 时间", "page": 1},
        ),
        Part("# النهاية", {"title": "开放 时间", "page": 3}),
    ]
    deck.core_properties.title = "The deck"
    assert read_document(saved(deck), ".pptx")[1].metadata == {"title": "The deck", "page": 3}
    # Without properties, the library makes up a title of its own.
    assert read_document(without_properties(saved(deck)), ".pptx")[1].metadata == {
        "title": "开放 时间",
        "page": 3,
    }


def test_numbers_of_slides_and_footers_are_no_text() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Title"
    for kind in ("ftr", "sldNum", "dt"):
        box = slide.shapes.add_textbox(0, 0, Inches(1), Inches(1))
        box.text_frame.text = f"small print {kind}"
        box.element.nvSpPr.nvPr._add_ph().set("type", kind)
    assert only(saved(deck), ".pptx").text == "# Title"


# Excel


def workbook() -> Workbook:
    book = Workbook()
    sheet = book.active
    sheet.title = "人员"
    for row in (
        ["Staff of the library"],
        [],
        ["Name", "City", "Since", None, "Share"],
        ["Anna", "القاهرة", date(2024, 1, 5), "new", 0.1 + 0.2],
        ["李雷", "北京\nold", datetime(2024, 1, 5, 14, 30), None, 3],
    ):
        sheet.append(row)
    book.create_sheet("Empty")
    book.create_sheet("Words").append(["one", "two"])
    return book


SHEET = (
    "# 人员\n\nStaff of the library\n\n"
    "Name: Anna | City: القاهرة | Since: 2024-01-05 | new | Share: 0.3\n\n"
    "Name: 李雷 | City: 北京 old | Since: 2024-01-05T14:30:00 | Share: 3"
)


def test_each_sheet_is_a_part_whose_rows_name_their_columns() -> None:
    book = workbook()
    assert read_document(saved(book), ".xlsx") == [
        Part(SHEET, {"page": 1}),
        Part("# Words\n\none | two", {"page": 3}),
    ]
    book.properties.title = "الموظفون"
    assert read_document(saved(book), ".xlsx")[0].metadata == {"title": "الموظفون", "page": 1}
    assert {chunk.section for chunk in split(SHEET, count_words, 16, 0)} == {"人员"}


def test_a_formula_is_the_value_that_was_kept_of_it() -> None:
    book = Workbook()
    for row in (["Item", "Sum"], ["Tea", "=1+1"]):
        book.active.append(row)
    assert only(saved(book), ".xlsx").text == "# Sheet\n\nItem: Tea"
    [warning] = only(saved(book), ".xlsx").warnings
    assert warning.startswith("The sheet 'Sheet' has formulas without values (B2), which were left out.")
    kept = rewritten(
        saved(book), "xl/worksheets/sheet1.xml", lambda xml: re.sub(r"<v ?/>|<v></v>", "<v>2</v>", xml)
    )
    assert only(kept, ".xlsx").text == "# Sheet\n\nItem: Tea | Sum: 2"


def test_a_sheet_that_says_it_is_smaller_is_read_whole() -> None:
    small = rewritten(
        saved(workbook()),
        "xl/worksheets/sheet1.xml",
        lambda xml: re.sub('<dimension ref="[^"]*"', '<dimension ref="A1:A3"', xml),
    )
    assert read_document(small, ".xlsx")[0].text == SHEET


def test_what_a_library_cannot_keep_is_no_warning() -> None:
    plain = '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    book = Workbook()
    book.active.append(["图书馆"])
    assert only(rewritten(saved(book), "xl/styles.xml", lambda _: plain), ".xlsx").text == "# Sheet\n\n图书馆"


# Office files that cannot be read

PACKAGES = {".docx": "docx", ".pptx": "pptx", ".xlsx": "openpyxl"}
KINDS = {".docx": "Word", ".pptx": "PowerPoint", ".xlsx": "Excel"}


def sample(suffix: str) -> bytes:
    """A file of a line of text."""
    if suffix == ".docx":
        document = Document()
        document.add_paragraph("Hello 图书馆")
        return saved(document)
    if suffix == ".pptx":
        deck = Presentation()
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "Hello مكتبة"
        return saved(deck)
    return saved(workbook())


@pytest.mark.parametrize("suffix", PACKAGES)
def test_a_missing_extra_is_a_reason_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    (tmp_path / f"report{suffix}").write_bytes(sample(suffix))
    (tmp_path / "note.md").write_text("# 时间\n\nOpen.\n", "utf-8")
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, PACKAGES[suffix], None)
            patch.setattr(workers, "_needs_care", lambda path: False)  # another process has the package
            report = ingest([tmp_path], store)
        assert report.added == 1
        [failure] = report.failed
        assert failure["source"].endswith(f"/report{suffix}")
        assert failure["reason"].endswith("Type: pip install 'qwen-agentkit[office]'")
        assert ingest([tmp_path], store).failed == []


def test_the_libraries_are_imported_only_by_their_readers() -> None:
    code = "import sys, qwen_agentkit.ingest; print({'docx', 'pptx', 'openpyxl', 'lxml'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def other_bytes(data: bytes) -> list[bytes]:
    """Nothing, no archive, another archive, one cut off, and ones with a hole in them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "text")
    holes = [data[:at] + bytes(200) + data[at + 200 :] for at in range(0, len(data) - 200, len(data) // 40)]
    return [b"", b"plain text", archive.getvalue(), data[: len(data) // 2], *holes]


@pytest.mark.parametrize("suffix", PACKAGES)
def test_whatever_is_wrong_with_an_office_file_is_said(suffix: str) -> None:
    reasons = []
    for data in other_bytes(sample(suffix)):
        try:
            read_document(data, suffix)
        except LoadError as error:
            reasons.append(str(error))
    said = rf"The file is a broken {KINDS[suffix]} file \(.+\); expected .*\. Save it anew .*|.* no text.*"
    assert all(re.fullmatch(said, reason) for reason in reasons)
    assert len(set(reasons)) > 3


@pytest.mark.parametrize("suffix", PACKAGES)
def test_a_password_or_an_old_format_is_named(suffix: str) -> None:
    with pytest.raises(LoadError, match=rf"is an encrypted {KINDS[suffix]} file or one from before 2007"):
        read_document(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), suffix)


@pytest.mark.parametrize("suffix", PACKAGES)
def test_what_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    data = sample(suffix)
    monkeypatch.setattr(office, "_LARGEST", len(data) // 2)
    with pytest.raises(LoadError, match=r"unpacks to .* expected .* or less\. Remove"):
        read_document(data, suffix)


# Web pages

ENCODINGS = [
    ('<meta charset="gb2312">', "gb2312", "图书馆九点开门"),
    ("<meta charset=gb2312>", "gbk", "図書館的開門時間"),
    ('<META http-equiv="Content-Type" content="text/html; charset=windows-1256">', "cp1256", "تفتح المكتبة"),
    ("<?xml version='1.0' encoding='ISO-8859-6'?>", "iso8859-6", "تفتح المكتبة"),
    ('<meta charset="iso-8859-1">', "cp1252", "“Café” – open"),
    ('<meta charset="shift_jis">', "cp932", "図書館①"),
]


@pytest.mark.parametrize(("declared", "encoding", "text"), ENCODINGS, ids=lambda value: value[:24])
def test_a_declared_encoding_is_honoured(declared: str, encoding: str, text: str) -> None:
    assert only(f"{declared}<p>{text}</p>".encode(encoding), ".html").text == text


def test_utf_8_is_utf_8_whatever_is_declared() -> None:
    assert only('<meta charset="gb2312"><p>مكتبة 图书馆</p>', ".html").text == "مكتبة 图书馆"


def test_code_keeps_its_lines_and_is_no_heading() -> None:
    page = (
        "<h1>时间</h1><p>Type\nthis:</p>"
        "<pre class=x>\n# a comment\n<b>if</b> x:\n    y = 1\n\n    z<br>end\n</pre>"
        "<p>ثم انتهى</p><pre> </pre><pre><div>one</div><div>  two</div></pre>"
    )
    text = only(page, ".html").text
    assert text == (
        "# 时间\n\nType this:\n\n```\n# a comment\nif x:\n    y = 1\n\n    z\nend\n```\n\nثم انتهى\n\n"
        "```\none\n  two\n```"
    )
    assert {chunk.section for chunk in split(text, count_words)} == {"时间"}


UNCLOSED = {
    "<svg><path d=''>": "",
    "<object data=x><param name=y>": "",
    "<noscript>": "",
    "<template>": "",
    "<iframe src=x>": "",
    "<svg><noscript><iframe>": "",
    "<pre>": "",
    "<noscript><pre></noscript>": "",
    "<svg></object>": "",
    "<title>Boats": "Boats",
    "<head><title>Boats</head>": "Boats",
}


@pytest.mark.parametrize("opening", UNCLOSED)
def test_what_is_never_closed_swallows_nothing(opening: str) -> None:
    part = only(f"{opening}<h1>المكتبة</h1>It <i>opens</i>\nat nine.", ".html")
    assert part.text == "# المكتبة\n\nIt opens at nine."
    assert part.metadata.get("title", "") == UNCLOSED[opening]


def test_newer_pythons_keep_no_more_tags_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HTMLParser, "CDATA_CONTENT_ELEMENTS", ("script", "style", "title", "iframe"))
    for opening in ("<title>Boats", "<iframe>"):
        assert only(f"{opening}<h1>المكتبة</h1>Open.", ".html").text == "# المكتبة\n\nOpen."


def test_text_after_an_unclosed_head_is_no_title() -> None:
    part = only("<head><title>Boats</head>图书馆 <b>opens</b> at nine.", ".html")
    assert part == Part("图书馆 opens at nine.", {"title": "Boats"})


def test_what_is_closed_stays_hidden_whatever_is_in_it() -> None:
    page = (
        "<body>Seen<template><h2>no</h2><svg><title>no</title><object>no</template> 这里"
        "<noscript><p>no<pre>no</noscript><svg/> and <script>no('<h1>no</h1>')</script>"
        "<svg><object></object>no</svg> here</svg></body><style>no"
    )
    assert only(page, ".html") == Part("Seen 这里 and  here", {})


# Time

HOSTILE: dict[str, tuple[Callable[[int], str], str]] = {
    "heading": (lambda n: f"# a{' ' * 2 * n}x\n\nText.", ".md"),
    "marks": (lambda n: f"# a{' #' * n}x\n\nText.", ".md"),
    "closing marks": (lambda n: f"# {'#' * 2 * n}x\n\nText.", ".md"),
    "front matter": (lambda n: f"---\ntitle: a{' ' * 2 * n}x\n---\nText.", ".md"),
    "rules": (lambda n: "---\na" + "\n--- a" * n, ".md"),
    "blank lines": (lambda n: f"{(' ' * 2 * n + chr(10)) * 3}a b c d e f g h i j k l m n o p q r s", ".txt"),
    "tags": (lambda n: f"{'<i> </i>' * n}x", ".html"),
    "raised": (lambda n: f"{'<sup></sup>' * n}x", ".html"),
    "meta": (lambda n: f"{'<meta ' * n}<p>é", ".html"),
}


def seconds_to_read(text: str, suffix: str) -> float:
    """Processor time of reading and splitting: the least of three runs."""
    runs = []
    for _ in range(3):
        started = time.process_time()
        for part in read_document(text.encode(), suffix):
            split(part.text, count_words, max_tokens=16, overlap=0)
        runs.append(time.process_time() - started)
    return min(runs)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_takes_time_in_proportion_to_its_length(name: str) -> None:
    make, suffix = HOSTILE[name]
    short, long = (seconds_to_read(make(size), suffix) for size in (10_000, 80_000))
    assert long < 24 * max(short, 0.01)  # 8 times the length; quadratic would be 64 times


def test_headings_lose_the_marks_that_close_them() -> None:
    text = "# One ##\n\na\n\n## C# \t\n\nb\n\n##\t三 #3\n\nc\n\n# #\n\nd"
    assert [chunk.section for chunk in split(text, count_words)] == ["One", "One > C", "One > 三 #3", ""]
    assert only("# ##\n\n# المكتبة ##\n", ".md").metadata == {"title": "المكتبة"}
    assert only('---\ntitle: ""\n---\n# Second', ".md").metadata == {"title": "Second"}
