"""Words that are the same to a reader share a term: spellings, forms, compounds, codes; in every script."""

from __future__ import annotations

import pytest

from qwen_agentkit.text.letters import fold_han
from qwen_agentkit.text.sparse import sparse_document, sparse_query

# The language, what is searched for, and what a document says.
PAIRS: list[tuple[str, str, str]] = [
    ("pl", "wroclaw", "Wrocław"),
    ("pl", "lodz", "Łódź"),
    ("da", "Kobenhavn", "København"),
    ("da", "Koebenhavn", "København"),
    ("da", "Aeroe", "Ærø"),
    ("da", "Aarhus", "Århus"),
    ("fr", "coeur", "cœur"),
    ("tr", "yıllık", "YILLIK"),
    ("tr", "ısı", "ISI"),
    ("tr", "İstanbul", "istanbul"),
    ("tr", "istanbul", "İSTANBUL'DA"),
    ("tr", "ışık", "IŞIK"),
    ("de", "Mueller", "Müller"),
    ("de", "strasse", "Straße"),
    ("is", "thorsmork", "Þórsmörk"),
    ("hr", "djokovic", "Đoković"),
    ("vi", "da nang", "Đà Nẵng"),
    ("mt", "hamrun", "Ħamrun"),
    ("az", "aliyev", "Əliyev"),
    ("az", "eliyev", "Əliyev"),
    ("hi", "फोन", "फ़ोन"),
    ("hi", "जरूरत", "ज़रूरत"),
    ("hi", "पढाई", "पढ़ाई"),
    ("pa", "ਖਬਰ", "ਖ਼ਬਰ"),
    ("bn", "বড", "বড়"),
    ("or", "ବଡ", "ବଡ଼"),
    ("zh", "图书馆", "圖書館"),
    ("zh-hant", "圖書館", "图书馆"),
    ("ja", "図書館", "圖書館"),
    ("zh", "图书馆", "図書館"),
    ("zh", "头发", "頭髮"),
    ("zh", "车", "汽車很快"),
    ("zh", "车", "汽车很快"),
    ("ko", "책", "책은 비싸다"),
    ("ko", "책이", "책은 비싸다"),
    ("ko", "물", "물은 차다"),
    ("ja", "車", "電車が来る"),
    ("ja", "木", "木造の家"),
    ("ar", "رسالتي", "الرسالة"),
    ("ar", "مدرستها", "مدرسة"),
    ("ar", "آمنوا", "ءَامِنُوا"),
    ("ar", "كتابهم", "الكتب كتاب"),
    ("ar", "المكتبة", "بمكتبة"),
    ("ar", "المدرسة", "ولمدرستهم"),
    ("ar", "مسؤول", "مسئول"),
    ("ar", "شؤون", "شئون"),
    ("ar", "سيارتكم", "السيارات"),
    ("fa", "کتاب", "کتاب‌هایم"),
    ("fa", "می‌خواهم", "خواهم"),
    ("fa", "دوست", "دوستانم"),
    ("fa", "خانه", "خانه‌ای"),
    ("fa", "كتاب", "کتاب‌ها"),
    ("fa", "رفتن", "می‌رفتند"),
    ("fa", "شهر", "شهرهای"),
    ("fa", "بزرگ", "بزرگترین"),
    ("id", "tulis", "menulis"),
    ("id", "sewa", "penyewaan"),
    ("id", "kirim", "pengiriman"),
    ("id", "bayar", "pembayaran"),
    ("id", "pakai", "pemakaian"),
    ("id", "buku", "bukunya"),
    ("id", "batal", "membatalkan"),
    ("id", "ajar", "pelajaran"),
    ("id", "ajar", "belajar"),
    ("id", "pukul", "memukul"),
    ("id", "ambil", "diambil"),
    ("id", "baik", "perbaikan"),
    ("id", "daftar", "didaftarkan"),
    ("id", "temu", "pertemuan"),
    ("id", "kerja", "pekerjaan"),
    ("id", "ubah", "perubahan"),
    ("id", "cari", "mencari"),
    ("de", "Kündigung", "Kündigungsfrist"),
    ("de", "Frist", "Kündigungsfrist"),
    ("de", "Kündigungsfrist", "Die Frist der Kündigung"),
    ("de", "Versicherung", "Krankenversicherungskarte"),
    ("nl", "verzekering", "zorgverzekeringspas"),
    ("nl", "huur", "huurcontract"),
    ("nl", "contract", "huurcontracten"),
    ("sv", "bibliotek", "stadsbiblioteket"),
    ("de", "Haus", "Hausboot"),
    ("de", "Tür", "Haustür"),
    ("nl", "fiets", "fietsenstalling"),
    ("en", "QX200", "QX-200"),
    ("en", "QX-200", "QX200"),
    ("en", "QX 200", "QX200"),
    ("en", "1234", "1,234"),
    ("en", "1,234", "1234"),
    ("de", "1234", "1.234"),
    ("fr", "1234", "1 234"),
    ("de", "1234567", "1.234.567,50"),
    ("hi", "1234567", "12,34,567"),
    ("ar", "1234", "١٬٢٣٤"),
    ("en", "email", "e-mail"),
    ("en", "wifi", "Wi-Fi"),
    ("en", "9783161484100", "978-3-16-148410-0"),
    ("en", "🎉", "party 🎉"),
    ("de", "1234", "1'234"),
    ("ca", "collegi", "col·legi"),
    ("uk", "ганок", "ґанок"),
    ("ru", "елка", "ёлка"),
    ("kk", "казакстан", "Қазақстан"),
]
# Words of one language that have nothing in common.
STRANGERS = [
    ("de", "Frist", "Hausordnung"),
    ("zh", "车", "图书馆"),
    ("ar", "بيت", "مدرسة"),
]


def shared(language: str, query: str, document: str) -> set[int]:
    return set(sparse_query(query, language)[0]) & set(sparse_document(document, language)[0])


@pytest.mark.parametrize(("language", "one", "other"), PAIRS)
def test_both_words_find_each_other(language: str, one: str, other: str) -> None:
    assert shared(language, one, other)
    assert shared(language, other, one)


@pytest.mark.parametrize(("language", "one", "other"), STRANGERS)
def test_other_words_do_not(language: str, one: str, other: str) -> None:
    assert not shared(language, one, other)


def test_a_word_itself_counts_more_than_its_other_spelling() -> None:
    weights = dict(zip(*sparse_query("wrocław", "pl"), strict=True))
    document = dict(zip(*sparse_document("Wrocław", "pl"), strict=True))
    spelled = dict(zip(*sparse_document("Wroclaw", "pl"), strict=True))
    exact = sum(weights.get(term, 0) * value for term, value in document.items())
    assert exact > 3 * sum(weights.get(term, 0) * value for term, value in spelled.items()) > 0


def test_han_variants_are_one_character() -> None:
    assert fold_han("圖書館") == fold_han("図書館") == fold_han("图书馆") == "图书馆"
    assert fold_han("library") == "library"
