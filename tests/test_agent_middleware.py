"""Each middleware of the agent, alone in any agent."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import create_retriever_tool
from langgraph.checkpoint.memory import InMemorySaver

from qwen_agentkit.graphs import create_rag_agent
from qwen_agentkit.graphs.middleware import (
    CitationMiddleware,
    LanguageMiddleware,
    PassagesMiddleware,
    SearchBudgetMiddleware,
    ThinkingBudgetMiddleware,
    TurnLimitMiddleware,
)
from qwen_agentkit.graphs.rag_agent.tools import passage_tools
from qwen_agentkit.graphs.sample_tools import calculator
from qwen_agentkit.text.languages import phrase
from tests.fakes.agents import (
    GOOD,
    THREAD,
    Plain,
    Played,
    Shelf,
    alone,
    ask,
    calls,
    results,
    run,
    search,
)

# Middleware, each alone in any agent


def test_passages_of_any_retriever_tool_are_numbered() -> None:
    mine = create_retriever_tool(
        Shelf(), "look", "Look something up.", response_format="content_and_artifact"
    )
    model = Played(lines=[calls(("look", {"query": "library opens"})), "It opens at nine [1] [4]."])
    state, _ = run(alone(model, PassagesMiddleware(), CitationMiddleware(), tools=[mine]))
    assert results(state)[0].text.startswith("[1] en/hours.md")
    assert state["answer"] == "It opens at nine [1]."


@pytest.mark.parametrize(
    ("second", "how", "answer"),
    [
        (GOOD, "flag", GOOD),
        ("It opens at 9:50 [1].", "flag", "It opens at 9:45 [1]. [?]"),
        ("It opens at 9:50 [1].", "drop", phrase("en", "abstain")),
        ("It opens at 9:50 [1].", "keep", "It opens at 9:45 [1]."),
        (RuntimeError("out of lines"), "flag", "It opens at 9:45 [1]. [?]"),
        (search("once more"), "flag", "It opens at 9:45 [1]. [?]"),
        (phrase("en", "abstain"), "flag", phrase("en", "abstain")),
    ],
    ids=["mended", "flag", "drop", "keep", "fails", "calls", "abstains"],
)
def test_an_unsupported_answer_is_mended_once(second: Any, how: Any, answer: str) -> None:
    model = Played(lines=[search("library opens"), "It opens at 9:45 [1].", second, "never asked"])
    checks = CitationMiddleware(unsupported=how)
    state, events = run(alone(model, PassagesMiddleware(passage_tools(Shelf())), checks))
    assert state["answer"] == state["messages"][-1].text == answer
    assert len(model.asked) == 3
    assert "9:45" in model.asked[-1][-1].text
    assert [one.type for one in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert all(event["stage"] in ("search", "cite") for event in events)


def test_figures_of_other_tools_need_no_passage() -> None:
    answer = "The kiln reaches 1230 degrees [1]. Half of it is 615 degrees."
    model = Played(
        lines=[calls(("search", {"query": "kiln"}), ("calculator", {"expression": "1230/2"})), answer]
    )
    state, _ = run(create_rag_agent(model, Shelf(), tools=[calculator]), ask("How hot is half?"))
    assert state["answer"] == answer
    wrong = Played(lines=[model.lines[0], answer.replace("615", "616")])
    state, _ = run(create_rag_agent(wrong, Shelf(), tools=[calculator]), ask("How hot is half?"))
    assert state["answer"].endswith("616 degrees. [?]")


def test_an_answer_before_any_passage_only_loses_its_markers() -> None:
    state, _ = run(create_rag_agent(Played(lines=["Hello, I can search for you [1]."]), Shelf()), ask("Hi"))
    assert state["answer"] == "Hello, I can search for you."
    assert (state["verification"], state["citations"]) == (None, [])


def test_thanks_are_no_claim_but_a_memory_is() -> None:
    lines = [search("library opens"), GOOD, "You are welcome, good luck with it.", "At nine, as said [1]."]
    model = Played(lines=[*lines, search("unicorn"), "Unicorns live ninety years."])
    agent = create_rag_agent(model, Shelf(), checkpointer=InMemorySaver())
    agent.invoke(ask(), THREAD)
    thanked = agent.invoke(ask("Thank you so much!"), THREAD)
    assert (thanked["answer"], thanked["verification"]) == (lines[2], None)
    again = agent.invoke(ask("When was that?"), THREAD)
    assert again["citations"][0]["source"] == "en/hours.md"
    assert again["verification"]["supported"] == 1
    remembered = agent.invoke(ask("How long do unicorns live?"), THREAD)
    assert remembered["answer"] == "Unicorns live ninety years. [?]"


ENGLISH, ARABIC = "It leaves at half past seven, every morning.", "يغادر القارب في السابعة والنصف صباحا."


@pytest.mark.parametrize(("second", "answer"), [(ARABIC, ARABIC), (ENGLISH, ENGLISH)])
def test_the_language_of_the_question_is_asked_for_once_more(second: str, answer: str) -> None:
    model = Played(lines=[ENGLISH, second, "never asked"])
    state, events = run(alone(model, LanguageMiddleware()), ask("متى يغادر القارب؟"))
    assert state["messages"][-1].text == answer
    assert len(model.asked) == 2
    assert model.asked[0][0].text == "Answer in Arabic."
    assert [event["taken"] for event in events] == [second == ARABIC]


def test_the_answer_language_can_be_set() -> None:
    model = Played(lines=[ENGLISH, ARABIC])
    state, _ = run(create_rag_agent(model, Shelf()), answer_language="ar")
    assert state["answer"] == ARABIC


def test_thought_has_a_budget_over_all_calls() -> None:
    lines = [calls(("cite", {"passage": 1, "quote": "x"}), thought=30) for _ in range(3)]
    model = Played(lines=[*lines, "Done."])
    tools = passage_tools(Shelf())
    run(alone(model, PassagesMiddleware(tools), ThinkingBudgetMiddleware(70, thinking=True)))
    spent = [{key: one[key] for key in one if key.startswith("thinking")} for one in model.settings]
    assert spent == [
        {"thinking": True, "thinking_budget": 70},
        {"thinking": True, "thinking_budget": 40},
        {"thinking": True, "thinking_budget": 10},
        {"thinking": False},
    ]
    plain = Plain(lines=["Done."])
    run(alone(plain, ThinkingBudgetMiddleware(70, thinking=True)))
    assert plain.settings == [{}]


def test_budgets_work_alone() -> None:
    model = Played(lines=[search("kiln", "library")])
    budget, limit = SearchBudgetMiddleware(1), TurnLimitMiddleware(2)
    state, _ = run(alone(model, budget, limit, PassagesMiddleware(passage_tools(Shelf()))))
    assert [one.status for one in results(state)] == ["success", "error"]
    assert state["messages"][-1].text == phrase("en", "abstain")
