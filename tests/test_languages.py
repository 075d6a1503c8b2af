"""Languages are told apart from three words up, offline, and the module stays light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwen_agentkit.text.languages import detect_language, has_phrase, is_rtl, language_name, phrase

SHORT = {
    "en": [
        "What is Milvus?", "When does it open?", "how to renew a loan",
        "Price?", "And Sunday?", "Kiln price?",
        "Bike repair", "Kayak rental price", "Hello",
    ],
    "de": ["Wann öffnet die Bibliothek?", "Was kostet eine Karte?", "Wie lange?", "Größe?", "Gro\u0308ße?"],
    "fr": ["Où est la bibliothèque ?", "Quel est le prix ?", "Et dimanche ?"],
    "es": ["¿Cuándo abre la biblioteca?", "¿Qué es Milvus?", "Hola"],
    "pt": ["Quando é que a biblioteca abre?", "Como posso renovar uma reserva?", "Quando abre a biblioteca?"],
    "it": ["Quando apre la biblioteca?", "Che cosa sono gli indici?"],
    "nl": ["Hoe lang?", "Wat kost het?"],
    "sw": ["Ni bure?"],
    "tr": ["Kütüphane ne zaman açılıyor?", "Ne kadar?"],
    "vi": ["Thư viện mở cửa khi nào?"],
    "id": ["Kapan perpustakaan ini dibuka?"],
    "ar": ["متى تفتح المكتبة؟", "ما هو ميلفوس؟", "كم ثمن البطاقة"],
    "fa": [
        "کتابخانه چه ساعتی باز می‌شود؟", "قیمت کارت چقدر است", "اين كتاب در كجا است", "موزه امروز باز است؟",
        "آدرس؟",
    ],
    "ur": ["لائبریری کب کھلتی ہے؟", "یہ کیا ہے", "آج موسم کیسا", "کب تک؟"],
    "he": ["מתי נפתחת הספרייה?"],
    "zh": ["图书馆几点开门？", "电池寿命多长", "如何安装 Milvus Standalone？"],
    "zh-hant": [
        "圖書館幾點開門？", "電池壽命多長", "醫生在哪裡", "有醫生嗎？", "在哪裡？", "週日呢？", "飲料呢？",
        "台北有什麼好吃", "閱覽室",
    ],
    "ja": ["図書館は何時に開きますか？", "東京の人口は?", "Milvusのインストール方法"],
    "ko": ["도서관은 언제 열어요?", "Milvus란 무엇인가요?"],
    "ru": [
        "Когда открывается библиотека?", "что это такое", "Сколько стоит билет?", "Сколько?",
        "Цена?", "Адрес?", "Привет",
    ],
    "uk": ["Коли відкривається бібліотека?", "що це таке", "Де метро?", "Хто такий Шевченко?"],
    "bg": ["Къде е музеят?", "Колко струва?"],
    "sr": ["Када се отвара библиотека?"],
    "mk": ["Каде е музејот?"],
    "be": ["Калі адчыняецца музей?"],
    "kk": ["Мұражай қашан ашылады?"],
    "mn": ["Музей хэзээ нээх вэ?"],
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
}  # fmt: skip


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


@pytest.mark.parametrize(
    ("language", "text", "foreign"),
    [
        (
            "ru",
            "Поезд в столицу отправляется вечером с главного вокзала города. ",
            "Билет до Київ стоит дорого.",
        ),
        ("ru", "Когда открывается музей и сколько стоит билет?", "Київ"),
        ("ar", "تأسست شركة البحث في عام 1998 على يد طالبين في الجامعة. ", "گوگل"),
        ("ar", "يغادر القارب في السابعة من رصيف المدينة القديمة كل يوم. ", "یہ کیا ہے"),
        ("fa", "کتابخانه هر روز ساعت نه باز می‌شود و ساعت پنج بسته است. ", "مكتبة الإسكندرية"),
        ("bg", "Музеят се отваря всяка сутрин в девет часа за посетители. ", "Это музей."),
    ],
)
def test_a_foreign_word_does_not_decide_for_a_whole_text(language: str, text: str, foreign: str) -> None:
    for often in (1, 10):
        assert detect_language(f"{text * often} {foreign}") == language


@pytest.mark.parametrize(
    ("text", "default", "language"),
    [
        ("Kiln", "de", "de"),
        ("Kiln", "ru", "en"),
        ("Цена?", "bg", "bg"),
        ("Цена?", "en", "ru"),
        ("Hola", "ca", "ca"),
        ("Hola", "de", "es"),
        ("And Sunday?", "de", "en"),
        ("人口", "zh-hant", "zh-hant"),
        ("人口", "en", "zh"),
        ("時間?", "ja", "ja"),
        ("时间?", "ja", "zh"),
        ("圖書館幾點開門？週日呢？", "ja", "zh-hant"),
    ],
)
def test_too_few_letters_are_in_the_language_of_the_conversation(
    text: str, default: str, language: str
) -> None:
    assert detect_language(text, default) == language


@pytest.mark.parametrize(
    ("text", "among", "language"),
    [
        ("invoice number", [], "en"),
        ("invoice number", ["ar"], "en"),
        ("invoice number", ["ro", "en"], "en"),
        ("case number", [], "en"),
        ("Who is María José Ortega?", ["es"], "en"),
        ("часы работы", [], "ru"),
        ("возврат товара", ["en"], "ru"),
        ("цена билета", ["bg"], "bg"),
        ("адреса", ["uk"], "uk"),
        ("Fundbüro", ["de"], "de"),
        ("adresse", ["fr"], "fr"),
        ("loyer", ["en", "fr"], "fr"),
        ("مدرسه", ["ar"], "ar"),
        ("مدرسه", ["fa", "ar"], "fa"),
        ("図書館", [], "ja"),
        ("営業時間", ["en"], "ja"),
        ("会議室", [], "ja"),
        ("国際電話", ["en"], "ja"),
        ("會議室", ["en"], "zh-hant"),
        ("駐車場", ["ja"], "ja"),
        ("駐車場", ["zh-hant", "ja"], "zh-hant"),
        ("电话号码", ["ja"], "zh"),
        ("How much is it?", ["de", "ja"], "en"),
        ("Was kostet das?", ["en"], "de"),
    ],
)
def test_languages_of_the_store_come_first(text: str, among: list[str], language: str) -> None:
    assert detect_language(text, among=among) == language


@pytest.mark.parametrize(
    "text",
    [
        "tum kahaan ja rahe ho",
        "mata tafta7 el maktaba",
        "toshokan wa nanji ni akimasu ka",
        "wo de shu zai nali",
        "skolko stoit bilet",
        "pote anoigei i vivliothiki",
        "salam chetori khubi",
    ],
)
def test_romanized_text_has_no_language_that_it_is_not(text: str) -> None:
    assert detect_language(text) == "en"
    assert detect_language(text, among=["fr"]) == "fr"


def test_every_language_that_is_told_has_a_name() -> None:
    for language in SHORT:
        assert language_name(language) != language
    assert has_phrase("bg", "abstain")
    assert has_phrase("en-GB", "abstain")
    assert not has_phrase("am", "abstain")
    assert not has_phrase("xx", "abstain")


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
        "import sys; from qwen_agentkit.text.languages import detect_language\n"
        "assert detect_language('متى تفتح المكتبة؟') == 'ar'\n"
        "assert detect_language('what is in the box') == 'en'\n"
        "assert not {'numpy', 'py3langid'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
