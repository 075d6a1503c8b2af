"""Reading: each format into text that splits well, damaged files into reasons, hostile ones in no time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import SUFFIXES, Part, loaders, read_document, split
from qwen_agentkit.ingest.pictures import PICTURE_SUFFIXES
from tests.fakes.embedders import count_words


def only(data: bytes | str, suffix: str) -> Part:
    [part] = read_document(data.encode() if isinstance(data, str) else data, suffix)
    return part


def test_what_is_found_can_be_read_and_the_other_way_round() -> None:
    assert set(loaders._READERS) == SUFFIXES - PICTURE_SUFFIXES  # Those need text recognition.


# Tables and records


def test_every_row_of_a_table_names_its_columns() -> None:
    table = "Name,City,Note\nAnna,القاهرة,\n李雷,北京,likes tea\n\nOmar,,a,b\n"
    assert only(table, ".csv").text == (
        "Name: Anna | City: القاهرة\n\nName: 李雷 | City: 北京 | Note: likes tea\n\nName: Omar | Note: a | b"
    )


def test_a_cell_may_hold_delimiters_quotes_and_ends_of_lines() -> None:
    table = 'Question,Answer\r\n"Open,\r\nwhen?", "At ""nine"", daily"\r\n'
    assert only(table, ".csv").text == 'Question: Open, when? | Answer: At "nine", daily'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    rows = [("水果", "Price"), ("苹果", '"1,50; new"'), ("梨", '"2,30"')]
    table = "Fruit of the day\n" + "".join(delimiter.join(row) + "\n" for row in rows)
    assert only(table, ".csv").text == (
        "Fruit of the day\n\n水果: 苹果 | Price: 1,50; new\n\n水果: 梨 | Price: 2,30"
    )


def test_decimal_commas_are_no_delimiters() -> None:
    table = "Obst;Kilo;Korb\nApfel;1,50;7,50\nBirne;2,30;9,90\n"
    assert only(table, ".csv").text.endswith("Obst: Birne | Kilo: 2,30 | Korb: 9,90")


def test_tabs_alone_divide_a_tsv() -> None:
    table = "المدينة\tNote\nالقاهرة\tbig, old\nبيروت\tsea, hills\n"
    for encoding in ("utf-8-sig", "utf-16"):
        assert only(table.encode(encoding), ".tsv").text == (
            "المدينة: القاهرة | Note: big, old\n\nالمدينة: بيروت | Note: sea, hills"
        )


def test_names_without_rows_and_single_cells_are_text_too() -> None:
    assert only("Name,City\n", ".csv").text == "Name | City"
    assert only("apples\npears\n", ".csv").text == "apples\n\npears"


def test_no_chunk_tears_a_row() -> None:
    table = "name,town\n" + "".join(f"Person number {n} of the long list,الإسكندرية\n" for n in range(40))
    chunks = split(only(table, ".csv").text, count_words, max_tokens=48, overlap=0)
    assert len(chunks) > 5
    rows = [row for chunk in chunks for row in chunk.text.split("\n\n")]
    assert rows == [f"name: Person number {n} of the long list | town: الإسكندرية" for n in range(40)]


def test_an_open_quote_has_a_line() -> None:
    with pytest.raises(LoadError, match=r"broken table: .* at line \d+; expected .*\. Close the quote"):
        read_document(b'a,b\n1,"' + b"text, more\n" * 20_000, ".csv")


def test_a_record_has_its_text_first_and_nested_keys_with_dots() -> None:
    record = {
        "id": 7,
        "page_content": "تفتح المكتبة في التاسعة.\n\nDaily.",
        "metadata": {"lang": "ar", "tags": ["a", "b", 3], "old": None, "pages": [{"n": 1}, {"n": 2.5}]},
        "public": True,
        "empty": "",
    }
    assert only(json.dumps(record), ".jsonl").text == (
        "تفتح المكتبة في التاسعة.\n\nDaily.\n\nid: 7\nmetadata.lang: ar\nmetadata.tags: a, b, 3\n"
        "metadata.pages.1.n: 1\nmetadata.pages.2.n: 2.5\npublic: true"
    )


@pytest.mark.parametrize("key", ["text", "content", "page_content"])
def test_each_record_is_a_part_that_knows_its_line_and_title(key: str) -> None:
    lines = [
        json.dumps({"title": "时间", key: "图书馆\u2028九点开门。"}, ensure_ascii=False),
        "",
        '{"title": "", "q": "When?", "a": "At nine."}',
    ]
    assert read_document("\r\n".join(lines).encode(), ".jsonl") == [
        Part("图书馆\u2028九点开门。\n\ntitle: 时间", {"title": "时间", "page": 1}),
        Part("q: When?\na: At nine.", {"page": 3}),
    ]


DAMAGED_LINES = {
    '{"a": "cut': "Unterminated string",
    "[1, 2]": "type list",
    '"words"': "type str",
    "[" * 100_000: "recursion",
    '{"a":' * 800 + "1" + "}" * 800 + "}": "Extra data|recursion",
    '{"a": ' + "9" * 5000 + "}": "digits",
}


@pytest.mark.parametrize("line", DAMAGED_LINES, ids=lambda line: line[:8])
def test_a_damaged_line_costs_that_line_and_has_its_number(line: str) -> None:
    reason = rf"line 3 is no JSON object \(.*({DAMAGED_LINES[line]}).*\); expected one such as"
    first, damaged, last = read_document(f'{{"a": 1}}\n\n{line}\n{{"a": 2}}\n'.encode(), ".jsonl")
    assert (first.text, damaged.text, last.text) == ("a: 1", "", "a: 2")
    assert re.match(reason, damaged.warnings[0])
    with pytest.raises(LoadError, match=reason.replace("3", "1") + ".* Correct"):
        read_document(line.encode(), ".jsonl")


def test_half_characters_do_not_come_through() -> None:
    part = only(r'{"title": "t\ud800", "text": "one \ud83d two"}', ".jsonl")
    assert (part.text, part.metadata["title"]) == ("one ? two\n\ntitle: t?", "t?")


# Web pages

ENCODINGS = [
    ('<meta charset="gb2312">', "gb2312", "图书馆九点开门"),
    ("<meta charset=gb2312>", "gbk", "図書館的開門時間"),
    ('<META http-equiv="Content-Type" content="text/html; charset=windows-1256">', "cp1256", "تفتح المكتبة"),
    ("<?xml version='1.0' encoding='ISO-8859-6'?>", "iso8859-6", "تفتح المكتبة"),
    ('<meta charset="iso-8859-1">', "cp1252", "“Café” – open"),
    ('<meta charset="shift_jis">', "cp932", "図書館①"),
]


@pytest.mark.parametrize(("declared", "encoding", "text"), ENCODINGS, ids=lambda value: value[:24])
def test_a_declared_encoding_is_honoured(declared: str, encoding: str, text: str) -> None:
    assert only(f"{declared}<p>{text}</p>".encode(encoding), ".html").text == text


def test_utf_8_is_utf_8_whatever_is_declared() -> None:
    assert only('<meta charset="gb2312"><p>مكتبة 图书馆</p>', ".html").text == "مكتبة 图书馆"


def test_code_keeps_its_lines_and_is_no_heading() -> None:
    page = (
        "<h1>时间</h1><p>Type\nthis:</p>"
        "<pre class=x>\n# a comment\n<b>if</b> x:\n    y = 1\n\n    z<br>end\n</pre>"
        "<p>ثم انتهى</p><pre> </pre><pre><div>one</div><div>  two</div></pre>"
    )
    text = only(page, ".html").text
    assert text == (
        "# 时间\n\nType this:\n\n```\n# a comment\nif x:\n    y = 1\n\n    z\nend\n```\n\nثم انتهى\n\n"
        "```\none\n  two\n```"
    )
    assert {chunk.section for chunk in split(text, count_words)} == {"时间"}


UNCLOSED = {
    "<svg><path d=''>": "",
    "<object data=x><param name=y>": "",
    "<noscript>": "",
    "<template>": "",
    "<iframe src=x>": "",
    "<svg><noscript><iframe>": "",
    "<pre>": "",
    "<noscript><pre></noscript>": "",
    "<svg></object>": "",
    "<title>Boats": "Boats",
    "<head><title>Boats</head>": "Boats",
}


@pytest.mark.parametrize("opening", UNCLOSED)
def test_what_is_never_closed_swallows_nothing(opening: str) -> None:
    part = only(f"{opening}<h1>المكتبة</h1>It <i>opens</i>\nat nine.", ".html")
    assert part.text == "# المكتبة\n\nIt opens at nine."
    assert part.metadata.get("title", "") == UNCLOSED[opening]


def test_newer_pythons_keep_no_more_tags_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HTMLParser, "CDATA_CONTENT_ELEMENTS", ("script", "style", "title", "iframe"))
    for opening in ("<title>Boats", "<iframe>"):
        assert only(f"{opening}<h1>المكتبة</h1>Open.", ".html").text == "# المكتبة\n\nOpen."


def test_text_after_an_unclosed_head_is_no_title() -> None:
    part = only("<head><title>Boats</head>图书馆 <b>opens</b> at nine.", ".html")
    assert part == Part("图书馆 opens at nine.", {"title": "Boats"})


def test_what_is_closed_stays_hidden_whatever_is_in_it() -> None:
    page = (
        "<body>Seen<template><h2>no</h2><svg><title>no</title><object>no</template> 这里"
        "<noscript><p>no<pre>no</noscript><svg/> and <script>no('<h1>no</h1>')</script>"
        "<svg><object></object>no</svg> here</svg></body><style>no"
    )
    assert only(page, ".html") == Part("Seen 这里 and  here", {})


# Time

HOSTILE: dict[str, tuple[Callable[[int], str], str]] = {
    "heading": (lambda n: f"# a{' ' * 2 * n}x\n\nText.", ".md"),
    "marks": (lambda n: f"# a{' #' * n}x\n\nText.", ".md"),
    "closing marks": (lambda n: f"# {'#' * 2 * n}x\n\nText.", ".md"),
    "front matter": (lambda n: f"---\ntitle: a{' ' * 2 * n}x\n---\nText.", ".md"),
    "rules": (lambda n: "---\na" + "\n--- a" * n, ".md"),
    "blank lines": (lambda n: f"{(' ' * 2 * n + chr(10)) * 3}a b c d e f g h i j k l m n o p q r s", ".txt"),
    "tags": (lambda n: f"{'<i> </i>' * n}x", ".html"),
    "raised": (lambda n: f"{'<sup></sup>' * n}x", ".html"),
    "meta": (lambda n: f"{'<meta ' * n}<p>é", ".html"),
}


def seconds_to_read(text: str, suffix: str) -> float:
    """Processor time of reading and splitting: the least of three runs."""
    runs = []
    for _ in range(3):
        started = time.process_time()
        for part in read_document(text.encode(), suffix):
            split(part.text, count_words, max_tokens=16, overlap=0)
        runs.append(time.process_time() - started)
    return min(runs)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_takes_time_in_proportion_to_its_length(name: str) -> None:
    make, suffix = HOSTILE[name]
    short, long = (seconds_to_read(make(size), suffix) for size in (10_000, 80_000))
    assert long < 24 * max(short, 0.01)  # 8 times the length; quadratic would be 64 times


def test_headings_lose_the_marks_that_close_them() -> None:
    text = "# One ##\n\na\n\n## C# \t\n\nb\n\n##\t三 #3\n\nc\n\n# #\n\nd"
    assert [chunk.section for chunk in split(text, count_words)] == ["One", "One > C", "One > 三 #3", ""]
    assert only("# ##\n\n# المكتبة ##\n", ".md").metadata == {"title": "المكتبة"}
    assert only('---\ntitle: ""\n---\n# Second', ".md").metadata == {"title": "Second"}
