"""What a question asks for, and the sentence that is quoted for it: one with a time where a time is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from qwen_agentkit.graphs.shared.answers import extract_answer
from qwen_agentkit.text.question_kinds import asked_kind, fitness, states_kind


class Likes(BaseDocumentCompressor):
    """Scores sentences by their place: the first one best, as a reranker that matches words may do."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Any:
        return [
            Document(one.page_content, metadata={**one.metadata, "relevance_score": 0.9 - 0.1 * place})
            for place, one in enumerate(documents)
        ]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When does the library open?", "hour"),
        ("What are the opening hours?", "hour"),
        ("When was the tower built?", "date"),
        ("How much does a ticket cost?", "price"),
        ("What is the fee for a copy?", "price"),
        ("How long may I keep a book?", "duration"),
        ("How many seats are there?", "number"),
        ("Who runs the archive?", None),
        ("متى تفتح المكتبة؟", "hour"),
        ("متى بني البرج؟", "date"),
        ("كم سعر التذكرة؟", "price"),
        ("كم يومًا يمكن الاحتفاظ بالكتاب؟", "duration"),
        ("كم مقعدًا في القاعة؟", "number"),
        ("图书馆几点开门？", "hour"),
        ("图书馆什么时候开放？", "hour"),
        ("塔是什么时候建的？", "date"),
        ("门票多少钱？", "price"),
        ("书可以借多久？", "duration"),
        ("有多少个座位？", "number"),
        ("Wann öffnet die Bibliothek?", "hour"),
        ("Сколько стоит билет?", "price"),
    ],
)
def test_questions_ask_for_a_kind_of_thing(question: str, kind: str | None) -> None:
    assert asked_kind(question) == kind


@pytest.mark.parametrize(
    ("kind", "language", "right", "wrong"),
    [
        ("hour", "en", "It opens at 9:30.", "It is closed on Sunday."),
        ("hour", "ar", "تفتح في الساعة 9:30.", "مغلقة يوم الأحد."),
        ("hour", "zh", "上午九点半开门。", "周日关门。"),
        ("date", "en", "It was built in 1887.", "It was built by a king."),
        ("date", "ar", "بني عام 1887.", "بناه ملك."),
        ("date", "zh", "建于1887年。", "由国王建造。"),
        ("price", "en", "It costs 5 euros.", "It has 5 rooms."),
        ("price", "en", "Entry is free.", "Entry is through the gate."),
        ("price", "ar", "سعرها 5 دينار.", "فيها 5 غرف."),
        ("price", "zh", "票价5元。", "有5个房间。"),
        ("duration", "en", "You may keep it for 21 days.", "It costs 21 euros."),
        ("duration", "zh", "最长不能超过6小时。", "有两台打印机。"),
        ("number", "en", "It has 80 seats.", "It has many seats."),
    ],
)
def test_sentences_state_a_kind_of_thing(kind: Any, language: str, right: str, wrong: str) -> None:
    assert states_kind(kind, right, language)
    assert not states_kind(kind, wrong, language)


@pytest.mark.parametrize(
    ("language", "question", "passage", "quote"),
    [
        ("en", "When does the library open?", "The library is closed on Sunday. It opens at 9:30.",
         "It opens at 9:30."),
        ("en", "How long is lost property kept?", "Lost property.\n\nIt is kept for 60 days.",
         "It is kept for 60 days."),
        ("en", "How many seats are in the hall?", "The hall costs 35 crowns. The hall has 80 seats.",
         "The hall has 80 seats."),
        ("en", "When is it open on Saturday?",
         "From Tuesday to Friday it opens at 9:00. On Saturday it opens at 10:00.",
         "On Saturday it opens at 10:00."),
        ("ar", "متى تفتح المكتبة؟", "المكتبة مغلقة يوم الأحد. تفتح في الساعة 9:30.", "تفتح في الساعة 9:30."),
        ("zh", "图书馆几点开门？", "图书馆周日关门。上午九点半开门。", "上午九点半开门。"),
    ],
)  # fmt: skip
def test_the_sentence_with_what_is_asked_is_quoted(
    language: str, question: str, passage: str, quote: str
) -> None:
    page = Document(passage, metadata={"source": "page.md", "language": language})
    _, [citation] = extract_answer(question, [page], Likes(), language=language, sentences=1)
    assert citation["quote"] == quote


def test_a_sentence_that_fits_keeps_its_score() -> None:
    assert fitness("When does it open?", "It opens at 9:30.", "en") == 1
    assert fitness("Who runs it?", "A couple from Riga runs it.", "en") == 1
    assert fitness("When does it open?", "It is closed on Sunday.", "en") < 0.5
