"""A verification is placed in another form of its answer, and made anew where the answer differs."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.serve.passages import describe_answer
from qwen_agentkit.text.verification import place_verification, verify_citations

DOCUMENTS = [
    Document("The library opens at nine.", metadata={"source": "hours.md", "language": "en"}),
    Document("يغادر القارب في السابعة والنصف.", metadata={"source": "boat.md", "language": "ar"}),
    Document("窑炉最高温度为1230度。", metadata={"source": "kiln.md", "language": "zh"}),
]
ANSWERS = [
    ("It opens at nine【1】. It closes at six [1].", "It opens at nine [1]. It closes at six [1]."),
    ("It opens at nine [1, 2].\n\nIt closes.", "It opens at nine [1] [2].\n\nIt closes."),
    ("يغادر القارب في السابعة والنصف【2】.", "يغادر القارب في السابعة والنصف [2]."),
    ("窑炉最高温度为1230度。【3】冷却需要12小时。", "窑炉最高温度为1230度。 [3]冷却需要12小时。"),
    ("# Hours\n\nIt opens at nine [1].", "# Hours\n\nIt opens at nine [1]."),
]


@pytest.mark.parametrize(("verified", "shown"), ANSWERS)
def test_another_form_has_the_sentences_of_a_new_check(verified: str, shown: str) -> None:
    known = verify_citations(verified, DOCUMENTS)
    assert place_verification(known, shown) == verify_citations(shown, DOCUMENTS)


@pytest.mark.parametrize(
    "other",
    [
        "It opens at nine [1].",
        "It opens at ten [1]. It closes at six [1].",
        "It opens at nine [2]. It closes at six [1].",
        "It opens at nine. It closes at six [1].",
        "",
    ],
)
def test_another_answer_has_to_be_checked_anew(other: str) -> None:
    known = verify_citations("It opens at nine [1]. It closes at six [1].", DOCUMENTS)
    assert place_verification(known, other) is None


def test_the_page_shows_the_verdicts_of_the_graph() -> None:
    answer = "The library opens at nine [1]."
    known = verify_citations(answer, DOCUMENTS, score=lambda pairs: [0.1] * len(pairs), min_support=0.5)
    state = {"answer": answer, "documents": DOCUMENTS, "language": "en", "verification": known}
    assert [one.verdict for one in describe_answer(state, []).sentences] == ["unsupported"]
    state["answer"] = "The library opens at nine [1]. It closes at six [1]."
    assert [one.verdict for one in describe_answer(state, []).sentences] == ["supported", "unsupported"]
