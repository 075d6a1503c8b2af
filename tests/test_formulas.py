"""Formulas in one line: what stands apart on the page stands apart in the text."""

from __future__ import annotations

import io

import pytest
from docx import Document
from docx.oxml import parse_xml
from pptx import Presentation
from pptx.oxml import parse_xml as slide_xml

from qwen_agentkit.ingest import read_document

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def t(text: object) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def e(*texts: object) -> str:
    return "".join(f"<m:e>{t(text)}</m:e>" for text in texts)


ROOT = f"<m:rad><m:deg>{t(3)}</m:deg>{e(8)}</m:rad>"
HALF = f"<m:f><m:num>{t(1)}</m:num><m:den>{t(2)}</m:den></m:f>"
LIMITS = f"<m:sub>{t('i=1')}</m:sub><m:sup>{t(10)}</m:sup>"
SUM = f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr>{LIMITS}{e(5)}</m:nary>'
MATRIX = f"<m:m><m:mr>{e(1, 2)}</m:mr><m:mr>{e(3, 4)}</m:mr></m:m>"
SQUARE = '<m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr>'


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (ROOT, "³√8"),
        (f"<m:rad><m:deg/>{e(2)}</m:rad>{ROOT}", "√2 ³√8"),
        (t(1) + HALF + t(3), "1 1/2 3"),
        (f"<m:f><m:num>{t('a+1')}</m:num><m:den>{t(12)}</m:den></m:f>", "(a+1)/12"),
        (t(2) + f"<m:d>{e('3+4')}</m:d>", "2(3+4)"),
        (f"<m:d>{SQUARE}<m:e>{MATRIX}</m:e></m:d>", "[1, 2; 3, 4]"),
        (SUM, "∑_(i=1)^(10) 5"),
        (f"<m:sSup>{e(10)}<m:sup>{t('−')}{t(6)}</m:sup></m:sSup>", "10⁻⁶"),
        (f"<m:sSup>{e('x')}<m:sup>{t('n+1')}</m:sup></m:sSup>", "x^(n+1)"),
        (f"<m:sSubSup>{e('x')}<m:sub>{t(1)}</m:sub><m:sup>{t(2)}</m:sup></m:sSubSup>", "x₁²"),
        (f"<m:func><m:fName>{t('log')}</m:fName>{e(2)}</m:func>{t(5)}", "log 2 5"),
        (t(1) + t(2), "12"),
    ],
)
def test_a_formula_of_word(formula: str, text: str) -> None:
    document = Document()
    xml = f"<w:p {WORD} {MATH}><m:oMath>{formula}</m:oMath></w:p>"
    document.element.body.insert(-1, parse_xml(xml))
    out = io.BytesIO()
    document.save(out)
    assert read_document(out.getvalue(), ".docx")[0].text == text


def test_a_formula_on_a_slide() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    frame = slide.shapes.add_textbox(0, 0, 1, 1).text_frame
    frame.text = "Root: "
    names = (
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main"'
    )
    choice = f'<mc:Choice Requires="a14"><a14:m {MATH}><m:oMath>{ROOT}</m:oMath></a14:m></mc:Choice>'
    xml = f"<mc:AlternateContent {names}>{choice}<mc:Fallback/></mc:AlternateContent>"
    frame.paragraphs[0]._p.append(slide_xml(xml))
    out = io.BytesIO()
    deck.save(out)
    assert read_document(out.getvalue(), ".pptx")[0].text == "Root: ³√8"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<mroot><mn>8</mn><mn>3</mn></mroot>", "³√8"),
        ("<msqrt><mn>2</mn></msqrt><mroot><mn>8</mn><mn>3</mn></mroot>", "√2 ³√8"),
        ("<mn>5</mn><mspace width='1em'/><mn>7</mn>", "5 7"),
        ("<mtable><mtr><mtd>1</mtd><mtd>2</mtd></mtr></mtable>", "1 2"),
        ("<msup><mn>10</mn><mrow><mo>-</mo><mn>6</mn></mrow></msup>", "10⁻⁶"),
    ],
)
def test_a_formula_of_a_page(formula: str, text: str) -> None:
    [part] = read_document(f"<p>= <math>{formula}</math></p>".encode(), ".html")
    assert " ".join(part.text.split()) == f"= {text}"
