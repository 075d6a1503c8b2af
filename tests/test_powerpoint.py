"""PowerPoint: charts, diagrams, comments, and slides that are hidden or hold pictures alone."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part as FilePart
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.util import Inches

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
SIZE = (0, 0, Inches(4), Inches(3))


def read(deck: Any) -> list[Part]:
    out = io.BytesIO()
    deck.save(out)
    return read_document(out.getvalue(), ".pptx")


def new_slide(deck: Any) -> Any:
    return deck.slides.add_slide(deck.slide_layouts[6])


def picture() -> io.BytesIO:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "png")
    out.seek(0)
    return out


def add_part(owner: Any, name: str, kind: str, xml: str) -> str:
    part = FilePart(PackURI(name), "application/xml", owner.part.package, xml.encode())
    relation: str = owner.part.relate_to(part, kind)
    return relation


def test_a_chart_has_its_title_categories_and_values() -> None:
    deck = Presentation()
    data: Any = CategoryChartData(number_format="0%")  # type: ignore[no-untyped-call]  # has no annotations
    data.categories = ["North", "جنوب"]
    data.add_series("2022", (0.25, 0.5))
    data.add_series("2023", (0.75, 1))
    chart = new_slide(deck).shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *SIZE, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Share of visitors"
    [part] = read(deck)
    assert part.text == (
        "Share of visitors\n\nCategory: North | 2022: 25% | 2023: 75%\n\nCategory: جنوب | 2022: 50% | "
        "2023: 100%"
    )


def test_a_diagram_is_a_list() -> None:
    deck = Presentation()
    slide = new_slide(deck)
    points = "".join(
        f"<d:pt><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>"
        for text in ("Apply", "等待", "Collect")
    )
    model = f'<d:dataModel xmlns:d="{DIAGRAM}" xmlns:a="{DRAWING}"><d:ptLst>{points}</d:ptLst></d:dataModel>'
    name = add_part(slide, "/ppt/diagrams/data1.xml", f"{RELATIONS}/diagramData", model)
    frame = slide.shapes.add_table(1, 1, *SIZE)._element
    data = frame.find(f".//{{{DRAWING}}}graphicData")
    data.set("uri", DIAGRAM)
    data.remove(data[0])
    data.append(parse_xml(f'<d:relIds xmlns:d="{DIAGRAM}" xmlns:r="{RELATIONS}" r:dm="{name}"/>'))
    assert [part.text for part in read(deck)] == ["- Apply\n- 等待\n- Collect"]


def test_comments_of_old_and_new_programs_are_read() -> None:
    deck = Presentation()
    slide = new_slide(deck)
    authors = f'<p:cmAuthorLst xmlns:p="{PRESENTATION}"><p:cmAuthor id="1" name="Ines"/></p:cmAuthorLst>'
    add_part(deck, "/ppt/commentAuthors.xml", f"{RELATIONS}/commentAuthors", authors)
    old = f'<p:cmLst xmlns:p="{PRESENTATION}"><p:cm authorId="1"><p:text>الرقم قديم</p:text></p:cm></p:cmLst>'
    add_part(slide, "/ppt/comments/comment1.xml", f"{RELATIONS}/comments", old)
    new = (
        f'<n:cmLst xmlns:n="new" xmlns:a="{DRAWING}"><n:cm authorId="x"><n:txBody><a:p><a:r><a:t>'
        "Check it</a:t>"
        "</a:r></a:p></n:txBody></n:cm></n:cmLst>"
    )
    kind = "http://schemas.microsoft.com/office/2018/10/relationships/comments"
    add_part(slide, "/ppt/comments/modern1.xml", kind, new)
    assert [part.text for part in read(deck)] == ["Comment (Ines): الرقم قديم\n\nComment: Check it"]


def test_hidden_slides_and_shapes_are_left_out_and_pictures_named() -> None:
    deck = Presentation()
    seen, hidden, pictured = new_slide(deck), new_slide(deck), new_slide(deck)
    for slide in (seen, hidden):
        slide.shapes.add_textbox(*SIZE).text_frame.text = "Open"
    box = seen.shapes.add_textbox(*SIZE)
    box.text_frame.text = "secret"
    box._element.nvSpPr.cNvPr.set("hidden", "1")
    hidden._element.set("show", "0")
    pictured.shapes.add_picture(picture(), 0, 0)
    assert read(deck) == [
        Part("Open", {"page": 1}),
        Part("", {"page": 2}, ("Slide 2 is hidden and was left out.",)),
        Part("", {"page": 3}, ("Slide 3 holds pictures and no text, and was not read.",)),
    ]


def test_a_deck_of_pictures_is_called_so() -> None:
    deck = Presentation()
    new_slide(deck).shapes.add_picture(picture(), 0, 0)
    with pytest.raises(LoadError, match="Slide 1 holds pictures and no text"):
        read(deck)


def test_a_picture_that_is_described_is_read() -> None:
    deck = Presentation()
    shape = new_slide(deck).shapes.add_picture(picture(), 0, 0)
    shape._element.nvPicPr.cNvPr.set("descr", "خريطة المكتبة")
    assert [part.text for part in read(deck)] == ["خريطة المكتبة"]


def test_a_table_names_its_columns_and_symbols_are_read() -> None:
    deck = Presentation()
    cells = new_slide(deck).shapes.add_table(3, 2, *SIZE).table
    for number, text in enumerate(("Article", "Stock", "Bolt", "400", "", "7")):
        cells.cell(number // 2, number % 2).text = text
    cells.cell(1, 0).merge(cells.cell(2, 0))
    box = deck.slides[0].shapes.add_textbox(*SIZE)
    run = box.text_frame.paragraphs[0].add_run()
    run.text, run.font.name = "m", "Symbol"
    box.text_frame.paragraphs[0].add_run().text = "g"
    [part] = read(deck)
    assert part.text == "Article: Bolt | Stock: 400\n\nArticle: Bolt | Stock: 7\n\nμg"
