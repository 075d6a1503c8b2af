"""Tables: the rows that name columns are found by their shape, and every row says what its cells are."""

from __future__ import annotations

import io
import time

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document, split
from qwen_agentkit.ingest.headers import find_header
from qwen_agentkit.ingest.sheets import sheet_as_text
from tests.fakes.embedders import count_words

NO_NAMES = ("No row was found that names the columns; the first one was read like the others.",)


def read(table: str) -> Part:
    [part] = read_document(table.encode(), ".csv")
    return part


NAMED = {
    "figures": ("Article,Stock\nBolt,400\nNut,3\n", "Article: Bolt | Stock: 400"),
    "usual names": ("Name,City\nAnna,Cairo\nBoris,Sofia\n", "Name: Anna | City: Cairo"),
    "usual Arabic names": ("اسم,مدينة\nسارة,القاهرة\nليلى,بيروت\n", "اسم: سارة | مدينة: القاهرة"),
    "usual Chinese names": ("姓名,城市\n李雷,北京\n韩梅,上海\n", "姓名: 李雷 | 城市: 北京"),
    "codes": ("Driver,Truck\nYusuf,T-9\nAli,T-10\n", "Driver: Yusuf | Truck: T-9"),
    "years": ("Region,2021,2022\nNorth,5,6\nSouth,3,4\n", "Region: North | 2021: 5 | 2022: 6"),
    "dates": ("Since,Who\n2024-01-05,Anna\n2023-11-30,Omar\n", "Since: 2024-01-05 | Who: Anna"),
    "title": ("Stock of May\nArticle,Stock\nBolt,400\nNut,3\n", "Article: Bolt | Stock: 400"),
    "title of two cells": (
        "Report of sales, March 2024\nPerson,City,Amount\nAnna,Cairo,5\nBoris,Sofia,7\n",
        "Person: Anna | City: Cairo | Amount: 5",
    ),
    "two rows of names": (
        "Region,2022,,2023,\n,Q1,Q2,Q1,Q2\nNorth,1,2,3,4\nSouth,5,6,7,8\n",
        "Region: North | 2022 Q1: 1 | 2022 Q2: 2 | 2023 Q1: 3 | 2023 Q2: 4",
    ),
    "line for Excel": ("sep=;\nItem;Price\nTea;2\n", "Item: Tea | Price: 2"),
    "repeated names": (
        "Item,Price\nTea,2\nItem,Price\nMint,3\n",
        "Item: Tea | Price: 2\n\nItem: Mint | Price: 3",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_the_rows_that_name_columns_are_found(case: str) -> None:
    table, right = NAMED[case]
    part = read(table)
    assert right in part.text
    assert part.warnings == ()


NAMELESS = {
    "words": "Anna,Cairo\nBoris,Sofia\n",
    "figures": "Anna,Cairo,5\nBoris,Sofia,7\n",
    "dates": "2024-01-05,Cairo,5\n2024-01-06,Sofia,6\n",
    "names and values": "Name;Anna\nPhone;0123 456\nSince;2024\n",
    "values that come again": "Anna,Sales\nBoris,Sales\nOmar,Sales\nLi,Buying\n",
    "Chinese": "李雷,北京\n韩梅,上海\n",
}


@pytest.mark.parametrize("case", NAMELESS)
def test_a_first_record_is_no_name_and_not_lost(case: str) -> None:
    table = NAMELESS[case]
    part = read(table)
    delimiter = ";" if ";" in table else ","
    assert part.text == "\n\n".join(table.strip().replace(delimiter, " | ").split("\n"))
    assert part.warnings == NO_NAMES


@pytest.mark.parametrize("total", ["Total", "Summe", "合计"])
def test_a_sum_below_a_column_is_no_name(total: str) -> None:
    text = read_document(f"Item,Price\nPen,3\nBook,5\n{total},8\n".encode(), ".csv")[0].text
    assert text == f"Item: Pen | Price: 3\n\nItem: Book | Price: 5\n\nItem: {total} | Price: 8"


def test_a_letterhead_names_nothing() -> None:
    rows = [
        ["Contact:", "Ines Blum", "Date:", "2024-05-01"],
        [],
        ["Article", "Stock"],
        ["Bolt", "400"],
    ]
    assert sheet_as_text(rows) == "Contact: Ines Blum | Date: 2024-05-01\n\nArticle: Bolt | Stock: 400"
    assert sheet_as_text([rows[0], *rows[2:], ["Nut", "7"]]).endswith("Article: Nut | Stock: 7")


def test_each_table_of_a_sheet_has_its_own_names() -> None:
    first = [["Article", "Stock"], ["Bolt", "400"]]
    second = [["Driver", "Truck"], ["Yusuf", "T-9"]]
    right = "Article: Bolt | Stock: 400\n\nDriver: Yusuf | Truck: T-9"
    assert sheet_as_text([*first, [], *second]) == right
    assert sheet_as_text([*first, [], ["Driver", "Mate"], ["Yusuf", "Ali"]]) == (
        "Article: Bolt | Stock: 400\n\nDriver | Mate\n\nYusuf | Ali"
    )
    assert "Trucks\n\nDriver: Yusuf | Truck: T-9" in sheet_as_text([*first, ["Trucks", ""], *second])
    beside = [[*a, "", *b] for a, b in zip([["", ""], *first], [*second, ["Ali", "T-10"]], strict=True)]
    assert sheet_as_text(beside) == f"{right}\n\nDriver: Ali | Truck: T-10"


def test_a_csv_goes_on_below_an_empty_line() -> None:
    assert read("Name,City\nAnna,Cairo\n\nOmar,Sofia\n").text.endswith("Name: Omar | City: Sofia")


def test_columns_that_fill_the_same_rows_are_one_table() -> None:
    assert sheet_as_text([["Article", "", "Stock"], ["Bolt", "", "400"]]) == "Article: Bolt | Stock: 400"


def test_a_header_needs_rows_below_it() -> None:
    assert find_header([["Name", "City"]]) is None
    assert find_header([]) is None


def test_a_line_of_millions_of_cells_is_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(LoadError, match=r"Line 1 of the table has 1,000,000 cells; expected 16,384 or fewer"):
        read(",".join(["a"] * 1_000_000))
    with pytest.raises(LoadError, match="broken table: field larger than"):
        read("a" * 1_000_000)
    assert time.process_time() - started < 5


def test_a_line_without_an_end_is_split_in_time_and_memory() -> None:
    """A line of n characters was held as n numbers and counted again at each halving."""
    line = io.StringIO()
    for number in range(40_000):
        line.write(f"word{number} ")
    counted = 0

    def count(texts: list[str]) -> list[int]:
        nonlocal counted
        counted += sum(map(len, texts))
        return [len(text) // 4 + 1 for text in texts]

    text = line.getvalue()
    chunks = split(text, count, max_tokens=64, overlap=0)  # type: ignore[arg-type]
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == text.replace(" ", "")
    assert counted < 14 * len(text)


LONG = [("Permit", "Floor", "Office"), *((f"M{n}", str(n % 9), f"Office {n}") for n in range(80))]
MARKDOWN = "| Permit | Floor | Office |\n|---|:-:|---|\n" + "".join(
    f"| {a} | {b} | {c} |\n" for a, b, c in LONG[1:]
)
HTML = "<table>" + "".join(f"<tr><td>{a}</td><td>{b}</td><td>{c}</td></tr>" for a, b, c in LONG) + "</table>"


@pytest.mark.parametrize(("text", "suffix"), [(MARKDOWN, ".md"), (HTML, ".html")])
def test_every_chunk_of_a_long_table_has_the_names_of_its_columns(text: str, suffix: str) -> None:
    [part] = read_document(f"<h1>Permits</h1>{text}".encode() if suffix == ".html" else text.encode(), suffix)
    chunks = split(part.text, count_words, max_tokens=64, overlap=0)
    assert len(chunks) > 5
    assert all("Permit: M" in chunk.text and "Floor: " in chunk.text for chunk in chunks)
    assert "Permit: M64 | Floor: 1 | Office: Office 64" in part.text
