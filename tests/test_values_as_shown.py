"""What a document shows is stored, and what it only computes with or hides is not."""

from __future__ import annotations

import io
import zipfile

import pytest

from qwen_agentkit.ingest.loaders import read_document

_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def _sheet(rows: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "content.xml",
            f"<office:document-content {_NAMES}><office:body><office:spreadsheet>"
            f'<table:table table:name="S">{rows}</table:table></office:spreadsheet></office:body>'
            "</office:document-content>",
        )
    return out.getvalue()


def _row(*cells: str) -> str:
    made = (
        cell if cell.startswith("<") else f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>"
        for cell in cells
    )
    return f"<table:table-row>{''.join(made)}</table:table-row>"


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ('office:value-type="float" office:value="5.5"', "5.5"),
        ('office:value-type="percentage" office:value="0.25"', "25%"),
        ('office:value-type="percentage" office:value="1.5"', "150%"),
        ('office:value-type="currency" office:currency="EUR" office:value="12"', "12 EUR"),
        ('office:value-type="date" office:date-value="2024-05-06"', "2024-05-06"),
        ('office:value-type="boolean" office:boolean-value="true"', "TRUE"),
        ('office:value-type="string" office:string-value="7 days"', "7 days"),
    ],
)
def test_a_value_without_its_text_is_read(attributes: str, shown: str) -> None:
    rows = _row("Name", "Fee") + _row("Anna", f"<table:table-cell {attributes}/>") + _row("Bob", "8")
    [part] = read_document(_sheet(rows), ".ods")
    assert f"Name: Anna | Fee: {shown}\n" in part.text


def test_hidden_columns_of_sheets_are_left_out_and_named() -> None:
    columns = (
        '<table:table-column/><table:table-column table:visibility="collapse" '
        'table:number-columns-repeated="2"/><table:table-column table:number-columns-repeated="16000"/>'
    )
    rows = _row("Name", "Secret", "Code", "Fee") + _row("Anna", "999", "888", "5")
    [part] = read_document(_sheet(columns + rows), ".ods")
    assert part.text == "# S\n\nName: Anna | Fee: 5"
    assert part.warnings == ("The sheet 'S' has 2 hidden columns, which were left out.",)


def _field(instruction: str, result: str) -> str:
    def char(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    return f"{char('begin')}{instruction}{char('separate')}{result}{char('end')}"


def _code(text: str) -> str:
    return f"<w:r><w:instrText>{text}</w:instrText></w:r>"


def _run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


@pytest.mark.parametrize(
    ("inner", "shown"),
    [
        (
            _field(_code(" IF ") + _field(_code(" MERGEFIELD n "), _run("99")) + _code(" = 1 "), _run("42")),
            "42",
        ),
        (_field(_code(" REF a "), _run("4") + _field(_code(" REF b "), _run("2"))), "42"),
        ('<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + _run("42"), "42"),
    ],
)
def test_the_figure_of_a_field_in_an_instruction_is_not_shown(inner: str, shown: str) -> None:
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml

    document = docx.Document()
    document.element.body.insert(0, parse_xml(f'<w:p xmlns:w="{_W}">{inner}</w:p>'))
    out = io.BytesIO()
    document.save(out)
    [part] = read_document(out.getvalue(), ".docx")
    assert part.text.strip() == shown
