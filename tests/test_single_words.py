"""The language of a word or two: letters that English does not write say that it is another language."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.citations import nearest_sentence
from qwen_agentkit.text.languages import detect_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Kündigungsfrist"),
        ("de", "Müllabfuhr"),
        ("de", "Größe"),
        ("sv", "öppettider"),
        ("sv", "våningen"),
        ("da", "åbningstider"),
        ("no", "åpningstider"),
        ("tr", "çalışma saatleri"),
        ("tr", "kütüphane"),
        ("pl", "współpraca"),
        ("cs", "příchod"),
        ("cs", "otevírací doba"),
        ("ro", "preț"),
        ("et", "mõõdud"),
        ("pt", "horário"),
        ("en", "café menu"),
        ("en", "résumé"),
        ("en", "naïve"),
        ("en", "Bike repair"),
    ],
)
def test_letters_tell_the_language_of_a_word(language: str, text: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize("text", ["Zürich", "Malmö", "Kraków"])
def test_a_name_does_not_change_the_language_of_a_conversation(text: str) -> None:
    assert detect_language(text, among=["en"]) == "en"


def test_the_words_of_a_quote_are_stemmed_as_those_of_its_passage() -> None:
    passage = "Godziny otwarcia są na drzwiach. Biblioteki mają bilety dla dzieci. Okna są zamknięte."
    found = nearest_sentence("bilet biblioteki", Document(passage))
    assert found == "Biblioteki mają bilety dla dzieci."
