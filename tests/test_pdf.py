"""What a PDF page says is what is read: columns, tables, headers, forms, and doubt where there is any."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import NameObject
from reportlab.pdfgen.canvas import Canvas

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import read_document
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.pdf import read_pdf
from tests.pdf_files import Line, by_fpdf2, drawn


def texts(data: bytes) -> list[str]:
    return [part.text for part in read_pdf(data)]


def lines(x: float, *texts: str, top: float = 700) -> list[Line]:
    return [(x, top - 14 * number, text) for number, text in enumerate(texts)]


def edited(data: bytes, edit: Any) -> bytes:
    writer = PdfWriter(clone_from=io.BytesIO(data))
    edit(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


LEFT = lines(
    50, "The tower of the lighthouse is 42", "metres high and was built of", "granite by the harbour office."
)
RIGHT = lines(
    300, "Report and the spending of last", "year grew by twelve percent in", "all of the departments."
)


@pytest.mark.parametrize(
    "drawn_lines",
    [LEFT + RIGHT, [line for pair in zip(LEFT, RIGHT, strict=True) for line in pair],
     LEFT + [(x, y - 6, text) for x, y, text in RIGHT]],
    ids=["by columns", "by rows", "not level"],
)  # fmt: skip
def test_columns_are_read_one_after_the_other(drawn_lines: list[Line]) -> None:
    head = (50.0, 740.0, "News of the island and of its people, printed weekly for all who live there")
    assert texts(drawn([head, *drawn_lines])) == [
        f"{head[2]}\n\n"
        "The tower of the lighthouse is 42 metres high and was built of granite by the harbour office.\n\n"
        "Report and the spending of last year grew by twelve percent in all of the departments."
    ]


ROWS = [("Name", "City", "Age"), ("Anna", "Cairo", "31"), ("Boris", "Lima", "45"), ("Chen", "Oslo", "28")]
CELLS = [
    [(50 + 120 * column, 700 - 16 * row, ROWS[row][column]) for row in range(4) for column in range(3)],
    [(50 + 120 * column, 700 - 16 * row, ROWS[row][column]) for column in range(3) for row in range(4)],
]


@pytest.mark.parametrize("cells", CELLS, ids=["by rows", "by columns"])
def test_the_rows_of_a_table_name_their_columns(cells: list[Line]) -> None:
    assert texts(drawn(cells)) == [
        "Name: Anna | City: Cairo | Age: 31\n\n"
        "Name: Boris | City: Lima | Age: 45\n\n"
        "Name: Chen | City: Oslo | Age: 28"
    ]


def test_a_table_without_a_head_gets_no_names() -> None:
    cells = [(50, 700, "Anna"), (200, 700, "12"), (50, 684, "Boris"), (200, 684, "45")]
    assert texts(drawn(cells)) == ["Anna | 12\nBoris | 45"]


def test_divided_words_are_whole_and_lines_of_a_list_stay() -> None:
    page = lines(50, "The city pays the transpor-", "tation costs of pupils, pre-", "and postwar.") + lines(
        50, "- Bread", "- Milk", top=600
    )
    assert texts(drawn(page)) == [
        "The city pays the transportation costs of pupils, pre- and postwar.\n\n- Bread\n- Milk"
    ]


def test_bold_by_overprinting_is_read_once() -> None:
    assert texts(drawn([(50 + 0.3 * shift, 700, "All bells ring") for shift in range(3)])) == [
        "All bells ring"
    ]


def test_a_spaced_heading_is_words() -> None:
    spaced = texts(drawn([(50, 700, "S A F E T Y   R U L E S"), (50, 670, "Read a b c first.")]))
    assert spaced == ["SAFETY RULES\n\nRead a b c first."]


def test_raised_digits_stay_apart() -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    x = 50.0
    for text, size, rise in (
        ("It holds 10", 12, 0),
        ("6", 7, 5),
        (" litres of H", 12, 0),
        ("2", 7, -3),
        ("O.", 12, 0),
    ):
        canvas.setFont("Helvetica", size)
        canvas.drawString(x, 700 + rise, text)
        x += canvas.stringWidth(text, "Helvetica", size)
    canvas.save()
    assert texts(out.getvalue()) == ["It holds 10⁶ litres of H₂O."]


def test_headers_and_page_numbers_are_left_out_and_sentences_join() -> None:
    def page(number: int, *own: str) -> list[Line]:
        return [
            (50, 800, "Annual report of the museum"), *lines(50, *own), (50, 30, f"Page {number} of 3"),
        ]  # fmt: skip

    parts = read_pdf(
        drawn(
            page(1, "The museum opens every day. The show of ships starts on the first of"),
            page(2, "October and ends in May. Children pay nothing.", "Room 7 is closed."),
            page(3, "Tickets cost ten euros.", "Room 8 is closed."),
        )
    )
    title = {"title": "Annual report of the museum"}
    assert parts == [
        Part(
            "The museum opens every day. The show of ships starts on the first of October and ends in May.",
            {**title, "page": 1},
        ),
        Part("Children pay nothing. Room 7 is closed.", {**title, "page": 2}),
        Part("Tickets cost ten euros. Room 8 is closed.", {**title, "page": 3}),
    ]


def test_text_that_many_pages_share_stays_between_their_own_lines() -> None:
    pages = [lines(50, "Report", f"{name} clause", "It is binding.") for name in ("First", "Second", "Third")]
    read = texts(
        drawn(*[[*page, (50, 400, f"End of the {n} part.")] for page, n in zip(pages, "abc", strict=True)])
    )
    assert [text.count("It is binding.") for text in read] == [1, 1, 1]
    assert not any("Report" in text for text in read)


def test_a_page_of_nothing_but_repeated_lines_keeps_them() -> None:
    assert texts(drawn(*[[(50, 700, "Membership form")]] * 2)) == ["Membership form"] * 2


def test_filled_fields_and_notes_are_read() -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(50, 700, "Name of the applicant:")
    canvas.acroForm.textfield(name="applicant", value="Zubaida Karimova", x=200, y=695, width=200)
    canvas.acroForm.textfield(name="empty", x=200, y=595, width=200)
    canvas.acroForm.checkbox(name="member", checked=True, x=50, y=500)
    canvas.acroForm.checkbox(name="child", checked=False, x=50, y=450)
    canvas.textAnnotation("The deposit was returned.", Rect=[50, 300, 200, 350])
    canvas.save()
    [text] = texts(out.getvalue())
    assert text.splitlines()[0] == "Name of the applicant:"
    assert {"applicant: Zubaida Karimova", "member: ✓", "The deposit was returned."} <= {*text.splitlines()}
    assert "empty" not in text
    assert "child" not in text


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_an_empty_password_opens(algorithm: str) -> None:
    page = drawn([(50, 700, "Not to be printed: المكتبة")])
    data = edited(page, lambda writer: writer.encrypt("", owner_password="owner", algorithm=algorithm))
    assert texts(data)[0].startswith("Not to be printed")
    data = edited(page, lambda writer: writer.encrypt("word", algorithm=algorithm))
    with pytest.raises(LoadError, match="encrypted PDF"):
        read_pdf(data)


PAGES = drawn([(50, 700, "The first.")], [(50, 700, "The second.")], [(50, 700, "The third.")])


def test_one_bad_page_costs_one_page() -> None:
    def damage(writer: PdfWriter) -> None:
        writer.pages[1]["/Contents"].get_object()[NameObject("/Filter")] = NameObject("/NoSuchDecode")

    first, second, third = read_pdf(edited(PAGES, damage))
    assert (first.text, second.text, third.text) == ("The first.", "", "The third.")
    assert "damaged" in second.warnings[0]


def test_a_page_without_text_is_named_and_a_blank_one_is_not() -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(50, 700, "The first.")
    canvas.showPage()
    canvas.rect(50, 50, 200, 200, fill=1)
    canvas.showPage()
    canvas.showPage()
    canvas.save()
    assert [bool(part.warnings) for part in read_pdf(out.getvalue())] == [False, True, False]
    assert "picture" in read_document(out.getvalue(), ".pdf")[1].warnings[0]


def test_letters_that_the_file_does_not_name_are_not_stored(tmp_path: Path) -> None:
    def forget(writer: PdfWriter) -> None:
        for font in writer.pages[0]["/Resources"]["/Font"].values():
            font.get_object().pop("/ToUnicode", None)

    [part] = read_pdf(edited(by_fpdf2(["ru"], tmp_path), forget))
    assert part.text == ""
    assert "no legible text" in part.warnings[0]
