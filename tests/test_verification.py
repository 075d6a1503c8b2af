"""Sentences of answers held against their passages: a table of cases in many languages."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.verification import treat_unsupported, verify_citations

# One passage, one answer that cites it, and what the answer states beyond the passage.
CASES: list[tuple[str, str, str, list[str]]] = [
    # English: numbers, times, dates, quotes, names
    ("en", "The library opens at nine. Entry costs 12.50 euros.", "Entry costs 12.50 euros [1].", []),
    ("en", "Entry costs 12.50 euros.", "Entry costs 12.60 euros [1].", ["12.60"]),
    ("en", "The boat leaves at 7:30 pm.", "It leaves at 19:30 [1].", []),
    ("en", "The boat leaves at 7:30 pm.", "It leaves at 07:30 [1].", ["07:30"]),
    ("en", "It closes at five.", "It closes at six [1].", ["six"]),
    ("en", "It closes at five.", "It closes at 5 pm [1].", []),
    ("en", "It closes at 17:00.", "It closes at five [1].", []),
    ("en", "The hall has 1,230 seats.", "The hall has 1230 seats [1].", []),
    ("en", "The hall has 1,230 seats.", "The hall has 1,320 seats [1].", ["1,320"]),
    ("en", "It was founded on 3 October 1987.", "It was founded on 1987-10-03 [1].", []),
    ("en", "It was founded on 3 October 1987.", "It was founded in November 1987 [1].", ["november"]),
    ("en", "It was founded on 2019-05-04.", "It was founded on May 4, 2019 [1].", []),
    ("en", "You may paint the walls.", "You may paint them in October [1].", ["october"]),
    ("en", "About 1.2 million people live there.", "It has 1,200,000 inhabitants [1].", []),
    ("en", "About 1.2 million people live there.", "It has 1.2 billion inhabitants [1].", ["1.2 billion"]),
    ("en", 'The sign says "no dogs, please".', "The sign says “No dogs,  please” [1].", []),
    ("en", "The sign says no dogs.", "The sign says “no cats” [1].", ["no cats"]),
    ("en", "The kiln reaches its heat slowly and then cools.", "“The kiln … cools” [1].", []),
    ("en", 'It has 27" and 32" screens.', 'It has screens of 27" and even 32" [1].', []),
    ("en", "Born in 1950,[2] he died young [3].", "He was “born in 1950, he died young” [1].", []),
    ("en", "It is open till ninety.", "They call it “nine” [1].", ["nine", "nine"]),
    ("en", "The lab was built by Marie Curie.", "The lab was built by Marie Curie [1].", []),
    (
        "en",
        "The lab was built by Marie Curie.",
        "The lab was built by Lise Meitner [1].",
        ["Lise", "Meitner"],
    ),
    ("en", "Ask for the key of the QX-200.", "The key is that of the QX 200 or QX-200 [1].", []),
    ("en", "Ask for the key of the QX-200.", "Ask for the key of the QX-300 [1].", ["QX-300"]),
    ("en", "Write to us.", "Write to desk@example.org [1].", ["desk@example.org"]),
    ("en", "Rooms A and B may be booked.", "There are two rooms [1].", []),
    ("en", "The drum is 25 m² large.", "The drum is 25 m2 large [1].", []),
    # German, French, Spanish, Portuguese, Italian, Dutch
    ("de", "Die Halle hat 1.230 Plätze.", "Die Halle hat 1230 Plätze [1].", []),
    ("de", "Sie öffnet am 3. Oktober um 9.30 Uhr.", "Sie öffnet am 03.10. um 9:30 Uhr [1].", []),
    ("de", "Der Kurs dauert sieben Wochen.", "Der Kurs dauert acht Wochen [1].", ["acht"]),
    ("de", "Er sagte „nur mit Helm“.", "Er sagte: „Nur mit Helm“ [1].", []),
    (
        "fr",
        "Le musée ouvre à 19 h 30 et coûte 1 250 francs.",
        "Il ouvre à 19h30 et coûte 1250 francs [1].",
        [],
    ),
    (
        "fr",
        "Le panneau dit « défense de fumer ».",
        "On y lit «défense de courir» [1].",
        ["défense de courir"],
    ),
    ("es", "El barco sale el 4 de mayo de 2021.", "El barco sale el 5 de mayo de 2021 [1].", ["5"]),
    ("es", "La visita con Núñez es gratis.", "La visita con Nunez es gratis [1].", []),
    ("pt", "O forno chega a 1.230 graus em março.", "O forno chega a 1230 graus em abril [1].", ["abril"]),
    ("it", "La sala apre alle otto con Rossi.", "La sala apre alle nove con Rossi [1].", ["nove"]),
    ("nl", "De winkel sluit om 17.30 uur.", "De winkel sluit om 17:45 uur [1].", ["17:45"]),
    # Russian: cases of names and months
    ("ru", "Музей основан в Москве 3 октября 1987 года.", "Его открыла Москва в октябре 1987 года [1].", []),
    ("ru", "Музей основал Иванов.", "Музей был основан Петровым [1].", ["Петровым"]),
    ("ru", "Лодка отходит в семь часов.", "Лодка отходит в 8 часов [1].", ["8"]),
    ("ru", "Там написано «не входить».", "Там написано “Не входить” [1].", []),
    # Arabic: points, tatweel, its digits, words for hours, marks of direction
    ("ar", "يغادر القارب في السابعة والنصف.", "يغادر القارب في الساعة 7:30 [1].", []),
    ("ar", "يغادر القارب في السابعة والنصف.", "يغادر القارب في الثامنة والنصف [1].", ["الثامنة والنصف"]),
    ("ar", "سعر التذكرة ١٢٫٥ كرونة.", "سعر التذكرة 12.5 كرونة [١].", []),
    ("ar", "سعر التذكرة ١٢ كرونة.", "سعر التذكرة ١٣ كرونة [1].", ["13"]),
    ("ar", "كُتِبَ على الباب: الدُّخُولُ ممنوعٌ.", "كتب على الباب «الدخـــول ممنوع» [1].", []),
    ("ar", "يفتح في 3 أكتوبر.", "\u200fيفتح في ٣ أكتوبر\u200f [1]\u200f.", []),
    ("ar", "تغلق المكتبة في الساعة 7 مساءً.", "تغلق في الساعة 19:00 [1].", []),
    ("ar", "تغلق المكتبة في الساعة 7 صباحًا.", "تغلق في الساعة 19:00 [1].", ["19:00"]),
    ("zh", "图书馆下午5:30关门。", "图书馆17:30关门[1]。", []),
    ("he", "הספרייה נפתחת בשעה 9:00.", "\u200fהספרייה נפתחת בשעה 10:00 [1].", ["10:00"]),
    ("fa", "کتابخانه ساعت ۹ باز می‌شود.", "کتابخانه ساعت 9 باز می شود [1].", []),
    # Chinese and Japanese: numerals, spaces, full-width forms, titles
    ("zh", "窑炉最高温度为1230度。", "最高温度为 １２３０ 度【1】。", []),
    ("zh", "窑炉最高温度为1230度。", "最高温度为1320度【1】。", ["1320"]),
    ("zh", "每次使用收费十四克朗。", "每次收费14克朗[1]。", []),
    ("zh", "每次使用收费十四克朗。", "每次收费四十克朗[1]。", ["四十"]),
    ("zh", "培训在二〇二四年十月举行，18:30开始。", "培训在2024年10月举行，18点30分开始[1]。", []),
    ("zh", "城市有一百二十万人口。", "人口为120万[1]。", []),
    ("zh", "这里可以借《红楼梦》。", "这里可以借《水浒传》[1]。", ["水浒传"]),
    ("zh", "牌子上写着“请勿入内”。", "牌子上写着「请勿入内」[1]。", []),
    ("ja", "図書館は9時30分に開きます。", "図書館は午前9:30に開きます [1]。", []),
    ("ja", "看板には「立入禁止」とあります。", "看板には「駐車禁止」とあります[1]。", ["駐車禁止"]),
    ("ko", "도서관은 10월 3일에 문을 엽니다.", "도서관은 11월 3일에 문을 엽니다 [1].", ["11"]),
    # Thai and Hindi: their digits
    ("th", "ค่าเข้าชม ๑๔ บาท เดือนตุลาคม", "ค่าเข้าชม 14 บาท เดือนตุลาคม [1]", []),
    ("th", "ค่าเข้าชม ๑๔ บาท", "ค่าเข้าชม 41 บาท [1]", ["41"]),
    ("hi", "पुस्तकालय सुबह नौ बजे खुलता है।", "पुस्तकालय ९ बजे खुलता है [1]।", []),
    ("hi", "टिकट १४ रुपये का है।", "टिकट 15 रुपये का है [1]।", ["15"]),
]


def page(text: str, language: str = "", **metadata: str) -> Document:
    return Document(text, metadata={"source": "page.md", "language": language, **metadata})


@pytest.mark.parametrize(("language", "passage", "answer", "missing"), CASES)
def test_what_a_passage_does_not_state_is_found(
    language: str, passage: str, answer: str, missing: list[str]
) -> None:
    checked = verify_citations(answer, [page(passage, language)], language=language)
    assert [item["text"] for s in checked["sentences"] for item in s["missing"]] == missing
    (sentence,) = checked["sentences"]
    assert sentence["verdict"] == ("unsupported" if missing else "supported")
    assert checked["claims"] == 1
    assert json.loads(json.dumps(checked)) == checked


def test_the_table_is_wide() -> None:
    assert len(CASES) >= 40
    assert len({language for language, *_ in CASES}) >= 8
    assert any("\u200f" in answer for _, _, answer, _ in CASES)


ENGLISH = page("The library opens at nine. It closes at five on Fridays.", "en")
ARABIC = page("يغادر القارب مع Hans Müller في السابعة والنصف.", "ar")


@pytest.mark.parametrize(
    ("answer", "verdicts", "markers"),
    [
        ("It opens at nine [1]. It closes at five [1].", ["supported"] * 2, [[1], [1]]),
        ("It opens at nine. [1] It closes at five. [1]", ["supported"] * 2, [[1], [1]]),
        ("- It opens at nine [1]\n- It closes at five [1]", ["supported"] * 2, [[1], [1]]),
        ("[1] It opens at nine.\n[1] It closes at five.", ["supported"] * 2, [[1], [1]]),
        ("From the documents:\nIt opens at nine. [1]", ["no claim", "supported"], [[], [1]]),
        ("It opens at nine [1]. Do you need more?", ["supported", "no claim"], [[1], []]),
        ("It opens at nine. It closes at five [1].", ["uncited", "supported"], [[], [1]]),
        ("The sun is hot [7].", ["unsupported"], [[]]),
        ("## Hours\nIt opens at nine [1].", ["no claim", "supported"], [[], [1]]),
        ("## Hours\n[1] It opens at nine.", ["no claim", "supported"], [[], [1]]),
        ("## It opens at six [1]\n", ["unsupported"], [[1]]),
        (
            "| day | hour |\n|:--|---|\n| Friday | nine [1] |\n| Monday | noon |",
            ["no claim", "supported", "uncited"],
            [[], [1], []],
        ),
        ("The library opens at nine and the boat at 7:30 [1, 2].", ["supported"], [[1, 2]]),
        ("The library opens at nine and the boat at 7:30 [1].", ["unsupported"], [[1]]),
        ("它九点开门[1]。船七点半开[2]。", ["supported"] * 2, [[1], [2]]),
        ("", [], []),
        ("[1]", [], []),
    ],
)
def test_markers_belong_to_sentences(answer: str, verdicts: list[str], markers: list[list[int]]) -> None:
    checked = verify_citations(answer, [ENGLISH, ARABIC])
    assert [sentence["verdict"] for sentence in checked["sentences"]] == verdicts
    found = [[support["marker"] for support in sentence["support"]] for sentence in checked["sentences"]]
    assert found == markers
    for sentence in checked["sentences"]:
        assert answer[sentence["start"] :].startswith(sentence["text"][:2])


def test_numbers_in_a_language_without_table_may_be_words() -> None:
    claim = "Waxaa jira 3 qol [1]."
    assert verify_citations(claim, [page("Waxaa jira saddex qol.", "so")])["supported"] == 1
    assert verify_citations(claim, [page("Waxaa jira saddex qol, 7 miis.", "so")])["supported"] == 0


def test_a_marker_of_no_passage_is_named() -> None:
    checked = verify_citations("It opens at nine [1], or so [8] [0].", [ENGLISH])
    (sentence,) = checked["sentences"]
    assert sentence["unknown_markers"] == [8, 0]
    assert sentence["verdict"] == "supported"


def test_names_are_not_compared_across_languages() -> None:
    """Munich is München elsewhere: only its own language's passage can be said to lack a name."""
    assert not verify_citations("The boat of John leaves [1].", [ARABIC])["sentences"][0]["missing"]
    assert verify_citations("The door of John opens [1].", [ENGLISH])["sentences"][0]["missing"]


