"""Bytes into text: marked, declared or detected; what was assumed is said, and one byte refuses nothing."""

from __future__ import annotations

import io
import zipfile

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document
from qwen_agentkit.ingest.encodings import codec_of, decode_text

HOURS = {
    "ar": "تفتح مكتبة المدينة أبوابها في التاسعة صباحا، وتغلق في السادسة مساء. الدخول مجاني للجميع.",
    "de": "Die Stadtbücherei öffnet täglich um neun Uhr und schließt um sechs. Für alle ist der "
    "Eintritt frei.",
    "ru": "Городская библиотека открывается в девять часов утра и закрывается в шесть. Вход свободный.",
    "zh": "市图书馆每天上午九点开门，下午六点关门。所有人都可以免费入场。",
    "zh-hant": "市立圖書館每天上午九點開門，下午六點關門。所有人都可以免費入場。",
    "ja": "市立図書館は毎日午前九時に開館し、午後六時に閉館します。入場は無料です。",
    "ko": "시립 도서관은 매일 오전 아홉 시에 열고 오후 여섯 시에 닫습니다. 입장은 무료입니다.",
    "he": "הספרייה העירונית נפתחת בכל יום בתשע בבוקר ונסגרת בשש בערב. הכניסה חופשית לכולם.",
    "th": "ห้องสมุดประชาชนเปิดทุกวันเวลาเก้าโมงเช้าและปิดเวลาหกโมงเย็น เข้าชมฟรี",
    "tr": "Şehir kütüphanesi her gün sabah dokuzda açılır ve akşam altıda kapanır. Giriş ücretsizdir.",
    "pl": "Biblioteka miejska otwiera się codziennie o dziewiątej i zamyka o szóstej. Wstęp jest wolny.",
}
LEGACY = [
    ("ar", "cp1256"),
    ("de", "cp1252"),
    ("ru", "cp1251"),
    ("ru", "koi8-r"),
    ("zh", "gbk"),
    ("zh", "gb18030"),
    ("zh-hant", "big5"),
    ("ja", "shift_jis"),
    ("ja", "euc_jp"),
    ("ko", "euc_kr"),
    ("he", "iso8859-8"),
    ("he", "cp1255"),
    ("th", "tis-620"),
    ("tr", "cp1254"),
    ("pl", "cp1250"),
]
SHORT = [
    ("تفتح المكتبة", "cp1256"),
    ("图书馆九点开门", "gbk"),
    ("図書館は九時", "shift_jis"),
    ("도서관", "euc_kr"),
    ("圖書館開門", "big5"),
    ("Приход", "cp1251"),
    ("ห้องสมุด", "tis-620"),
    ("Öffnungszeiten: täglich", "cp1252"),
    ("it’s fine", "cp1252"),
]


def read(data: bytes, suffix: str = ".txt") -> Part:
    [part] = read_document(data, suffix)
    return part


@pytest.mark.parametrize(("language", "encoding"), LEGACY)
@pytest.mark.parametrize("copies", [1, 12])
def test_a_text_that_is_not_utf_8_is_read_and_that_is_said(language: str, encoding: str, copies: int) -> None:
    text = "\n".join([HOURS[language]] * copies)
    part = read(text.encode(encoding))
    assert part.text == text
    [warning] = part.warnings
    assert warning.startswith("The file does not say its encoding; read as ")


@pytest.mark.parametrize(("text", "encoding"), SHORT)
def test_a_few_words_are_enough(text: str, encoding: str) -> None:
    assert read(text.encode(encoding)).text == text


def test_what_is_assumed_has_the_name_that_people_know() -> None:
    assert "read as windows-1256." in read(HOURS["ar"].encode("cp1256")).warnings[0]
    assert "read as Shift-JIS." in read(HOURS["ja"].encode("cp932")).warnings[0]


def test_doubt_names_the_other_encoding() -> None:
    part = read("Ağaç ışık".encode("cp1254"))
    assert part.text == "Ağaç ışık"
    assert "though it may be windows-" in part.warnings[0]


