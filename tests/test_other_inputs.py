"""Charts with groups, comments in threads, short texts in old encodings, menus that are plain lists."""

from __future__ import annotations

import io

import openpyxl
import pytest
from openpyxl.comments import Comment
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from qwen_agentkit.ingest import read_document
from qwen_agentkit.ingest.encodings import decode_text


def test_each_category_of_a_chart_has_the_name_of_its_group() -> None:
    data = CategoryChartData()
    for year, quarters in (("2023", ("Q1", "Q2")), ("2024", ("Q1", "Q2"))):
        category = data.add_category(year)
        for quarter in quarters:
            category.add_sub_category(quarter)
    data.add_series("Units", (11, 12, 13, 14))
    deck, file = Presentation(), io.BytesIO()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, Inches(1), Inches(1), Inches(5), Inches(4), data)
    deck.save(file)
    rows = read_document(file.getvalue(), ".pptx")[0].text.split("\n\n")
    assert rows == [
        "Category: 2023 Q1 | Units: 11",
        "Category: 2023 Q2 | Units: 12",
        "Category: 2024 Q1 | Units: 13",
        "Category: 2024 Q2 | Units: 14",
    ]


@pytest.mark.parametrize(("author", "shown"), [("tc={1F}", "C2"), ("Ana", "C2 (Ana)")])
def test_a_thread_of_comments_has_no_number_for_its_author(author: str, shown: str) -> None:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (["Item", "Color", "Price"], ["Pump", "red", 12.5], ["Hose", "blue", 7.5]):
        book.active.append(row)
    book.active["C2"].comment = Comment(
        "[Threaded comment]\n\nNew Excel.\n\nComment:\n    Ask for a rebate", author
    )
    book.save(file)
    text = read_document(file.getvalue(), ".xlsx")[0].text
    assert text.endswith(f"Comment on {shown}: Ask for a rebate")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L’été à Nîmes coûte 30 €.", "cp1252"),
        ("Le garçon à côté est allé à l’hôtel.", "cp1252"),
        ("Mañana habrá niños aquí", "cp1252"),
        ("Größe über Fußball", "cp1252"),
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Привет всем, кто читает это", "cp1251"),
        ("WinXP для Windows: новые файлы в PDF-формате", "cp1251"),
        ("Η βιβλιοθήκη ανοίγει στις 9 με WiFi", "cp1253"),
    ],
)
def test_no_word_of_a_short_text_is_of_two_scripts(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)).text == text


@pytest.mark.parametrize("classes", ["menu nav-menu", "navbar-nav", "breadcrumb", "Nav nav-tabs"])
def test_a_list_that_is_named_navigation_is_left_out(classes: str) -> None:
    page = (
        f'<ul class="{classes}"><li><a href="/">Home</a><li><a href="/a">About</a></ul>'
        '<main><h2>Hours</h2><p>Open from 9 to 5.</p><ul class="nav-list"><li>Bring a map</ul></main>'
        '<ul class="navy menu"><li>Soup of the day</ul>'
    )
    text = read_document(page.encode(), ".html")[0].text
    assert text == "## Hours\n\nOpen from 9 to 5.\n\n- Bring a map\n\n- Soup of the day"
