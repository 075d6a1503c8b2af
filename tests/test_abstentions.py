"""That there is no answer is said in the reader's language, whoever says it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from qwen_agentkit.graphs import RagContext, create_rag_graph
from qwen_agentkit.text.languages import phrase
from tests.fakes.graphs import Played, Shelf, fallbacks, run

AMHARIC = "ሰነዶቹ ለዚህ ጥያቄ መልስ አልያዙም።"


def asked(question: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(question)]}


@pytest.mark.parametrize(
    ("question", "line", "answer", "replaced"),
    [
        ("ቤተ መጻሕፍቱ መቼ ይከፈታል?", AMHARIC, AMHARIC, []),
        ("ቤተ መጻሕፍቱ መቼ ይከፈታል?", "The documents hold no answer to it.", phrase("en", "abstain"), ["English"]),
        ("ቤተ መጻሕፍቱ መቼ ይከፈታል?", RuntimeError("no model"), phrase("en", "abstain"), ["English"]),
        ("Къде е музеят?", AssertionError("never asked"), phrase("bg", "abstain"), []),
    ],
    ids=["translated", "another language", "failed", "known"],
)
def test_where_no_phrase_is_known_the_model_translates_it(
    question: str, line: Any, answer: str, replaced: list[str]
) -> None:
    model = Played(lines={"translate": [line]})
    state, events = run(create_rag_graph(model, Shelf(documents=[])), asked(question))
    assert (state["answer"], state["abstained"]) == (answer, True)
    assert [instead for _, instead in fallbacks(events)] == replaced


@pytest.mark.parametrize(
    ("question", "said", "answer"),
    [
        ("Где находится музей?", phrase("ru", "abstain"), phrase("ru", "abstain")),
        ("Где находится музей?", phrase("en", "abstain"), phrase("ru", "abstain")),
        ("When does the museum open?", phrase("en", "abstain"), phrase("en", "abstain")),
        ("When does the museum open?", "The passages do not answer this question.", phrase("en", "abstain")),
        ("متى تفتح المكتبة؟", phrase("ar", "nano_abstain"), phrase("ar", "abstain")),
        ("ቤተ መጻሕፍቱ መቼ ይከፈታል?", phrase("en", "abstain"), AMHARIC),
    ],
)
def test_the_model_is_told_how_to_say_it_and_understood(question: str, said: str, answer: str) -> None:
    model = Played(lines={"answer": [said], "translate": [AMHARIC]})
    state, _ = run(create_rag_graph(model, Shelf()), asked(question))
    [instruction] = [messages[0].text for task, messages, _ in model.asked if task == "answer"]
    assert f"write exactly: {phrase(state['language'], 'abstain')}\n" in instruction
    assert (state["answer"], state["abstained"], state["citations"]) == (answer, True, [])
    assert state["messages"][-1].text == answer


@pytest.mark.parametrize(
    ("given", "kept"), [("bg", "bg"), ("mr", "mr"), ("AM", "am"), ("", None), (" ", None), (None, None)]
)
def test_every_language_with_a_name_can_be_answered_in(given: Any, kept: Any) -> None:
    assert RagContext(answer_language=given).answer_language == kept


def test_other_codes_are_refused() -> None:
    with pytest.raises(ValidationError, match="xx"):
        RagContext(answer_language="xx")


@pytest.mark.parametrize(
    ("first", "second", "language"),
    [
        ("Was kostet eine Karte?", "Raku?", "de"),
        ("Къде е музеят?", "Цена?", "bg"),
        ("Was kostet eine Karte?", "And Sunday?", "en"),
        ("Къде е музеят?", "Raku?", "en"),
    ],
)
def test_a_word_or_two_are_in_the_language_of_the_conversation(
    first: str, second: str, language: str
) -> None:
    graph = create_rag_graph(None, Shelf(documents=[]), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    graph.invoke(asked(first), thread)
    assert graph.invoke(asked(second), thread)["language"] == language