def test_a_title_is_part_of_the_passage() -> None:
    titled = page("It opens at nine.", "en", title="Zurich Library 2024")
    answer = "In 2024 the library in Zurich opens at nine [1]."
    assert verify_citations(answer, [titled])["supported"] == 1


def overlap(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Share of the claim's words that the passage has."""
    return [len(set(claim.split()) & set(text.split())) / max(1, len(claim.split())) for claim, text in pairs]


def test_scores_are_shown_for_every_source_and_decide_only_when_asked() -> None:
    calls: list[int] = []

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        calls.append(len(pairs))
        return overlap(pairs)

    answer = "The library opens in time [1] [2]. It closes at five [1]."
    checked = verify_citations(answer, [ENGLISH, ARABIC], score=score)
    assert calls == [3]
    scores = [[s["score"] for s in sentence["support"]] for sentence in checked["sentences"]]
    assert scores[0][0] > scores[0][1] == 0.0
    assert checked["supported"] == 2
    strict = verify_citations(answer, [ENGLISH, ARABIC], score=overlap, min_support=0.9)
    assert strict["supported"] == 0


def test_a_scorer_that_loses_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="0 scores for 1 pairs"):
        verify_citations("It opens at nine [1].", [ENGLISH], score=lambda pairs: [])


@pytest.mark.parametrize(
    ("answer", "flagged", "dropped"),
    [
        (
            "It opens at nine [1]. It closes at six [1]. It is big.",
            "It opens at nine [1]. It closes at six [1]. [?] It is big. [?]",
            "It opens at nine [1].",
        ),
        (
            "The hours are:\n- It opens at nine [1]\n- It closes at six [1]\n",
            "The hours are:\n- It opens at nine [1]\n- It closes at six [1] [?]\n",
            "The hours are:\n- It opens at nine [1]",
        ),
        ("九点开门[1]。六点关门[1]。", "九点开门[1]。六点关门[1]。 [?]", "九点开门[1]。"),
        ("It closes at six [1].", "It closes at six [1]. [?]", ""),
        ("It opens at nine [1].", "It opens at nine [1].", "It opens at nine [1]."),
    ],
)
def test_unsupported_sentences_are_flagged_or_dropped(answer: str, flagged: str, dropped: str) -> None:
    checked = verify_citations(answer, [ENGLISH])
    assert treat_unsupported(answer, checked, "flag") == flagged
    assert treat_unsupported(answer, checked, "drop") == dropped
    assert treat_unsupported(answer, checked, "keep") == answer
