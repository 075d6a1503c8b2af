"""Word: notes, numbers, headers, comments, symbols, charts, and what is hidden; Strict files are read too."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest
from docx import Document
from docx.document import Document as DocumentType
from docx.opc.constants import RELATIONSHIP_TYPE as RT
from docx.opc.packuri import PackURI
from docx.opc.part import Part as FilePart
from docx.oxml import parse_xml

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document, split
from qwen_agentkit.ingest.numbering import format_count
from qwen_agentkit.ingest.symbols import read_symbols
from tests.fakes.embedders import count_words

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATED = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
CHART = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
DRAWING = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'


def saved(document: DocumentType) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def read(document: DocumentType) -> Part:
    [part] = read_document(saved(document), ".docx")
    return part


def add_part(document: DocumentType, name: str, kind: str, xml: str) -> str:
    """Add a file to the package, and return the id of its relationship."""
    part = FilePart(PackURI(f"/word/{name}.xml"), "application/xml", xml.encode(), document.part.package)
    return document.part.relate_to(part, kind)


def add(paragraph: Any, xml: str) -> None:
    paragraph._p.append(parse_xml(xml))


def test_notes_follow_their_paragraph() -> None:
    document = Document()
    note = f'<w:{{0}} {WORD} w:id="{{1}}"><w:p><w:r><w:{{0}}Ref/><w:t>{{2}}</w:t></w:r></w:p></w:{{0}}>'
    for kind, relation, text in (
        ("footnote", RT.FOOTNOTES, "The tenant may end it early with ninety days of notice."),
        ("endnote", RT.ENDNOTES, "بعد سنة واحدة."),
    ):
        xml = f"<w:{kind}s {WORD}>{note.format(kind, 0, 'separator')}{note.format(kind, 2, text)}</w:{kind}s>"
        add_part(document, f"{kind}s", relation, xml)
    paragraph = document.add_paragraph("The lease ends in 2025")
    add(paragraph, f'<w:r {WORD}><w:footnoteReference w:id="2"/></w:r>')
    paragraph.add_run(" or later")
    add(paragraph, f'<w:r {WORD}><w:endnoteReference w:id="2"/></w:r>')
    document.add_paragraph("Next.")
    assert read(document).text == (
        "The lease ends in 2025¹ or later[i]\n\n¹ The tenant may end it early with ninety days of notice.\n\n"
        "[i] بعد سنة واحدة.\n\nNext."
    )


def test_headers_and_footers_are_read_once_and_without_numbers_of_pages() -> None:
    document = Document()
    for _ in range(2):
        section = document.add_section()
        section.header.is_linked_to_previous = False
        section.header.paragraphs[0].text = "Contract number LX-4471"
    footer = document.sections[-1].footer
    footer.is_linked_to_previous = False
    footer.paragraphs[0].text = "Landlord: Ines Blum"
    counter = footer.add_paragraph("Page ")
    add(counter, f'<w:fldSimple {WORD} w:instr=" PAGE "><w:r><w:t>3</w:t></w:r></w:fldSimple>')
    for kind in ("begin", "separate", "end"):
        add(counter, f'<w:r {WORD}><w:fldChar w:fldCharType="{kind}"/></w:r>')
        if kind == "begin":
            counter.add_run(" of ")
            add(counter, f"<w:r {WORD}><w:instrText>NUMPAGES</w:instrText></w:r>")
        if kind == "separate":
            counter.add_run("12")
    document.add_paragraph("Text.")
    assert read(document).text == "Contract number LX-4471\n\nText.\n\nLandlord: Ines Blum"


LEVELS = (("decimal", "%1."), ("lowerLetter", "(%2)"), ("decimal", "%1.%2.%3"))


def numbered(levels: tuple[tuple[str, str], ...] = LEVELS) -> DocumentType:
    """A document with a numbering of its own, 77, and one that starts it anew, 78."""
    document = Document()
    numbering = document.part.numbering_part.element
    xml = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{style}"/><w:lvlText '
        f'w:val="{text}"/></w:lvl>'
        for at, (style, text) in enumerate(levels)
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {WORD} w:abstractNumId="77">{xml}</w:abstractNum>'))
    for number, override in (
        (77, ""),
        (78, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'),
    ):
        numbering.append(
            parse_xml(f'<w:num {WORD} w:numId="{number}"><w:abstractNumId w:val="77"/>{override}</w:num>')
        )
    return document


def add_clause(
    document: DocumentType, text: str, level: int, number: int = 77, style: str | None = None
) -> None:
    numbering = document.add_paragraph(text, style=style)._p.get_or_add_pPr().get_or_add_numPr()
    numbering.get_or_add_ilvl().val = level
    numbering.get_or_add_numId().val = number


def test_clauses_have_their_numbers() -> None:
    document = numbered()
    for text, level in (
        ("Rent", 0),
        ("Deposit", 0),
        ("Sum", 1),
        ("Return", 1),
        ("In full", 2),
        ("Notice", 0),
    ):
        add_clause(document, text, level)
    document.add_paragraph("See clause 3.")
    add_clause(document, "Keys", 0)
    add_clause(document, "Anew", 0, number=78)
    add_clause(document, "Duties", 0, style="Heading 2")
    assert read(document).text == (
        "1. Rent\n2. Deposit\n  (a) Sum\n  (b) Return\n    2.b.1 In full\n3. Notice\n\nSee clause 3.\n"
        "4. Keys\n"
        "1. Anew\n\n## 2. Duties"
    )


@pytest.mark.parametrize(
    ("style", "count", "shown"),
    [
        ("lowerRoman", 4, "iv"),
        ("upperRoman", 1999, "MCMXCIX"),
        ("upperLetter", 28, "BB"),
        ("decimalZero", 7, "07"),
        ("arabicAbjad", 4, "د"),
        ("chineseCounting", 21, "二十一"),
        ("japaneseCounting", 10, "十"),
        ("thaiNumbers", 12, "๑๒"),
        ("hindiNumbers", 3, "३"),
        ("unknown", 5, "5"),
    ],
)
def test_numbers_are_counted_in_the_style_of_their_script(style: str, count: int, shown: str) -> None:
    assert format_count(count, style) == shown


def test_comments_follow_their_paragraph() -> None:
    document = Document()
    paragraph = document.add_paragraph("The rent is 500 euros.")
    document.add_comment(paragraph.runs, text="请核对", author="Ines")
    assert read(document).text == "The rent is 500 euros.\n\nComment (Ines): 请核对"


def test_hidden_text_is_left_out_and_that_is_said() -> None:
    document = Document()
    paragraph = document.add_paragraph("Open")
    paragraph.add_run(" sesame").font.hidden = True
    document.styles["Quote"].font.hidden = True
    document.add_paragraph("sesame", style="Quote")
    assert read(document) == Part("Open", read(document).metadata, ("Hidden text was left out.",))


def test_symbols_are_what_their_font_shows() -> None:
    document = Document()
    paragraph = document.add_paragraph()
    for font, code in (("Wingdings", "F0FE"), ("Symbol", "F0B0"), ("Arial", "00B1")):
        add(paragraph, f'<w:r {WORD}><w:sym w:font="{font}" w:char="{code}"/></w:r>')
    paragraph.add_run(" 5 ")
    paragraph.add_run("m").font.name = "Symbol"
    paragraph.add_run("g")
    assert read(document).text == "☑°± 5 μg"
    assert read_symbols("Symbol", "aß \uf0ae") == "α⇓ →"
    assert read_symbols("Wingdings", "\uf001") == "\ufffd"


def test_a_row_of_names_is_found_and_cells_go_on() -> None:
    document = Document()
    table = document.add_table(4, 3)
    rows = (("Plan", "Period", "Price"), ("Basic", "month", "5"), ("", "year", "50"), ("all", "", "7"))
    for row, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(3, 0).merge(table.cell(3, 1))
    assert read(document).text == (
        "Plan: Basic | Period: month | Price: 5\n\nPlan: Basic | Period: year | Price: 50\n\n"
        "Plan: all | Period: all | Price: 7"
    )


def test_every_chunk_of_a_long_table_has_the_names_of_its_columns() -> None:
    document = Document()
    table = document.add_table(60, 2)
    for number, row in enumerate(table.rows):
        row.cells[0].text, row.cells[1].text = (
            (f"M{number}", f"Office {number}") if number else ("Permit", "Where")
        )
    chunks = split(read(document).text, count_words, max_tokens=48, overlap=0)
    assert len(chunks) > 4
    assert all("Permit: M" in chunk.text for chunk in chunks)


def test_a_row_that_is_marked_as_a_head_needs_no_evidence() -> None:
    document = Document()
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("Left", "Right", "one", "two"), strict=True):
        cell.text = text
    table.rows[0]._tr.get_or_add_trPr().append(parse_xml(f"<w:tblHeader {WORD}/>"))
    assert read(document).text == "Left: one | Right: two"


def chart_xml() -> str:
    def points(tag: str, values: list[str]) -> str:
        inner = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(values))
        return f"<c:{tag}><c:strRef><c:strCache>{inner}</c:strCache></c:strRef></c:{tag}>"

    series = points("tx", ["زوار"]) + points("cat", ["May", "June"]) + points("val", ["10", "20"])
    title = "<c:title><c:tx><c:rich><a:p><a:r><a:t>Visitors</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    body = f"{title}<c:plotArea><c:barChart><c:ser>{series}</c:ser></c:barChart></c:plotArea>"
    return f"<c:chartSpace {CHART} {DRAWING}><c:chart>{body}</c:chart></c:chartSpace>"


def test_charts_and_diagrams_are_read() -> None:
    document = Document()
    chart = add_part(document, "chart1", RT.CHART, chart_xml())
    point = "<dgm:pt><dgm:t><a:p><a:r><a:t>{}</a:t></a:r></a:p></dgm:t></dgm:pt>"
    namespace = 'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
    model = (
        f"<dgm:dataModel {namespace} {DRAWING}>{point.format('Apply')}{point.format('等待')}</dgm:dataModel>"
    )
    diagram = add_part(document, "data1", RT.DIAGRAM_DATA, model)
    paragraph = document.add_paragraph("As shown:")
    add(paragraph, f'<w:r {WORD}><w:drawing><c:chart {CHART} {RELATED} r:id="{chart}"/></w:drawing></w:r>')
    add(
        paragraph,
        f'<w:r {WORD}><w:drawing><dgm:relIds {namespace} {RELATED} r:dm="{diagram}"/></w:drawing></w:r>',
    )
    assert read(document).text == (
        "As shown:\n\nVisitors\n\nCategory: May | زوار: 10\n\nCategory: June | زوار: 20\n\n- Apply\n- 等待"
    )


def strict(data: bytes) -> bytes:
    """The same file with the names of Strict Open XML."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith((".xml", ".rels")):
                content = re.sub(
                    rb"http://schemas\.openxmlformats\.org/(?!package)(\w+)/2006/",
                    rb"http://purl.oclc.org/ooxml/\1/",
                    content,
                )
            new.writestr(name, content)
    return out.getvalue()


def test_strict_files_are_read() -> None:
    document = Document()
    document.add_heading("开放时间", 1)
    document.add_paragraph("At nine.", style="List Number")
    data = strict(saved(document))
    assert b"purl.oclc.org" in zipfile.ZipFile(io.BytesIO(data)).read("word/document.xml")
    [part] = read_document(data, ".docx")
    assert part.text == "# 开放时间\n1. At nine."


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        ("EncryptedPackage", "is an encrypted Word file, which needs a password"),
        ("WordDocument", r"was written by Word before 2007, whatever its ending; expected \.docx"),
        ("Workbook", r"was written by Excel before 2007, .* expected \.xlsx"),
    ],
)
def test_an_old_or_locked_file_is_called_so(stream: str, reason: str) -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + stream.encode("utf-16-le")
    with pytest.raises(LoadError, match=reason):
        read_document(data, ".docx")
    if stream == "WordDocument":
        with pytest.raises(LoadError, match=reason):
            read_document(data, ".doc")
