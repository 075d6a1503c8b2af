"""Numbers of a claim against those of a passage: in digits, in words, in signs, before and after noon."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.figures import collect_values, find_figures
from qwen_agentkit.text.names import find_names
from qwen_agentkit.text.numerals import find_eastern_numerals, find_number_words, knows_number_words
from qwen_agentkit.text.verification import verify_citations
from tests.clock import processor_seconds

# One passage, one answer that cites it, and whether the numbers of the answer are in the passage.
CASES: list[tuple[str, str, str, bool]] = [
    ("en", "It opens at 9 pm.", "It opens at 9 am [1].", False),
    ("en", "It opens at 21:00.", "It opens at 9 am [1].", False),
    ("en", "It opens at 9:00 pm.", "It opens at 9:00 am [1].", False),
    ("zh", "上午9点开门。", "下午9点开门[1]。", False),
    ("ar", "يفتح في الساعة 9 صباحا.", "يفتح في الساعة 9 مساء [1].", False),
    ("en", "It opens at 9 am.", "It opens at 9 [1].", True),
    ("en", "It opens at 9.", "It opens at 9 am [1].", True),
    ("en", "It opens at 9 am.", "It opens at nine [1].", True),
    ("en", "It opens at nine am.", "It opens at 9 pm [1].", False),
    ("en", "It opens at 9 pm.", "It opens at 21:00 [1].", True),
    ("en", "It opens at 9 pm.", "Opens at 9:00 p.m. [1].", True),
    ("de", "Es öffnet um 9 Uhr.", "It opens at 9 am [1].", True),
    ("zh", "下午九点关门。", "上午九点关门[1]。", False),
    ("zh", "下午九点关门。", "21:00关门[1]。", True),
    ("zh", "下午九点半关门。", "21:30关门[1]。", True),
    ("en", "Open 10:30-18:00.", "It opens at 10:30 [1].", True),
    ("en", "Open 10:00-18:00.", "It opens at 10 am and closes at 6 pm [1].", True),
    ("en", "It has twenty seats.", "It has 20 seats [1].", True),
    ("en", "It has 20 seats.", "It has twenty seats [1].", True),
    ("en", "It has 30 seats.", "It has twenty seats [1].", False),
    ("en", "fifty percent", "It is 50% [1].", True),
    ("en", "It takes an hour.", "It takes 1 hour [1].", True),
    ("en", "a hundred seats", "It has 100 seats [1].", True),
    ("fr", "cent places", "Il a 100 places [1].", True),
    ("en", "in the nineteenth century", "in the 19th century [1].", True),
    ("en", "in the 19th century", "in the nineteenth century [1].", True),
    ("ru", "Там двадцать мест.", "Там 20 мест [1].", True),
    ("ar", "خمسة عشر مقعدا", "هناك 15 مقعدا [1].", True),
    ("ar", "اثنا عشر مقعدا", "هناك 12 مقعدا [1].", True),
    ("ar", "عشرون مقعدا", "هناك 20 مقعدا [1].", True),
    ("tr", "Üç oda var.", "3 oda var [1].", True),
    ("vi", "Có ba phòng.", "Có 3 phòng [1].", True),
    ("id", "Ada tiga kamar.", "Ada 3 kamar [1].", True),
    ("fa", "سه اتاق دارد.", "3 اتاق دارد [1].", True),
    ("ur", "تین کمرے ہیں۔", "3 کمرے ہیں [1]۔", True),
    ("uk", "Там три кімнати.", "Там 3 кімнати [1].", True),
    ("he", "יש שלושה חדרים.", "יש 3 חדרים [1].", True),
    ("bn", "তিনটি ঘর আছে।", "3টি ঘর আছে [1]।", True),
    ("ta", "மூன்று அறைகள்", "3 அறைகள் [1].", True),
    ("th", "มีสามห้อง", "มี 3 ห้อง [1]", True),
    ("ko", "방이 세 개 있습니다.", "방이 3개 있습니다 [1].", True),
    ("sw", "Kuna vyumba vitatu.", "Kuna vyumba 3 [1].", True),
    ("de", "Es gibt 30 Plätze.", "Es gibt zwanzig Plätze [1].", False),
    ("de", "Es gibt 25 Plätze.", "Es gibt fünfundzwanzig Plätze [1].", True),
    ("en", "25 seats", "twenty-five seats [1].", True),
    ("en", "It was in 1984.", "It was in nineteen eighty-four [1].", True),
    ("fr", "97 places", "quatre-vingt-dix-sept places [1].", True),
    ("es", "45 plazas", "cuarenta y cinco plazas [1].", True),
    ("sv", "Det finns tre rum.", "Det finns 3 rum [1].", True),
    ("sv", "Det finns tre rum och 7 dörrar.", "Det finns 3 rum [1].", True),
    ("so", "Waxaa jira saddex qol iyo 7 albaab.", "Waxaa jira 3 qol [1].", False),
    ("ja", "人口は1億2000万人です。", "It has 120 million people [1].", True),
    ("en", "It has 120 million people.", "人口は1億2000万人です[1]。", True),
    ("ja", "一億二千万人", "人口は1億2000万人です[1]。", True),
    ("ko", "인구는 1억 2000만 명이다.", "It has 120 million people [1].", True),
    ("ja", "1万2千本の木", "There are 12,000 trees [1].", True),
    ("zh", "一共150人。", "一共一百五人[1]。", True),
    ("zh", "一万亿元", "1万亿元[1]。", True),
    ("zh", "图书馆八点开门。", "图书馆九点开门 [1]", False),
    ("zh", "5月3日举办", "举办于六月[1]。", False),
    ("zh", "举办于六月。", "举办于五月[1]。", False),
    ("zh", "6月举办", "举办于六月[1]。", True),
    ("ja", "費用は1億2000万円です。", "費用は1億円です[1]。", False),
    ("ko", "인구는 5만 명이다.", "인구는 50,000명이다 [1].", True),
    ("zh", "周一九点开门。", "星期一9点开门[1]。", True),
    ("en", "It takes 1½ hours.", "It takes 1.5 hours [1].", True),
    ("en", "It takes half: ½ cup.", "It takes ½ cup [1].", True),
    ("en", '27" or 32" screens.', 'Screens of 27" and even 32" [1].', True),
    ("en", "It is 5 degrees.", "It is -5 degrees [1].", False),
    ("en", "It is -5 degrees.", "It is 5 degrees [1].", False),
    ("en", "It is -5 degrees.", "It is −5 degrees [1].", True),
    ("en", "It is minus 5 degrees.", "It is -5 degrees [1].", True),
    ("en", "5 degrees below zero.", "It is -5 degrees [1].", True),
    ("zh", "零下5度", "-5度[1]。", True),
    ("en", "There are 5 rooms", "There are five rooms, and two more thousand [1].", False),
    ("en", "It costs 5 thousand.", "It costs five thousand [1].", True),
    ("en", "It costs 2,000,000.", "It costs two million [1].", True),
    ("en", "5 to 10 people", "5–10 people [1].", True),
    ("id", "Ada 25 kursi", "Ada dua puluh lima kursi [1].", True),
    ("ar", "25 مقعدا", "خمسة وعشرون مقعدا [1].", True),
    ("en", "Open 9-11 am", "Open from 9 am to 11 am [1].", True),
]


@pytest.mark.parametrize(("language", "passage", "answer", "supported"), CASES)
def test_numbers_are_compared_by_value(language: str, passage: str, answer: str, supported: bool) -> None:
    page = Document(passage, metadata={"source": "page.md", "language": language})
    (sentence,) = verify_citations(answer, [page], language=language)["sentences"]
    assert (sentence["verdict"] == "supported") is supported, sentence["missing"]


@pytest.mark.parametrize(
    ("language", "text", "values"),
    [
        ("en", "two hundred and fifty", [{"250"}]),
        ("en", "two, three", [{"2"}, {"3"}]),
        ("en", "twenty twenty-four", [{"2024"}]),
        ("en", "one hundred twenty-three thousand four hundred five", [{"123405"}]),
        ("de", "zweihundert siebenundneunzig", [{"297"}]),
        ("fr", "soixante et onze, quatre-vingt-dix-neuf", [{"71"}, {"99"}]),
        ("es", "mil novecientos ochenta y cuatro", [{"1984"}]),
        ("ru", "тысяча девятьсот восемьдесят четыре", [{"1984"}]),
        ("ar", "مئة وخمسة وعشرون", [{"125"}]),
        ("ar", "السابعة وعشر دقائق", [{"7"}, {"10"}]),
    ],
)
def test_words_are_put_together(language: str, text: str, values: list[set[str]]) -> None:
    found = [set(one.values) for one in find_number_words(text, language)]
    assert found == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("二〇二四", {"2024"}),
        ("一百五", {"105", "150"}),
        ("一百零五", {"105"}),
        ("三万五千", {"35000"}),
        ("一万亿", {"1000000000000"}),
        ("1万2千", {"12000"}),
        ("1億2千万", {"120000000"}),
        ("1.2億", {"120000000"}),
        ("1,200万", {"12000000"}),
        ("1억 2000만", {"120000000"}),
        ("5만", {"50000"}),
    ],
)
def test_signs_add_up(text: str, values: set[str]) -> None:
    (numeral,) = find_eastern_numerals(text)
    assert set(numeral.values) == values
    assert numeral.sure


@pytest.mark.parametrize("text", ["有一点贵", "几十个人", "千万不要", "一般", "十分好"])
def test_signs_in_words_are_no_claims(text: str) -> None:
    assert find_figures(text, "zh") == []


@pytest.mark.parametrize("text", ["One may take a second look", "a hundred and more"])
def test_words_with_other_meanings_are_evidence_only(text: str) -> None:
    assert find_figures(text, "en") == []
    assert {"1"} & collect_values(text, "en") or {"100"} & collect_values(text, "en")


def test_languages_that_are_read() -> None:
    assert all(map(knows_number_words, ["en", "zh-hant", "ja", "ko", "sw", "pt-BR"]))
    assert not knows_number_words("sv")


@pytest.mark.parametrize(
    "text",
    ["《" * 50_000, "A Name " * 20_000, "1万" * 30_000, "two " * 30_000, "10:00-" * 20_000, "9" * 100_000],
    ids=lambda text: text[:6],
)
def test_no_text_takes_for_ever(text: str) -> None:
    with processor_seconds(8):
        find_names(text, "en")
        find_figures(text, "en")
        collect_values(text, "zh")
