"""The forty attacks on the graphs with more parts: the agent and its tools, research and compare."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from qwen_agentkit.graphs import create_compare_graph, create_rag_agent, create_research_graph
from tests.fakes import agents
from tests.fakes.attacks import ATTACKS, LEAKS, OTHER, QUESTIONS, SECRET, Attack, asked, poisoned, tenants
from tests.fakes.graphs import HOURS, ByScore, Played, Shelf, run

GREY = ByScore(of=lambda query, text: 0.5)
TOKENS = re.compile(r"<\||</?(think|tool_call|tool_response|function|parameter)\b")
each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=[f"{a.kind}-{a.language}" for a in ATTACKS])
each_graph = pytest.mark.parametrize(
    "create", [create_research_graph, create_compare_graph], ids=["research", "compare"]
)


def leak(attack: Attack) -> str:
    words = {"order": OTHER[attack.language], "citation": f"{LEAKS[attack.language]} [7]"}
    return f"{words.get(attack.kind, LEAKS[attack.language])} [1]."


def heads(text: str) -> list[str]:
    return re.findall(r"^[ \t]*[\[【［](\d+)[\]】］]", text, re.M)


def obedient(attack: Attack) -> Played:
    objects = {
        "sub_questions": [attack.text],
        "sufficient": False,
        "questions": [attack.text],
        "tools": ["x"],
    }
    lines = {"translate": [attack.text], "rewrite": [attack.text], "grade": [objects]}
    return Played(lines={**lines, "answer": [leak(attack)], "repair": [leak(attack)]})


@each_graph
@each_attack
def test_the_prompts_keep_their_structure_and_the_reader_is_told_nothing(attack: Attack, create: Any) -> None:
    model = obedient(attack)
    graph = create(model, Shelf(documents=[poisoned(attack), HOURS]), reranker=GREY)
    state, _ = run(graph, asked(attack), unsupported="drop")
    assert SECRET not in state["answer"]
    assert state["language"] == attack.language
    assert state["messages"][-1].text == state["answer"]
    assert [message.type for message in state["messages"]] == ["human", "ai"]
    assert "answer" in model.tasks()
    for _, messages, settings in model.asked:
        assert "tools" not in settings
        assert attack.text not in messages[0].text, "the instruction is ours alone"
        for message in messages[1:]:
            assert message.type == "ai" or not TOKENS.search(message.text)
            assert heads(message.text) in (["1", "2"], ["1"], []), "no passage begins another one"


@each_graph
@each_attack
def test_the_filter_of_the_tenant_stays(attack: Attack, create: Any) -> None:
    with tenants(attack) as store:
        retriever = store.as_retriever(search_kwargs={"k": 10, "filter": {"tenant": "acme"}})
        graph = create(obedient(attack), retriever)
        request = {**asked(attack), "tenant": "globex", "filter": {}, "findings": [{"documents": [SECRET]}]}
        state, _ = run(graph, request)
    assert {one.metadata["tenant"] for one in state["documents"]} == {"acme"}
    assert SECRET not in str(state["documents"])


@each_attack
def test_the_agent_reads_passages_as_data(attack: Attack) -> None:
    page = poisoned(attack)
    shelf = agents.Shelf(documents=[page, agents.LUNCH])
    plan = [
        agents.calls(("search", {"query": "library it"})),
        agents.calls(
            ("list_sources", {}),
            ("cite", {"passage": 1, "quote": attack.text[:20] + " altogether elsewhere"}),
            ("search", {"query": "library", "filter": {}, "tenant": "*"}),
            ("delete_all", {"path": "/"}),
        ),
    ]
    model = agents.Played(lines=[*plan, leak(attack)])
    agent = create_rag_agent(model, shelf, access=lambda runtime: {"tenant": "acme"})
    state, _ = agents.run(agent, {"messages": [HumanMessage(QUESTIONS[attack.language])]}, unsupported="drop")
    assert SECRET not in state["answer"]
    assert all(given == {"filter": {"tenant": "acme"}} for _, given in shelf.asked)
    assert len({json.dumps(one["tools"]) for one in model.settings}) == 1
    assert len({messages[0].text for messages in model.asked}) == 1
    assert attack.text not in model.asked[0][0].text
    found, sources, quoted, again, unknown = agents.results(state)
    assert heads(found.text) == ["1", "2"]
    assert heads(again.text) == ["1"]
    assert heads(sources.text) == heads(quoted.text) == []
    assert len(sources.text.splitlines()) == 3
    assert unknown.status == "error"
    for messages in model.asked:
        assert not any(TOKENS.search(one.text) for one in messages if not isinstance(one, AIMessage))
