"""Forms and spellings of one word that share a term; and sentences that end where a reader ends them."""

from __future__ import annotations

import pytest

from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.sparse import sparse_document, sparse_query

# A language, and two forms or spellings of a word.
PAIRS: list[tuple[str, str, str]] = [
    ("hi", "हिन्दी", "हिंदी"),
    ("hi", "गाँव", "गांव"),
    ("hi", "सम्बन्ध", "संबंध"),
    ("mr", "अङ्क", "अंक"),
    ("ne", "पञ्च", "पंच"),
    ("bn", "বইগুলো", "বই"),
    ("bn", "ছাত্রদের", "ছাত্র"),
    ("bn", "বাড়িতে", "বাড়ি"),
    ("en", "colour", "color"),
    ("en", "neighbourhood", "neighborhood"),
    ("en", "theatre", "theater"),
    ("en", "catalogue", "catalog"),
    ("en", "organisations", "organization"),
    ("en", "analysed", "analyze"),
    ("fr", "travaux", "travail"),
    ("fi", "vuokrasopimus", "sopimus"),
    ("et", "üürileping", "leping"),
    ("hu", "munkaszerződés", "szerződés"),
    ("ar", "فسيكتبون", "يكتبون"),
]


@pytest.mark.parametrize(("language", "one", "other"), PAIRS)
def test_they_meet_in_both_directions(language: str, one: str, other: str) -> None:
    for question, passage in ((one, other), (other, one)):
        asked, stored = sparse_query(question, language)[0], sparse_document(passage, language)[0]
        assert set(asked) & set(stored), (question, passage)


@pytest.mark.parametrize("word", ["हम", "धन्य", "अन्न"])
def test_other_nasals_stay(word: str) -> None:
    assert set(sparse_query(word, "hi")[0]).isdisjoint(sparse_document("हंस धंय अंन", "hi")[0])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is 5 p.m. The shop closes.", ["It is 5 p.m.", "The shop closes."]),
        ("Come at 5 p.m. Monday or later.", ["Come at 5 p.m. Monday or later."]),
        ("Brot, Käse usw. Das ist alles.", ["Brot, Käse usw.", "Das ist alles."]),
        ("The U.S. Army came.", ["The U.S. Army came."]),
        ("ཡིན། རེད།", ["ཡིན།", "རེད།"]),
        ("இது திரு. குமார் வீடு. அது பள்ளி.", ["இது திரு. குமார் வீடு.", "அது பள்ளி."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in split_sentences(text)] == sentences


@pytest.mark.parametrize(
    ("question", "stored", "language"),
    [
        ("rent due date", ["en", "fr"], "en"),
        ("оплата", ["ru", "mk"], "ru"),
        ("pool", ["en"], "en"),
        ("pizza", ["en"], "en"),
        ("aukioloajat", ["fi", "en"], "fi"),
        ("godziny otwarcia", ["pl", "de"], "pl"),
    ],
)
def test_a_short_question_is_in_a_language_of_the_store(
    question: str, stored: list[str], language: str
) -> None:
    assert detect_language(question, among=stored) == language
