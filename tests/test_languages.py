"""Languages are told apart from three words up, offline, and the module stays light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwen_agentkit.languages import detect_language, is_rtl, language_name, phrase

SHORT = {
    "en": ["What is Milvus?", "When does it open?", "how to renew a loan"],
    "de": ["Wann öffnet die Bibliothek?", "Was kostet eine Karte?"],
    "fr": ["Où est la bibliothèque ?", "Quel est le prix ?"],
    "es": ["¿Cuándo abre la biblioteca?", "¿Qué es Milvus?"],
    "pt": ["Quando é que a biblioteca abre?", "Como posso renovar uma reserva?"],
    "it": ["Quando apre la biblioteca?", "Che cosa sono gli indici?"],
    "tr": ["Kütüphane ne zaman açılıyor?"],
    "vi": ["Thư viện mở cửa khi nào?"],
    "id": ["Kapan perpustakaan ini dibuka?"],
    "ar": ["متى تفتح المكتبة؟", "ما هو ميلفوس؟", "كم ثمن البطاقة"],
    "fa": ["کتابخانه چه ساعتی باز می‌شود؟", "قیمت کارت چقدر است", "اين كتاب در كجا است"],
    "ur": ["لائبریری کب کھلتی ہے؟", "یہ کیا ہے"],
    "he": ["מתי נפתחת הספרייה?"],
    "zh": ["图书馆几点开门？", "电池寿命多长", "如何安装 Milvus Standalone？"],
    "zh-hant": ["圖書館幾點開門？", "電池壽命多長"],
    "ja": ["図書館は何時に開きますか？", "東京の人口は?", "Milvusのインストール方法"],
    "ko": ["도서관은 언제 열어요?", "Milvus란 무엇인가요?"],
    "ru": ["Когда открывается библиотека?", "что это такое", "Сколько стоит билет?"],
    "uk": ["Коли відкривається бібліотека?", "що це таке"],
    "el": ["Πότε ανοίγει η βιβλιοθήκη;"],
    "hi": ["पुस्तकालय कब खुलता है?"],
    "mr": ["ग्रंथालय कधी उघडते आणि काय आहे?"],
    "bn": ["গ্রন্থাগার কখন খোলে?"],
    "th": ["ห้องสมุดเปิดกี่โมง"],
    "lo": ["ຫໍສະໝຸດເປີດຈັກໂມງ"],
    "km": ["តើបណ្ណាល័យបើកម៉ោងប៉ុន្មាន"],
    "my": ["စာကြည့်တိုက် ဘယ်အချိန်ဖွင့်သလဲ"],
    "ka": ["როდის იხსნება ბიბლიოთეკა?"],
    "am": ["ቤተ መጻሕፍቱ መቼ ይከፈታል?"],
}


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in SHORT.items() for text in texts]
)
def test_short_questions(language: str, text: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ar", "كيف أتعامل مع الخطأ pymilvus.exceptions.ConnectionConfigException: <code=1>"),
        ("zh", "如何处理 pymilvus.exceptions.ConnectionConfigException: <illegal uri>？"),
        ("ko", "Milvus Docker Hub 이미지를 가져오지 못했습니다 README.md"),
        ("en", "What does the word 电池 mean?"),
        (
            "zh",
            "日本动画《となりのトトロ》在中国的图书馆里可以借到，请向前台的工作人员咨询借阅的办法和时间。",
        ),
    ],
)
def test_mixed_text_is_in_the_language_of_its_sentence(language: str, text: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize("text", ["", "  \n", "1234 !? 56", "👍"])
def test_without_letters_the_default_is_said(text: str) -> None:
    assert detect_language(text, default="ar") == "ar"


def test_phrases_fall_back_to_the_parent_and_to_english() -> None:
    assert phrase("ar", "abstain") != phrase("en", "abstain")
    assert phrase("xx", "abstain") == phrase("en", "abstain")
    assert phrase("en-GB", "sources") == phrase("en", "sources")
    with pytest.raises(KeyError):
        phrase("en", "no such phrase")


def test_names_and_directions() -> None:
    assert language_name("ar") == "Arabic"
    assert language_name("zh-hant") != language_name("zh")
    assert language_name("xx") == "xx"
    assert [code for code in ("ar", "fa", "he", "ur", "en", "zh", "th") if is_rtl(code)] == [
        "ar",
        "fa",
        "he",
        "ur",
    ]


def test_the_import_and_most_scripts_need_no_numpy() -> None:
    program = (
        "import sys; from qwen_agentkit.languages import detect_language\n"
        "assert detect_language('متى تفتح المكتبة؟') == 'ar'\n"
        "assert detect_language('what is in the box') == 'en'\n"
        "assert not {'numpy', 'py3langid'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
