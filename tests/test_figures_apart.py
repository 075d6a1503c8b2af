"""Figures that a reader sees apart never become one number, in whatever way a format sets them apart."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from docx import Document
from docx.oxml import parse_xml as word_xml
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.styles import Font
from pptx import Presentation
from pptx.util import Inches

from qwen_agentkit.ingest import read_document

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def read(data: bytes | str, suffix: str) -> str:
    parts = read_document(data if isinstance(data, bytes) else data.encode(), suffix)
    return "\n\n".join(part.text for part in parts if part.text)


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def docx(*blocks: str) -> bytes:
    document = Document()
    for block in blocks:
        kind = "tbl" if block.startswith("<w:tr") else "p"
        document.element.body.insert(-1, word_xml(f"<w:{kind} {WORD}>{block}</w:{kind}>"))
    return saved(document)


def slide(*runs: tuple[str, dict[str, str]]) -> bytes:
    deck = Presentation()
    page = deck.slides.add_slide(deck.slide_layouts[6])
    paragraph = page.shapes.add_textbox(0, 0, Inches(4), Inches(1)).text_frame.paragraphs[0]
    for text, attributes in runs:
        added = paragraph.add_run()
        added.text = text
        for name, value in attributes.items():
            added.font._element.set(name, value)
    return saved(deck)


def sheet(value: Any, font: Font | None = None) -> bytes:
    book = Workbook()
    book.active["A1"] = value
    if font:
        book.active["A1"].font = font
    return saved(book)


def odt(styles: str, body: str) -> bytes:
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "style", "text", "table")
    )
    content = (
        f"<office:document-content {names}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:text><text:p>{body}</text:p></office:text></office:body>"
        "</office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("content.xml", content)
    return out.getvalue()


def epub(page: str, css: str = "") -> bytes:
    container = '<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>'
    items = '<manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in (
            ("META-INF/container.xml", container),
            ("a.opf", f"<package>{items}</package>"),
            ("a.xhtml", f"<html><body>{page}</body></html>"),
            ("a.css", css),
        ):
            archive.writestr(name, text)
    return out.getvalue()


STRIKE = "<w:strike/>"
SPAN = (
    '<style:style style:name="T"><style:text-properties style:text-line-through-style="solid"/></style:style>'
)
BOLD = InlineFont(strike=True)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        ("<p>Price <s>500</s>400</p>", ".html"),
        ("<p>Price <span style='text-decoration: red line-through'>500</span>400</p>", ".html"),
        ("<style>.old {text-decoration-line:line-through}</style><p>Price <i class=old>500</i>400", ".html"),
        (docx(run("Price ") + run("5", STRIKE) + run("00", "<w:dstrike/>") + run("400")), ".docx"),
        (slide(("Price ", {}), ("500", {"strike": "sngStrike"}), ("400", {})), ".pptx"),
        (sheet(CellRichText("Price ", TextBlock(BOLD, "500"), "400")), ".xlsx"),
        (odt(SPAN, 'Price <text:span text:style-name="T">500</text:span>400'), ".odt"),
        (r"{\rtf1 Price {\strike 5}{\strike\'30}{\strike 0}400}", ".rtf"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith(".") else "",
)
def test_what_is_struck_through_is_no_part_of_a_number(data: bytes | str, suffix: str) -> None:
    assert read(data, suffix).removeprefix("# Sheet\n\n") == "Price ~~500~~ 400"


def test_a_cell_that_is_struck_through_as_a_whole() -> None:
    assert read(sheet(500, Font(strike=True)), ".xlsx") == "# Sheet\n\n~~500~~"


RAISED = '<w:vertAlign w:val="superscript"/>'


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        ("<p>10<sup>−</sup><sup>6</sup> m</p>", ".html"),
        ("<style>.up {vertical-align: super}</style><p>10<span class=up>−6</span> m</p>", ".html"),
        (
            "<p>10<span style='position:relative; top:-0.4em; vertical-align:baseline'>−6</span> m</p>",
            ".html",
        ),
        ("<p>10<span style='vertical-align: 30%'>−6</span> m</p>", ".html"),
        (epub("<p>10<span class='a'>−6</span> m</p>", ".a {position: relative; top: -0.33em;}"), ".epub"),
        (docx(run("10") + run("−", RAISED) + run("6", RAISED) + run(" m")), ".docx"),
        (slide(("10", {}), ("−", {"baseline": "30000"}), ("6", {"baseline": "30000"}), (" m", {})), ".pptx"),
        (r"{\rtf1 10{\super -}{\super\'36} m}", ".rtf"),
        (r"{\rtf1\uc1 10{\super\u8722\'3f6} m}", ".rtf"),
        ("<a><p>10<superscript>−6</superscript> m</p></a>", ".xml"),
        ("<a><p>10<hi rend='sup'>−6</hi> m</p></a>", ".xml"),
        ("10^−6^ m", ".md"),
        ("10<sup>−6</sup> m", ".md"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith(".") else "",
)
def test_a_power_stays_one_however_it_is_raised(data: bytes | str, suffix: str) -> None:
    assert read(data, suffix) == "10⁻⁶ m"


@pytest.mark.parametrize(
    ("data", "suffix", "text"),
    [
        ("<p>H<span style='position:relative;top:.3em'>2</span>O</p>", ".html", "H₂O"),
        ("<p>Set <span style='position:relative;top:1px'>12</span> straight</p>", ".html", "Set 12 straight"),
        (r"{\rtf1 x{\dn6 5} and {\super\u1634?}}", ".rtf", "x₅ and ²"),
        ("H~2~O costs ~5 or ~6 and `10^6^`, 2^3^4", ".md", "H₂O costs ~5 or ~6 and `10^6^`, 2^3^4"),
        ("<a><p>H<sub>2</sub>O</p></a>", ".xml", "H₂O"),
    ],
)
def test_what_is_lowered_and_what_is_only_set_straight(data: str, suffix: str, text: str) -> None:
    assert read(data, suffix) == text


def test_a_note_of_a_book_is_kept_and_its_number_is_no_digit() -> None:
    page = '<p>Fee 12<a epub:type="noteref" href="#n">3</a></p><aside epub:type="footnote">Plus tax.</aside>'
    assert read(epub(page), ".epub") == "Fee 12³\n\nPlus tax."


def test_lines_of_a_style_sheet_are_lines() -> None:
    page = "<style>.row {display: block}</style><i class=row>12</i><i class=row>34</i><i>5</i><i>6</i>"
    assert read(page, ".html") == "12\n\n34\n56"


def test_a_large_first_figure_belongs_to_its_number() -> None:
    frame = '<w:pPr><w:framePr w:dropCap="drop" w:lines="3"/></w:pPr>'
    assert read(docx(frame + run("1"), run("250 books")), ".docx") == "1250 books"


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (r"{\rtf1 9\column 10}", "9\n\n10"),
        (r"{\rtf1 Fee{\footnote Plus 3.}4 EUR}", "Fee\n\nPlus 3.\n\n4 EUR"),
        (r"{\rtf1{\header Lease 7}{\footer Blum}12}", "Lease 7\n\nBlum\n\n12"),
        (r"{\rtf1{\pntext 3) }three \u-10179?\u-8704?}", "3) three 😀"),
        (r"{\rtf1 1{\deleted 2}3}", "13"),
    ],
)
def test_parts_of_rich_text_stay_apart(text: str, read_as: str) -> None:
    assert read(text, ".rtf") == read_as


def test_soft_hyphens_are_no_letters() -> None:
    assert read("<p>Donau&shy;dampf 1&shy;2</p>", ".html") == "Donaudampf 12"
