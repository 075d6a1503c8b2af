"""Plain pages of PDF files are read by the piece, and have the text that reading by the glyph gives."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from pypdfium2 import PdfDocument
from reportlab.pdfgen.canvas import Canvas

from qwen_agentkit.ingest.pdf import pieces
from qwen_agentkit.ingest.pdf.reading import read_pages

Paint = Callable[[Canvas], object]
SENTENCE = "The ferry leaves at 12:50 from the old harbor, and not from the new one."


def painted(paint: Paint) -> bytes:
    out = BytesIO()
    canvas = Canvas(out)
    paint(canvas)
    canvas.save()
    return out.getvalue()


def by_pieces(data: bytes) -> bool:
    with PdfDocument(data) as document:
        textpage = document[0].get_textpage()
        found = pieces._read_pieces(textpage.raw)
        assert found != []
        return found is not None


def columns(canvas: Canvas) -> None:
    for row, (name, age) in enumerate([("Name", "Age"), ("Anna Blum", "31"), ("Boris", "42")]):
        canvas.drawString(50, 700 - 20 * row, name)
        canvas.drawString(220, 700 - 20 * row, age)


def justified(canvas: Canvas) -> None:
    text = canvas.beginText(50, 700)
    text.setWordSpace(9)
    text.textLines([SENTENCE, SENTENCE])
    canvas.drawText(text)


def one_line_of_cells(canvas: Canvas) -> None:
    # One operator paints the cells: a number in its array moves to the next one.
    for row, cells in enumerate((b"[(Name ) -9000 (City)] TJ", b"[(Anna ) -9000 (Cairo)] TJ") * 2):
        canvas._code.append(f"BT /F1 12 Tf 1 0 0 1 50 {700 - 20 * row} Tm {cells.decode()} ET")


def raised(canvas: Canvas) -> None:
    canvas.drawString(50, 700, "The lake holds 10")
    canvas.setFont("Helvetica", 7)
    canvas.drawString(146, 705, "6")
    canvas.setFont("Helvetica", 12)
    canvas.drawString(151, 700, "liters of water.")


def many(canvas: Canvas) -> None:
    for line in range(40):
        for place, word in enumerate(SENTENCE.split()):
            canvas.drawString(50 + 35 * place, 780 - 15 * line, word)


@pytest.mark.parametrize("paint", [columns, justified, one_line_of_cells, raised, many])
def test_the_text_is_that_of_single_glyphs(paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    data = painted(paint)
    assert by_pieces(data)
    quick = read_pages(data)
    monkeypatch.setattr(pieces, "_read_pieces", lambda page: None)
    assert quick == read_pages(data)
    assert any(char.isalpha() for char in quick[0].text)


def turned(canvas: Canvas) -> None:
    canvas.rotate(90)
    canvas.drawString(100, -300, SENTENCE)


def bold(canvas: Canvas) -> None:
    canvas.drawString(50, 700, SENTENCE)
    canvas.drawString(50.3, 700, SENTENCE[:40])


def spaced(canvas: Canvas) -> None:
    text = canvas.beginText(50, 700)
    text.setCharSpace(5)
    text.textLine("SAFETY RULES 2024.")
    canvas.drawText(text)


def spelled(canvas: Canvas) -> None:
    canvas.drawString(50, 700, "S A F E T Y   R U L E S")


@pytest.mark.parametrize("paint", [turned, bold, spaced, spelled])
def test_a_page_that_is_not_plain_is_read_by_glyphs(paint: Paint) -> None:
    assert not by_pieces(painted(paint))


def test_a_spaced_line_keeps_its_figures_and_its_stop_together() -> None:
    [page] = read_pages(painted(spaced))
    assert page.text == "SAFETY RULES 2024."
