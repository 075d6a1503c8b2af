"""More formats: mail, archives, books, OpenDocument, Rich Text, notebooks, XML, code, and own readers."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, archives, ingest, read_document, split
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words


def read(data: bytes | str, suffix: str) -> Part:
    [part] = read_document(data.encode() if isinstance(data, str) else data, suffix)
    return part


def packed(files: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


# Mail


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "أوقات المكتبة", "Ines <ines@example.org>", "a@example.org"
    mail.set_content("Open at nine. 图书馆")
    mail.add_alternative("<p>Open at <b>nine</b>.</p>", subtype="html")
    mail.add_attachment(b"Article,Stock\nBolt,400\n", maintype="text", subtype="csv", filename="قائمة.csv")
    mail.add_attachment(b"PK", maintype="application", subtype="zip", filename="all.zip")
    return mail


def test_a_message_has_its_head_its_body_and_its_attachments() -> None:
    body, table, archive = read_document(message().as_bytes(), ".eml")
    assert body == Part(
        "Subject: أوقات المكتبة\nFrom: Ines <ines@example.org>\nTo: a@example.org\n\nOpen at nine. 图书馆",
        {"title": "أوقات المكتبة"},
    )
    assert table == Part("Article: Bolt | Stock: 400", {"title": "قائمة.csv", "member": "قائمة.csv"})
    assert archive.text == ""
    assert archive.warnings[0].startswith("'all.zip' was not read: It is an archive inside another file.")


def test_a_message_in_a_message_is_read() -> None:
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.set_content("See below.")
    outer.add_attachment(message())
    parts = read_document(outer.as_bytes(), ".eml")
    assert [part.metadata.get("member") for part in parts] == [
        None,
        "message 1.eml",
        "message 1.eml/قائمة.csv",
        "message 1.eml/all.zip",
    ]


def test_a_message_in_html_and_an_old_encoding() -> None:
    head = (
        "Subject: Hours\r\nContent-Type: text/html; charset=x-sjis\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    assert (
        read(head.encode() + "<nav>Menu</nav><p>図書館".encode("cp932"), ".eml").text
        == "Subject: Hours\n\n図書館"
    )


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(LoadError, match="The file is not an email message"):
        read("just words\n", ".eml")
    with pytest.raises(LoadError, match="is a broken mail message"):
        read("Subject: x\nContent-Type: message/rfc822\n\n" * 2000, ".eml")
    with pytest.raises(LoadError, match="is a broken Outlook message"):
        read("just words\n", ".msg")


# Archives


def test_an_archive_is_read_as_a_folder() -> None:
    files = {
        "docs/a.md": "# 时间\n\nOpen.",
        "b.csv": "Article,Stock\nBolt,400\n",
        "../evil.txt": "x",
        "/etc/evil.txt": "x",
        "inner.zip": packed({"a.txt": "x"}),
        "c.xyz": "x",
        "bad.pdf": "no pdf",
        "__MACOSX/a.md": "x",
        ".hidden.txt": "x",
    }
    parts = read_document(packed(files), ".zip")
    assert [(part.text, part.metadata) for part in parts if part.text] == [
        ("# 时间\n\nOpen.", {"title": "时间", "member": "docs/a.md"}),
        ("Article: Bolt | Stock: 400", {"title": "b.csv", "member": "b.csv"}),
    ]
    warnings = {part.metadata["member"]: part.warnings[0] for part in parts if part.warnings}
    assert set(warnings) == {"../evil.txt", "/etc/evil.txt", "inner.zip", "c.xyz", "bad.pdf"}
    assert warnings["../evil.txt"].endswith("its name leads out of the archive.")
    assert "archive inside another file" in warnings["inner.zip"]


def test_names_in_an_archive_may_be_in_an_old_encoding() -> None:
    data = packed({"XXXX.txt": "Open."}).replace(b"XXXX", "图书".encode("gbk"))
    assert read(data, ".zip").metadata["member"] == "图书.txt"


def test_an_archive_that_is_too_large_or_broken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed({"a.txt": "word " * 100, "b.txt": "word"})
    with pytest.raises(LoadError, match="is a broken archive"):
        read_document(data[:80], ".zip")
    monkeypatch.setattr(archives, "_LARGEST", 400)
    with pytest.raises(
        LoadError, match="holds 2 files of 504 bytes; expected at most 5,000 files of 400 bytes"
    ):
        read_document(data, ".zip")


def test_an_archive_that_says_it_is_smaller_is_not_unpacked_whole() -> None:
    data = packed({"a.txt": "x" * 1000})
    with pytest.raises(LoadError, match="broken archive"):
        read_document(data.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")), ".zip")


BOOK = {
    "META-INF/container.xml": (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    ),
    "OEBPS/book.opf": (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        '<dc:title>كتاب</dc:title></metadata><manifest><item id="b" href="text/two%20b.xhtml"/>'
        '<item id="a" href="one.xhtml"/><item id="n" href="nav.xhtml" properties="nav"/></manifest><spine>'
        '<itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>'
    ),
    "OEBPS/one.xhtml": "<html><body><h1>Second</h1><p>x</p></body></html>",
    "OEBPS/text/two b.xhtml": "<html><body><h1>First</h1><p>10<sup>6</sup> l</p></body></html>",
    "OEBPS/nav.xhtml": "<html><body><p>Contents</p></body></html>",
}


def test_a_book_is_read_in_the_order_of_its_chapters() -> None:
    assert read_document(packed(BOOK), ".epub") == [
        Part("# First\n\n10⁶ l", {"title": "كتاب", "page": 1}),
        Part("# Second\n\nx", {"title": "كتاب", "page": 2}),
    ]
    for broken in (b"no book", packed({"a": "b"}), packed({**BOOK, "OEBPS/book.opf": "<package"})):
        with pytest.raises(LoadError, match="The file is a broken EPUB"):
            read_document(broken, ".epub")


# OpenDocument

NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "style", "draw", "presentation")
)


def odf(styles: str, body: str) -> bytes:
    content = (
        f"<office:document-content {NAMES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document-content>"
    )
    return packed({"content.xml": content})


def cells(*texts: str, tag: str = "table-cell") -> str:
    inner = "".join(f"<table:{tag}><text:p>{text}</text:p></table:{tag}>" for text in texts)
    return f"<table:table-row>{inner}</table:table-row>"


def test_a_text_has_headings_numbers_notes_and_tables() -> None:
    styles = (
        '<style:style style:name="T1"><style:text-properties style:text-position="super 58%"/></style:style>'
        '<style:style style:name="T2"><style:text-properties text:display="none"/></style:style>'
        '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-suffix="." '
        'style:num-format="1"/><text:list-level-style-number text:level="2" style:num-suffix=")" '
        'style:num-format="a"/></text:list-style>'
    )
    note = (
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation>'
        "<text:note-body><text:p>"
        "With ninety days of notice.</text:p></text:note-body></text:note>"
    )
    item = "<text:list-item><text:p>{}</text:p>{}</text:list-item>"
    inner = f"<text:list>{item.format('Sum', '')}{item.format('Return', '')}</text:list>"
    body = (
        '<office:text><text:h text:outline-level="2">العقد</text:h><text:p>10<text:span '
        'text:style-name="T1">6'
        f'</text:span> euros<text:span text:style-name="T2"> secret</text:span>.{note}</text:p>'
        f'<text:list text:style-name="L1">{item.format("Rent", inner)}{item.format("Notice", "")}</text:list>'
        f"<table:table><table:table-header-rows>{cells('Left', 'Right')}</table:table-header-rows>"
        f"{cells('one', 'two')}</table:table></office:text>"
    )
    assert read(odf(styles, body), ".odt") == Part(
        "## العقد\n\n10⁶ euros.¹\n\n¹ With ninety days of notice.\n\n1. Rent\n  a) Sum\n  b) Return\n"
        "2. Notice\n\n"
        "Left: one | Right: two",
        {"title": "العقد"},
        ("Hidden text was left out.",),
    )


def test_sheets_are_read_as_they_are_shown() -> None:
    styles = '<style:style style:name="H"><style:table-properties table:display="false"/></style:style>'
    merged = (
        '<table:table-row><table:table-cell table:number-rows-spanned="2"><text:p>City</text:p>'
        '</table:table-cell><table:table-cell table:number-columns-spanned="2"><text:p>2022</text:p>'
        "</table:table-cell><table:covered-table-cell/></table:table-row><table:table-row>"
        "<table:covered-table-cell/><table:table-cell><text:p>Q1</text:p></table:table-cell><table:table-cell>"
        "<text:p>Q2</text:p></table:table-cell></table:table-row>"
    )
    empty = (
        '<table:table-row table:number-rows-repeated="1048000"><table:table-cell '
        'table:number-columns-repeated="16000"/></table:table-row>'
    )
    formula = (
        "<table:table-row><table:table-cell><text:p>Sofia</text:p></table:table-cell>"
        '<table:table-cell table:formula="of:=1+1"/></table:table-row>'
    )
    body = (
        '<office:spreadsheet><table:table table:name="Share">'
        f"{merged}{cells('القاهرة', '25 %', '00042')}{formula}"
        f'{empty}</table:table><table:table table:name="Pay" table:style-name="H">{cells("Boss", "9")}'
        "</table:table></office:spreadsheet>"
    )
    shown, hidden = read_document(odf(styles, body), ".ods")
    assert shown.text == "# Share\n\nCity: القاهرة | 2022 Q1: 25 % | 2022 Q2: 00042\n\nCity: Sofia"
    assert "'Share' has 1 formulas without values" in shown.warnings[0]
    assert hidden == Part("", {"page": 2}, ("The sheet 'Pay' is hidden and was left out.",))


def test_slides_are_parts() -> None:
    frame = "<draw:frame{}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    title = frame.format(' presentation:class="title"', "الأوقات")
    notes = f"<presentation:notes>{frame.format('', 'Say hello.')}</presentation:notes>"
    body = f"<draw:page>{frame.format('', 'At nine.')}{title}{notes}</draw:page><draw:page/>"
    shown, empty = read_document(odf("", f"<office:presentation>{body}</office:presentation>"), ".odp")
    assert shown == Part("# الأوقات\n\nAt nine.\n\nSay hello.", {"title": "الأوقات", "page": 1})
    assert empty.warnings == ("Slide 2 holds no text, and was not read.",)


@pytest.mark.parametrize("suffix", [".odt", ".ods", ".odp"])
def test_a_broken_or_locked_file_is_called_so(suffix: str) -> None:
    for data in (b"words", packed({"a": "b"}), packed({"content.xml": "<a"})):
        with pytest.raises(LoadError, match="is a broken OpenDocument file"):
            read_document(data, suffix)
    locked = {"content.xml": "x", "META-INF/manifest.xml": "<manifest:encryption-data/>"}
    with pytest.raises(LoadError, match="is encrypted"):
        read_document(packed(locked), suffix)


# Text with marks


def test_rich_text_keeps_positions_notes_and_tables() -> None:
    text = (
        r"{\rtf1\ansi\ansicpg1252{\info{\title The lake}}The lake holds 10{\super 6} litres of H{\sub 2}O."
        r"{\v  secret} Caf\'e9 \u1605?\par In 2025{\super\chftn}{\footnote {\super\chftn} Or later.}\par"
        r"\trowd\cellx1\cellx2 Article\cell Stock\cell\row\trowd Bolt\cell 400\cell\row\pard End}"
    )
    assert read(text, ".rtf") == Part(
        "The lake holds 10⁶ litres of H₂O. Café م\n\nIn 2025¹\n\n¹ Or later.\n\nArticle: Bolt | "
        "Stock: 400\n\nEnd",
        {"title": "The lake"},
        ("Hidden text was left out.",),
    )
    with pytest.raises(LoadError, match="no Rich Text"):
        read("words", ".rtf")


def test_restructured_text_opens_nothing_else() -> None:
    text = (
        "Guide\n=====\n\nOpen *daily*.\n\nHours\n-----\n\n.. include:: /etc/hostname\n\n.. raw:: "
        "html\n\n   <b>raw</b>\n\n"
        "=======  =====\nArticle  Stock\n=======  =====\nBolt     400\n=======  =====\n"
    )
    assert read(text, ".rst") == Part(
        "# Guide\n\nOpen daily.\n\n## Hours\n\nArticle: Bolt | Stock: 400", {"title": "Guide"}
    )


def test_xml_is_read_as_names_and_values() -> None:
    text = (
        "<?xml version='1.0' encoding='windows-1251'?><books><book id='7'><title>Книга</title>"
        "<price>5</price></book>"
    )
    text += "<book><title>B</title><p>some <b>bold</b> words</p></book></books>"
    assert (
        read(text.encode("cp1251"), ".xml").text
        == "id: 7\ntitle: Книга\nprice: 5\n\ntitle: B\nsome bold words"
    )


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
        "<a><b></a>",
        "<a>" * 5000 + "x" + "</a>" * 5000,
    ],
)
def test_xml_that_is_hostile_or_broken_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match="is broken XML, or declares entities"):
        read(text, ".xml")


# Records and code


def test_a_notebook_has_texts_code_and_what_it_printed() -> None:
    book = {
        "metadata": {"kernelspec": {"language": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# 时间\n", "Open."]},
            {"cell_type": "code", "source": "# print\nprint(1)", "outputs": [{"text": ["1\n"]}]},
        ],
    }
    assert read_document(json.dumps(book).encode(), ".ipynb") == [
        Part("# 时间\nOpen.", {"page": 1}),
        Part("```python\n# print\nprint(1)\n```\n\n```\n1\n```", {"page": 2}),
    ]
    with pytest.raises(LoadError, match="is a broken notebook"):
        read('{"a": 1}', ".ipynb")


def test_json_is_read_as_names_and_values() -> None:
    assert [
        part.text for part in read_document('[{"q": "متى؟", "n": 1}, {"q": "where?"}]'.encode(), ".json")
    ] == [
        "q: متى؟\nn: 1",
        "q: where?",
    ]
    assert read('{"name": "x", "deep": {"list": [1, 2]}}', ".json").text == "name: x\ndeep.list: 1, 2"
    for broken in ("{", '{"a": 1} x', "[" * 100_000):
        with pytest.raises(LoadError, match="is broken JSON"):
            read(broken, ".json")


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".sh", ".log", ".sql", ".toml", ".go"])
def test_comments_in_code_are_no_headings(suffix: str) -> None:
    part = read("# a comment\nx = 1\n", suffix)
    assert part.text == "```\n# a comment\nx = 1\n```"
    assert [chunk.section for chunk in split(part.text, count_words)] == [""]
    assert read("```\nx\n```", suffix).text == "````\n```\nx\n```\n````"


# What has no reader


@pytest.mark.parametrize("suffix", [".doc", ".xls", ".ppt"])
def test_old_formats_say_what_to_do(suffix: str) -> None:
    with pytest.raises(LoadError, match="or one from before 2007; expected a newer one without a password"):
        read(b"\xd0\xcf\x11\xe0" + bytes(600), suffix)
    with pytest.raises(LoadError, match=r"expected \.rtf\. Rename it"):
        read(r"{\rtf1 words}", suffix)


def test_an_own_reader_goes_before_the_others() -> None:
    def shout(data: bytes) -> list[Part]:
        return [Part(data.decode().upper(), {"page": 1})]

    readers = {".foo": shout, ".txt": shout}
    for suffix in (".foo", ".FOO", ".txt"):
        assert read_document(b"open", suffix, readers) == [Part("OPEN", {"page": 1})]
    [part] = read_document(packed({"a.foo": "open"}), ".zip", readers)
    assert part.text == "OPEN"
    with pytest.raises(LoadError, match=r"no reader for '\.bar' files; expected one of .*\.foo"):
        read_document(b"open", ".bar", readers)


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(LoadError, match="The file is empty; expected text"):
        read(" \n", ".txt")


@pytest.mark.parametrize(
    ("module", "suffix", "data"),
    [("striprtf", ".rtf", b"{\\rtf1 x}"), ("docutils", ".rst", b"x"), ("oxmsg", ".msg", b"x")],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, suffix: str, data: bytes
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LoadError, match=r"Type: pip install 'qwen-agentkit\[formats\]'"):
        read_document(data, suffix)


def test_an_encoding_and_own_readers_reach_the_files_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Приход открыт".encode("koi8-r"))
    (tmp_path / "b.foo").write_bytes(b"open")
    (tmp_path / "c.html").write_bytes(b"<p>" + "Расход открыт ".encode("koi8-r") * 700)  # in another process

    def shout(data: bytes) -> list[Part]:
        return [Part(data.decode().upper(), {})]

    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        report = ingest([tmp_path], store, encoding="koi8-r", readers={".FOO": shout})
        assert (report.added, report.failed, report.warnings, report.passed_over) == (3, [], [], [])
        texts = {chunk.page_content for chunk in store.scroll()}
        assert {"Приход открыт", "OPEN"} <= texts
        assert any(text.startswith("Расход открыт") for text in texts)
        assert ingest([tmp_path], store, encoding="koi8-r", readers={".foo": shout}).skipped == 3
