"""Dates of the Iranian and the Islamic calendar: compared with those of the common one too."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.other_calendars import find_other_dates
from qwen_agentkit.text.verification import verify_citations

# The language of the passage, the passage, an answer, and whether it says the same.
DATES = [
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد [1].", True),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "موزه در ۱۲ اردیبهشت ۱۴۰۳ باز شد [1].", False),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "موزه در ۱۳ فروردین ۱۴۰۳ باز شد [1].", False),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "موزه در ۱۲ فروردین ۱۴۰۲ باز شد [1].", False),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "The museum opened on 31 March 2024 [1].", True),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "The museum opened on 12 Farvardin 1403 [1].", True),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "The museum opened on 12 Khordad 1403 [1].", False),
    ("fa", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد.", "The museum opened on 2 May 2024 [1].", False),
    ("fa", "تاریخ: ۱۴۰۳/۰۱/۱۲", "موزه در ۱۲ فروردین ۱۴۰۳ باز شد [1].", True),
    ("fa", "تاریخ: ۱۴۰۳/۰۱/۱۲", "موزه در ۱۲ تیر ۱۴۰۳ باز شد [1].", False),
    ("en", "It opened on 31 March 2024.", "در ۱۲ فروردین ۱۴۰۳ باز شد [1].", True),
    ("en", "It opened on 31 March 2024.", "در ۱۲ مهر ۱۴۰۳ باز شد [1].", False),
    ("fa", "نمایشگاه در مهر ماه برگزار می‌شود.", "نمایشگاه در آبان ماه برگزار می‌شود [1].", False),
    ("fa", "در سال ۱۴۰۳ هجری شمسی", "It was in 2024 [1].", True),
    ("fa", "در سال ۱۴۴۶ هجری قمری", "It was in 2024 [1].", True),
    ("ar", "الافتتاح في 5 رمضان 1446.", "الافتتاح في 5 رمضان 1446 [1].", True),
    ("ar", "الافتتاح في 5 رمضان 1446.", "الافتتاح في 5 شوال 1446 [1].", False),
    ("ar", "الافتتاح في 5 رمضان 1446.", "الافتتاح في 8 رمضان 1446 [1].", False),
    ("ar", "الافتتاح في ٥ رمضان ١٤٤٦ هـ.", "It opens on 5 Ramadan 1446 [1].", True),
    ("ar", "الافتتاح في ٥ رمضان ١٤٤٦ هـ.", "It opens on 5 Shawwal 1446 [1].", False),
    ("ar", "الافتتاح في ٥ رمضان ١٤٤٦ هـ.", "It opens on 5 March 2025 [1].", True),
    ("ar", "الافتتاح في ٥ رمضان ١٤٤٦ هـ.", "It opens on 5 May 2025 [1].", False),
    ("ar", "تغلق المكتبة في شهر رمضان.", "تغلق المكتبة في شهر شعبان [1].", False),
    ("ar", "يبدأ في 1 محرم 1447.", "يبدأ في 1 صفر 1447 [1].", False),
    ("ar", "يبدأ في ذي الحجة 1445.", "يبدأ في ذي القعدة 1445 [1].", False),
    ("en", "It closes on 10 Muharram 1447.", "It closes on 10 Rajab 1447 [1].", False),
    ("en", "It closes on Ramadan 5, 1446.", "It closes on 5 Ramadan 1446 [1].", True),
    ("ur", "افتتاح 5 رمضان 1446 کو ہے۔", "افتتاح 5 شوال 1446 کو ہے [1]۔", False),
    ("tr", "Açılış 5 Ramazan 1446.", "Açılış 5 Şevval 1446 [1].", False),
    ("id", "Pembukaan 5 Ramadhan 1446.", "Pembukaan 5 Syawal 1446 [1].", False),
    ("en", "Founded in 1446 AH.", "Founded in 2024 [1].", True),
]  # fmt: skip


@pytest.mark.parametrize(("language", "passage", "answer", "same"), DATES)
def test_dates_are_compared_by_day(language: str, passage: str, answer: str, same: bool) -> None:
    page = Document(passage, metadata={"source": "page.md", "language": language})
    (sentence,) = verify_citations(answer, [page])["sentences"]
    assert (sentence["verdict"] == "supported") is same, sentence["missing"]


@pytest.mark.parametrize(
    ("text", "language", "day"),
    [
        ("۱۲ فروردین ۱۴۰۳", "fa", {"31"}),
        ("1 Farvardin 1404", "en", {"21"}),
        ("5 Ramadan 1446", "en", {"4", "5", "6"}),
    ],
)
def test_days_of_the_common_calendar(text: str, language: str, day: set[str]) -> None:
    (found,) = find_other_dates(normalize_text(text), language)
    assert found.common_days == day


@pytest.mark.parametrize("text", ["این هدیه از روی مهر است.", "دی شب آمد.", "31 رمضان 9999", "45 مهر 1403"])
def test_other_words_and_impossible_days(text: str) -> None:
    assert not [one for one in find_other_dates(normalize_text(text), "fa") if one.common_days]
