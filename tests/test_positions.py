"""Position is meaning: raised and lowered characters are read apart from their neighbors, in every format."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest
from docx import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from langchain_core.documents import Document as Passage
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from pptx import Presentation
from pptx.util import Inches

from qwen_agentkit.ingest import read_document
from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.sparse import SPELLING, sparse_document, sparse_query
from qwen_agentkit.text.superscripts import mark_raised, separate_raised
from qwen_agentkit.text.verification import verify_citations

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

Runs = list[tuple[str, str]]
LAKE: Runs = [("The lake holds 10", ""), ("6", "sup"), (" liters of H", ""), ("2", "sub"), ("O for 5", "")]
LAKE += [("1", "sup"), (" euros.", "")]
LAKE_READ = "The lake holds 10⁶ liters of H₂O for 5¹ euros."


def saved(file: Any) -> bytes:
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def html(runs: Runs) -> bytes:
    return "".join(f"<{tag}>{text}</{tag}>" if tag else text for text, tag in runs).encode()


def set_position(font: Any, tag: str) -> None:
    if tag == "sup":
        font.superscript = True
    if tag == "sub":
        font.subscript = True


def docx(runs: Runs) -> bytes:
    document = Document()
    paragraph = document.add_paragraph()
    for text, tag in runs:
        set_position(paragraph.add_run(text).font, tag)
    return saved(document)


def docx_by_style(runs: Runs) -> bytes:
    document = Document()
    for tag in ("sup", "sub"):
        set_position(document.styles.add_style(tag, WD_STYLE_TYPE.CHARACTER).font, tag)
    paragraph = document.add_paragraph()
    for text, tag in runs:
        paragraph.add_run(text, style=tag or None)
    return saved(document)


def pptx(runs: Runs) -> bytes:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    paragraph = slide.shapes.add_textbox(0, 0, Inches(4), Inches(1)).text_frame.paragraphs[0]
    for text, tag in runs:
        run = paragraph.add_run()
        run.text = text
        if tag:
            run.font._element.set("baseline", {"sup": "30000", "sub": "-25000"}[tag])
    return saved(deck)


def xlsx(runs: Runs) -> bytes:
    book = Workbook()
    names = {"sup": "superscript", "sub": "subscript"}
    blocks = [TextBlock(InlineFont(vertAlign=names[tag]), text) if tag else text for text, tag in runs]
    book.active["A1"] = CellRichText(*blocks)
    return with_shared_strings(saved(book))


def with_shared_strings(data: bytes) -> bytes:
    """Move the only text of a workbook to where Excel writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        files = {name: old.read(name).decode() for name in old.namelist()}
        sheet = files["xl/worksheets/sheet1.xml"]
        [text] = re.findall("<is>(.*)</is>", sheet)
        files["xl/worksheets/sheet1.xml"] = re.sub("<is>.*</is>", "<v>0</v>", sheet).replace("inlineStr", "s")
        files["xl/sharedStrings.xml"] = f'<sst xmlns="{SHEET}" count="1"><si>{text}</si></sst>'
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
        override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/>'
        types = files["[Content_Types].xml"]
        files["[Content_Types].xml"] = types.replace("</Types>", f"{override}</Types>")
        for name, text in files.items():
            new.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(html, ".html"), (docx, ".docx"), (docx_by_style, ".docx"), (pptx, ".pptx"), (xlsx, ".xlsx")],
)
def test_raised_and_lowered_digits_never_join_a_number(make: Any, suffix: str) -> None:
    [part] = read_document(make(LAKE), suffix)
    assert part.text.removeprefix("# Sheet\n\n") == LAKE_READ


def test_plain_runs_are_read_as_they_are() -> None:
    for make, suffix in ((html, ".html"), (docx, ".docx"), (pptx, ".pptx")):
        [part] = read_document(make([("It costs 10", ""), ("6 euros", "")]), suffix)
        assert part.text == "It costs 106 euros"


def test_slides_have_raised_digits_in_tables_and_notes() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    cell = slide.shapes.add_table(1, 1, 0, 0, Inches(3), Inches(1)).table.cell(0, 0)
    for frame in (cell.text_frame, slide.notes_slide.notes_text_frame):
        for text, baseline in (("10", "0"), ("3", "30%")):
            run = frame.paragraphs[0].add_run()
            run.text = text
            run.font._element.set("baseline", baseline)
    [part] = read_document(saved(deck), ".pptx")
    assert part.text == "| 10³ |\n\n10³"


def test_formulas_of_word_keep_powers_and_fractions() -> None:
    run = "<m:r><m:t>{}</m:t></m:r>"
    power = f"<m:sSup><m:e>{run.format(10)}</m:e><m:sup>{run.format(6)}</m:sup></m:sSup>"
    half = f"<m:f><m:num>{run.format(1)}</m:num><m:den>{run.format(2)}</m:den></m:f>"
    plus = run.format("+")
    document = Document()
    xml = f"<w:p {WORD} {MATH}><m:oMath>{power}{plus}{half}</m:oMath></w:p>"
    document.element.body.insert(-1, parse_xml(xml))
    [part] = read_document(saved(document), ".docx")
    assert part.text == "10⁶+1/2"


def test_an_unclosed_tag_raises_one_block_only() -> None:
    [part] = read_document(b"<p>10<sup>6 l</p><p>In 1950</p><table><tr><td>5<sup>1<td>20", ".html")
    assert part.text == "10^6 l\n\nIn 1950\n\n5¹ | 20"


@pytest.mark.parametrize(
    ("before", "raised", "read"),
    [
        ("10", "6", "10⁶"),
        ("10", "−6", "10⁻⁶"),
        ("١٠", "٦", "١٠⁶"),
        ("2", "n", "2^n"),
        ("10", "2n", "10^2n"),
        ("1", "st", "1st"),
        ("3", "ème", "3ème"),
        ("M", "lle", "Mlle"),
        ("5", "[1]", "5[1]"),
        ("5", "*", "5*"),
    ],
)
def test_what_raised_text_becomes(before: str, raised: str, read: str) -> None:
    assert before + mark_raised(raised, before) == read


@pytest.mark.parametrize(
    ("text", "separated"),
    [
        ("10⁶ l", "10^6 l"),
        ("log₂8", "log2 8"),
        ("5₂", "5_2"),
        ("⁶5", "6 5"),
        ("m² H₂O", "m² H₂O"),
        ("1066", "1066"),
    ],
)
def test_digits_are_separated_only_from_numbers(text: str, separated: str) -> None:
    assert separate_raised(text) == separated


def test_a_power_is_not_the_number_of_its_digits() -> None:
    passage = [Passage(page_content=LAKE_READ, metadata={"source": "lake.docx", "language": "en"})]
    wrong = verify_citations("The lake holds 106 liters of water [1].", passage, language="en")
    assert wrong["sentences"][0]["verdict"] == "unsupported"
    for power in ("10⁶", "10^6"):
        right = verify_citations(f"The lake holds {power} liters [1].", passage, language="en")
        assert right["sentences"][0]["verdict"] == "supported"
    assert normalize_text("10⁶") == normalize_text("10^6") != normalize_text("106")


def test_a_search_for_the_joined_digits_does_not_find_a_power() -> None:
    document = set(sparse_document("The lake holds 10⁶ liters of H₂O", "en")[0])
    assert not document & set(sparse_query("106", "en")[0])
    terms = zip(*sparse_query("H2O 10^6", "en"), strict=True)
    assert document >= {term for term, weight in terms if weight > SPELLING}
