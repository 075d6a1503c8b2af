"""What is drawn into documents: charts, formulas and boxes, which are files or groups of their own."""

from __future__ import annotations

import io
import zipfile

import pytest

from qwen_agentkit.ingest.loaders import read_document

_OFFICE = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:chart="urn:oasis:names:tc:opendocument:xmlns:chart:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)
_FRAME = '<draw:frame><draw:object xlink:href="./Object 1"/><draw:image xlink:href="./O"/></draw:frame>'
_POWER = (
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow><mi>V</mi><mo>=</mo>'
    "<msup><mn>10</mn><mn>6</mn></msup><mo>+</mo><mfrac><mn>1</mn><mn>2</mn></mfrac></mrow>"
    '<annotation encoding="StarMath 5.0">V = 10^6 + 1 over 2</annotation></semantics></math>'
)
_CHART = (
    f"<office:document-content {_OFFICE}><office:body><office:chart><chart:chart>"
    "<chart:title><text:p>Sales by month</text:p></chart:title><table:table><table:table-header-rows>"
    "<table:table-row><table:table-cell/><table:table-cell><text:p>Sales</text:p></table:table-cell>"
    "</table:table-row></table:table-header-rows><table:table-rows><table:table-row><table:table-cell>"
    "<text:p>May</text:p></table:table-cell><table:table-cell><text:p>340</text:p></table:table-cell>"
    "</table:table-row></table:table-rows></table:table></chart:chart></office:chart></office:body>"
    "</office:document-content>"
)


def _odf(body: str, drawn: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        content = f"<office:document-content {_OFFICE}><office:body>{body}</office:body>"
        archive.writestr("content.xml", f"{content}</office:document-content>")
        archive.writestr("Object 1/content.xml", drawn)
    return out.getvalue()


def _read(data: bytes, suffix: str) -> str:
    [part] = read_document(data, suffix)
    assert part.warnings == ()
    return part.text


def test_a_formula_stands_in_its_sentence_and_keeps_its_exponent() -> None:
    body = f"<office:text><text:p>The lake holds {_FRAME} litres.</text:p></office:text>"
    assert _read(_odf(body, _POWER), ".odt") == "The lake holds V=10⁶+ 1/2 litres."


def test_a_formula_beside_a_figure_is_no_part_of_it() -> None:
    number = '<math xmlns="http://www.w3.org/1998/Math/MathML"><mn>7</mn></math>'
    body = f"<office:text><text:p>There are 5{_FRAME}0 books.</text:p></office:text>"
    assert _read(_odf(body, number), ".odt") == "There are 5 7 0 books."


@pytest.mark.parametrize(
    ("suffix", "body"),
    [
        (".odt", f"<office:text><text:p>See below.{_FRAME}</text:p></office:text>"),
        (
            ".ods",
            '<office:spreadsheet><table:table table:name="S"><table:table-row><table:table-cell>'
            f"<text:p>See below.</text:p>{_FRAME}</table:table-cell></table:table-row></table:table>"
            "</office:spreadsheet>",
        ),
        (
            ".ods",
            f'<office:spreadsheet><table:table table:name="S"><table:shapes>{_FRAME}</table:shapes>'
            "<table:table-row><table:table-cell><text:p>See below.</text:p></table:table-cell>"
            "</table:table-row></table:table></office:spreadsheet>",
        ),
    ],
)
def test_a_chart_follows_the_text_beside_it(suffix: str, body: str) -> None:
    text = _read(_odf(body, _CHART), suffix)
    assert text.endswith("See below.\n\nSales by month\n\nMay | Sales: 340")


def test_text_boxes_and_notes_of_one_paragraph_are_both_kept() -> None:
    body = (
        "<office:text><text:p>A<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>Note.</text:p></text:note-body></text:note> and B<draw:frame><draw:text-box><text:p>Box."
        "</text:p></draw:text-box></draw:frame>.</text:p></office:text>"
    )
    assert _read(_odf(body, _POWER), ".odt") == "A¹ and B.\n\n¹ Note.\n\nBox."


def test_charts_of_sheets_are_read_as_those_of_other_files() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from openpyxl.chart import BarChart, Reference

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sales"
    for row in (["Month", "Sales"], ["May", 340], ["June", 120]):
        sheet.append(row)
    chart = BarChart()
    chart.title = "Sales by month"
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
    sheet.add_chart(chart, "E2")
    alone = BarChart()
    alone.title = "A sheet of its own"
    alone.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3))
    book.create_chartsheet("Chart").add_chart(alone)
    out = io.BytesIO()
    book.save(out)
    first, second = read_document(out.getvalue(), ".xlsx")
    assert first.text.endswith("Month: June | Sales: 120\n\nSales by month")
    assert (second.text, second.metadata["page"]) == ("# Chart\n\nA sheet of its own", 2)


def test_drawn_boxes_of_rich_text_are_read_once() -> None:
    pytest.importorskip("striprtf")
    shape = (
        r"{\shp{\*\shpinst\shpleft100{\sp{\sn shapeType}{\sv 202}}{\shptxt \pard The fee is 30 euros.\par}}"
        r"{\shprslt{\*\do\dobxcolumn{\dptxbxtext \pard The fee is 30 euros.\par}}}}"
    )
    text = _read(rf"{{\rtf1\ansi Before. {shape}\par After.\par}}".encode(), ".rtf")
    assert text == "Before.\n\nThe fee is 30 euros.\n\nAfter."
    older = r"{\rtf1\ansi Before.\par{\*\do\dobxcolumn{\dptxbxtext \pard Open at 9.\par}}After.\par}"
    assert _read(older.encode(), ".rtf") == "Before.\n\nOpen at 9.\n\nAfter."
