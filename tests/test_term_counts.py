"""Passages are counted in a fast way, and have the terms that the slow way gives them."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest

from qwen_agentkit.text.sparse import sparse_document
from qwen_agentkit.text.terms import count_terms, find_terms, term_index

TEXTS = {
    "en": "The state-of-the-art QX-200 costs 1,234,567.50 dollars; O'Neill's libraries open at 9, not 10.",
    "de": "Die Kündigungsfrist der Straßenbahn beträgt 10.000 Mueller-Müller-Tage, 20 m² und 10⁶ Jahre.",
    "fr": "Les journaux de l'école ouvrent à neuf heures, œuvres complètes aujourd’hui 12 345 fois.",
    "es": "¿Cuándo abren las bibliotecas públicas de la ciudad? Las luces y los árboles, ½ hora después.",
    "tr": "İSTANBUL'da kütüphaneler IĞDIR'dan önce açılır; öğrencilerin kitapları ışıklıdır.",
    "ru": "Библиотека открывается в девять часов, а читатели приходят ещё раньше: 10 000 человек.",
    "sr": "Библиотека у Београду отвара се у девет часова, а читаоци долазе раније.",
    "el": "Η βιβλιοθήκη ανοίγει στις εννέα, και οι αναγνώστες έρχονται νωρίτερα.",
    "ar": "مَكْتَبَةُ الجَامِعَة تفتح أبوابها الساعة ٩ صباحًا، وكتبها ١٢٬٣٤٥ كتابًا عن QX-200 والبحث العلمي ـــ.",
    "fa": "کتابخانه‌های دانشگاه ساعت ۹ باز می‌شوند و کتاب‌هایشان ۱۲۳۴۵ جلد است.",
    "he": "הַסִּפְרִיָּה נפתחת בתשע בבוקר, והספרים של הסטודנטים שם.",
    "hi": "पुस्तकालय सुबह ९ बजे खुलता है, और फ़ोन क़ीमत १२,३४,५६७ रुपये है।",
    "zh": "圖書館早上9點開門,QX-200的說明書在二樓。我们的图书馆有１２３４５本书,漢。",
    "ja": "図書館は午前9時に開館します。コンピューターの本が1,000冊あります。",
    "ko": "도서관은 오전 9시에 문을 엽니다. QX-200의 설명서가 있습니다.",
    "th": "ห้องสมุดเปิดเวลา ๙ โมงเช้า มีหนังสือ QX-200 จำนวนมาก",
    "vi": "Thư viện mở cửa lúc chín giờ, đa dạng và Đà Nẵng.",
    "pl": "Biblioteka we Wrocławiu otwiera się o dziewiątej; książki są na piętrze.",
    "id": "Perpustakaan mengirim buku; pemakaian pengiriman dilakukan pukul sembilan.",
    "bo": "དཔེ་མཛོད་ཁང་ཞོགས་པའི་ཆུ་ཚོད་དགུ་པར་འབྱེད།",
}
ODD = [
    "", "- _ ·", "漢", "a❶b ❶ ☀️x ✂", "😀 𠀀𠀁a𠀀", "x_y-z a--b -c- d-", "\u0301\u0302-\u0301 e\u0301-o",
    "ไทยtest-ไทย漢字-漢字 a-漢", "12-34-56 7.8.9 1,2,3", "1,234,567,89 1.234.567 1 234 567", "ﬁ ① 𝟘𝟙 ﷺ",
    "a\u1680b-c\u2028c-d\xa0e-f", "x" * 60 + "-" + "y" * 41, "मार्च-अप्रैल", "H₂O 10⁶ m²", "ʻokina’s `a´-b",
]  # fmt: skip
DIGEST = "1da64d793f0830470ce1997eac096a89314dd3188715f688ba71e168046e22f4"
"""Of the vectors that earlier versions stored for these texts."""
SIGNS = [
    *map(chr, [*range(32, 0x250), *range(0x300, 0x370), *range(0x600, 0x700), *range(0x900, 0x980)]),
    *map(chr, [*range(0xE01, 0xE5C), *range(0x2000, 0x2100), *range(0x2600, 0x2640), *range(0x3041, 0x3100)]),
    *" -–·_.,'12345 aeiou" * 40,
]


@pytest.mark.parametrize("language", TEXTS)
def test_fast_and_slow_counts_are_equal(language: str) -> None:
    draw = random.Random(language)
    mixed = ["".join(draw.choices(SIGNS, k=60)) for _ in range(50)]
    joined = " ".join(TEXTS.values())
    for text in [TEXTS[language], joined, *ODD, *mixed]:
        words = list(find_terms(text, language))
        expected = Counter(term_index(term) for word in words for term in word.stored)
        assert count_terms(text, language) == (expected, sum(bool(word.plain) for word in words)), text


def test_stored_vectors_stay_what_they_were() -> None:
    """Stores on disk hold these vectors: what changes them needs `doctor --store --repair`."""
    found = [sparse_document(text, language) for language, text in TEXTS.items()]
    found += [sparse_document(text, "en") for text in ODD]
    assert hashlib.sha256(repr(found).encode()).hexdigest() == DIGEST
