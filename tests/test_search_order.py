"""Passages ordered by the mean of the search's score and the reranker's."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.calibration import SearchOrder
from qwen_agentkit.rerankers import QwenReranker

QUESTION = "When was the lighthouse built?"
LIT = "The lighthouse was built in 1887 by the harbor office."
TEXTS = ["Boats leave the harbor at seven.", LIT, "The town was built on seven hills."]


@pytest.fixture(scope="module")
def nano() -> QwenReranker:
    return QwenReranker(model="nano")


def found(*scores: float) -> list[Document]:
    return [
        Document(text, metadata={"retrieval_score": score}) for text, score in zip(TEXTS, scores, strict=True)
    ]


def relevances(order: SearchOrder, documents: list[Document]) -> dict[str, float]:
    ranked = order.compress_documents(documents, QUESTION)
    scores = [document.metadata["relevance_score"] for document in ranked]
    assert scores == sorted(scores, reverse=True)
    return {document.page_content: score for document, score in zip(ranked, scores, strict=True)}


def test_relevance_is_the_mean_of_both_scores(nano: QwenReranker) -> None:
    judged = nano.score([(QUESTION, text) for text in TEXTS])
    for share in (0.2, 1.0):
        mean = relevances(SearchOrder(reranker=nano, threshold=0.2, share=share), found(0.3, 0.2, 0.1))
        for text, before, after in zip(TEXTS, (0.3, 0.2, 0.1), judged, strict=True):
            assert mean[text] == pytest.approx((1 - share) * before + share * after, abs=1e-5)


def test_without_a_share_the_search_decides_alone(nano: QwenReranker) -> None:
    order = SearchOrder(reranker=nano, threshold=0.2)
    assert relevances(order, found(0.3, 0.2, 0.1)) == dict(zip(TEXTS, (0.3, 0.2, 0.1), strict=True))


def test_texts_that_no_search_has_scored_are_reranked(nano: QwenReranker) -> None:
    order = SearchOrder(reranker=nano, threshold=0.2, share=0.2)
    ranked = order.compress_documents([Document(text) for text in TEXTS], QUESTION)
    assert ranked[0].page_content == LIT


@pytest.mark.parametrize(
    ("question", "better", "worse"),
    [
        ("What happened in 1951?", "The mill burned down in 1951.", "The mill burned down in 1915."),
        ("Who paints the red boat?", "Ana paints the red boat.", "Boat, boat and boat: a boat is a boat."),
        ("ما لون القارب الأحمر الكبير؟", "القارب الأحمر الكبير في الميناء.", "الميناء كبير والقارب صغير."),
        ("灯塔什么时候建成？", "这座灯塔于1887年建成。", "渔船什么时候出海？"),
        (
            "Wann wurde der Leuchtturm gebaut?",
            "The lighthouse was built in 1887.",
            "The bread costs two euros.",
        ),
        ("كم سعر الخبز؟", "The price of bread is two euros.", "The lighthouse was built in 1887."),
    ],
)
def test_nano_reranker_reads_pieces_in_order_counts_once_and_crosses_languages(
    nano: QwenReranker, question: str, better: str, worse: str
) -> None:
    right, wrong = nano.score([(question, better), (question, worse)])
    assert right > wrong + 0.02


def test_the_reranker_reads_the_ten_best_of_the_search(nano: QwenReranker) -> None:
    boats = [f"Boat {number} leaves the harbor." for number in range(11)]
    documents = [Document(text, metadata={"retrieval_score": 0.3}) for text in boats]
    late = Document(LIT, metadata={"retrieval_score": 0.2})
    order = SearchOrder(reranker=nano, threshold=0.2, share=0.2)
    scores = relevances(order, [late, *documents])
    assert scores[LIT] == pytest.approx(0.8 * 0.2)
    assert scores[boats[10]] == pytest.approx(0.8 * 0.3)
    assert scores[boats[9]] > 0.8 * 0.3
