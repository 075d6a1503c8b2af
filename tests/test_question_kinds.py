"""What a question asks for, and the sentence that is quoted for it: one with a time where a time is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from qwen_agentkit.graphs.shared.answers import extract_answer
from qwen_agentkit.text.question_kinds import asked_kind, fitness, lacks_answer, states_kind


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
        ("Who runs the archive?", "person"),
        ("Where is the archive?", None),
        ("Wer genehmigt Überstunden?", "person"),
        ("من ترأس الاجتماع؟", "person"),
        ("من أين تنطلق الحافلة؟", None),
        ("谁是馆长？", "person"),
        ("館長は誰ですか？", "person"),
        ("निदेशक कौन है?", "person"),
        ("Кто директор?", "person"),
        ("¿Quién dirige el museo?", "person"),
        ("Qui dirige le musée ?", "person"),
        ("Le musée qui ouvre", None),
        ("包裹有多重？", "number"),
        ("متى تفتح المكتبة؟", "hour"),
        ("متى بني البرج؟", "date"),
        ("كم سعر التذكرة؟", "price"),
        ("ما مدة الدورة؟", "duration"),
        ("كم تبلغ غرامة التأخير؟", "price"),
        ("ما درجة الحرارة في القاعة؟", "number"),
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
        ("person", "en", "The director is Mirela Costin.", "The director is on leave."),
        ("person", "de", "Ansprechpartnerin ist Frau Okonkwo.", "Die Leitung ist im Urlaub."),
        ("person", "ar", "ترأسته السيدة هدى العطار.", "عقد في المكتبة."),
        ("person", "zh", "院长是李明教授。", "院长不在。"),
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
        ("en", "Who is the landlord?", "Pets need the landlord. The landlord is Mirela Costin.",
         "The landlord is Mirela Costin."),
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
    assert fitness("Where is it?", "A couple from Riga runs it.", "en") == 1
    assert fitness("When does it open?", "It is closed on Sunday.", "en") < 0.5


@pytest.mark.parametrize(
    ("language", "question", "sentence", "lacking"),
    [
        ("en", "How much does a ticket cost?", "The ferry has a bar on the upper deck.", True),
        ("en", "How much does a ticket cost?", "The crossing takes 20 minutes.", True),
        ("en", "How much does a ticket cost?", "The ticket is free.", False),
        ("en", "How much does a ticket cost?", "Ticket: 12", False),
        ("en", "How high is the tower?", "The tower is made of stone.", True),
        ("en", "How high is the tower?", "The tower is thirty meters high.", False),
        ("en", "How long is the course?", "The course lasts two weeks.", False),
        ("en", "When does it open?", "It opens at half past nine.", False),
        ("en", "Who built the tower?", "The tower is made of stone.", False),
        ("zh", "咖啡机多少钱？", "水箱容量为1.8升。", True),
        ("zh", "咖啡机多少钱？", "咖啡机售价1999元。", False),
        ("ar", "كم ثمن التذكرة؟", "يقام المعرض من ٥ إلى ٩ يوليو.", True),
        ("ar", "كم رسوم الاشتراك؟", "رفعت الرسوم إلى ٤٥ دينارا.", False),
        ("hi", "टिकट कितने का है?", "संग्रहालय नदी के पास है।", True),
        ("de", "Wie hoch ist die Miete?", "Die Miete beträgt 900 Euro.", False),
    ],
)
def test_a_sentence_without_any_number_answers_no_question_for_one(
    language: str, question: str, sentence: str, lacking: bool
) -> None:
    assert lacks_answer(question, sentence, language) is lacking
    page = Document(sentence, metadata={"source": "page.md", "language": language})
    answer, citations = extract_answer(question, [page], Likes(), language=language, sentences=1)
    assert (not citations) is lacking
    assert bool(answer) is not lacking


def test_sentences_are_scored_under_their_headings() -> None:
    """A sentence that repeats the subject of its page is no better than one that does not."""

    class Overlap(BaseDocumentCompressor):
        def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Any:
            asked = set(query.lower().split())
            scores = [len(asked & set(one.page_content.lower().split())) / len(asked) for one in documents]
            return [
                Document(one.page_content, metadata={**one.metadata, "relevance_score": score})
                for one, score in zip(documents, scores, strict=True)
            ]

    page = Document(
        "The harbor museum has a shop. Tickets are sold upstairs.",
        metadata={"source": "page.md", "language": "en", "title": "The harbor museum"},
    )
    _, [citation] = extract_answer(
        "where are tickets of the harbor museum sold", [page], Overlap(), language="en", sentences=1
    )
    assert citation["quote"] == "Tickets are sold upstairs."