@pytest.mark.parametrize("language", ["ar", "de", "zh", "ja"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_needs_no_mark(language: str, encoding: str) -> None:
    text = f"{HOURS[language]}\n{HOURS[language]}"
    assert read(text.encode(encoding)).text == text
    assert encoding.upper() in read(text.encode(encoding)).warnings[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_is_no_assumption(encoding: str) -> None:
    assert read(HOURS["zh"].encode(encoding)) == Part(HOURS["zh"], {})
    assert read("図書館は九時".encode("iso2022_jp")) == Part("図書館は九時", {})


def test_one_stray_byte_costs_that_byte() -> None:
    lines = "The library opens at nine.\n" * 800
    part = read(lines.encode() + b"It\x92s free.")
    assert part.text == f"{lines}It’s free."
    part = read(f"{HOURS['ar']}\n{HOURS['ru']} caf".encode() + b"\xe9\n\xff")
    assert part.text == f"{HOURS['ar']}\n{HOURS['ru']} café\n\ufffd"
    assert part.warnings == (
        "2 bytes are not UTF-8, the first in line 2; read as windows-1252 or as \ufffd.",
    )


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", bytes(range(256)) * 4, b"\x01\x02\xfe\xff\x90" * 50]
)
def test_what_is_no_text_is_called_binary(data: bytes) -> None:
    with pytest.raises(LoadError, match="The file is binary; expected text"):
        read_document(data, ".txt")


def test_a_given_encoding_is_used_in_every_text_format() -> None:
    table = "اسم,سعر\nشاي,2\n".encode("cp1256")
    [part] = read_document(table, ".csv", encoding="windows-1256")
    assert part == Part("اسم: شاي | سعر: 2", {})
    page = '<meta charset="utf-8"><p>Приход</p>'.encode("koi8-r")
    assert read_document(page, ".html", encoding="koi8-r") == [Part("Приход", {})]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "Приход".encode("koi8-r"))
    [part] = read_document(archive.getvalue(), ".zip", encoding="koi8-r")
    assert part.text == "Приход"


@pytest.mark.parametrize(
    ("encoding", "reason"), [("klingon", "is not known"), ("utf-8", "is not in the encoding")]
)
def test_a_given_encoding_that_cannot_be_is_refused(encoding: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        read_document(b"caf\xe9 \xff", ".txt", encoding=encoding)


LABELS = {
    **{"x-sjis": "cp932", "x-gbk": "gb18030", "windows-874": "cp874", "iso-8859-8-i": "iso8859-8"},
    **{
        "iso-8859-6-i": "iso8859-6",
        "latin1": "cp1252",
        "ks_c_5601-1987": "cp949",
        "unicode-1-1-utf-8": "utf-8",
    },
    **{"utf-16": "", "hex": "", "undefined": "", "x-unknown": "", "idna": "", "utf-7": "", "replacement": ""},
}


@pytest.mark.parametrize("label", LABELS)
def test_browsers_names_are_known(label: str) -> None:
    assert codec_of(label) == LABELS[label]


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("x-sjis", "cp932", "図書館①"),
        ("windows-874", "cp874", "ห้องสมุดเปิด"),
        ("iso-8859-8-i", "iso8859-8", "הספרייה פתוחה"),
        ("iso-8859-6-i", "iso8859-6", "تفتح المكتبة"),
    ],
)
def test_a_page_may_declare_any_of_them_and_late(label: str, encoding: str, text: str) -> None:
    page = f'<!doctype html><!--{"x" * 6000}--><meta charset="{label}"><p>{text}</p>'
    assert read(page.encode(encoding), ".html") == Part(text, {})


def test_a_wrong_declaration_is_not_believed() -> None:
    for declared, encoding, language in (
        ("utf-8", "cp1252", "de"),
        ("iso-8859-1", "cp1256", "ar"),
        ("iso-8859-1", "cp1251", "ru"),
        ("", "cp1252", "de"),
    ):
        meta = f'<meta charset="{declared}">' if declared else ""
        part = read(f"{meta}<p>{HOURS[language]}</p>".encode(encoding), ".html")
        assert part.text == HOURS[language]
        assert len(part.warnings) == 1


def test_python_sources_declare_theirs() -> None:
    code = "# -*- coding: koi8-r -*-\nname = 'Приход'\n"
    assert decode_text(code.encode("koi8-r"), "koi8-r").text == code
    assert read(code.encode("koi8-r"), ".py") == Part(f"```\n{code}```", {})
