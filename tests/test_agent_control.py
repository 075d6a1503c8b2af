"""What the agent does when something fails, what it refuses, what it may spend, and what it remembers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from qwen_agentkit.errors import AccessError, InputError, ModelNotFoundError, RetrievalError
from qwen_agentkit.graphs import AgentContext, create_rag_agent
from qwen_agentkit.graphs.rag_agent.graph import build_rag_agent
from qwen_agentkit.text.languages import phrase
from tests.fakes.agents import GOOD, HOURS, THREAD, Played, Shelf, ask, calls, results, run, search
from tests.fakes.graphs import ByScore, fallbacks

QUOTED = f"{phrase('en', 'from_documents')}\n{HOURS.page_content} [1]"
WRONG = "It opens at 9:45 [1]."
GERMAN = "Die Bibliothek ist morgens ab neun Uhr für alle geöffnet [1]."


class Thinker(Played):
    """A model that can be told how much to think."""

    thinking_budget: int | None = None


def thought(text: str, tokens: int) -> AIMessage:
    return calls(text=text, thought=tokens)


def fails(*args: Any) -> float:
    raise RuntimeError("out of order")


def thinking(model: Played) -> list[dict[str, Any]]:
    return [{key: one[key] for key in one if key.startswith("thinking")} for one in model.settings]


# What replaces what fails


@pytest.mark.parametrize("lines", [None, [search("library opens"), GOOD]])
def test_a_reranker_that_fails_leaves_the_order_of_the_search(lines: Any) -> None:
    model = Played(lines=lines) if lines else None
    state, events = run(create_rag_agent(model, Shelf(), reranker=ByScore(of=fails)))
    assert ("search", "retrieved order") in fallbacks(events)
    assert state["citations"][0]["quote"] == HOURS.page_content
    assert not state["abstained"]


class Broken(Shelf):
    """A retriever without connection."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **kwargs: Any) -> list[Any]:
        raise ConnectionError("no route")


@pytest.mark.parametrize("model", [None, Played(lines=[search("down"), OSError("cut")])])
def test_a_search_that_failed_is_no_abstention(model: Any) -> None:
    agent = create_rag_agent(model, Broken())
    with pytest.raises(RetrievalError, match=r"searches failed.*no route.*expected documents"):
        run(agent)
    if model is None:
        with pytest.raises(RetrievalError, match="no route"):
            asyncio.run(agent.ainvoke(ask()))


@pytest.mark.parametrize("model", [None, Played(lines=[search("library"), "Sorry."])])
def test_no_access_is_an_error(model: Any) -> None:
    def nobody(runtime: Any) -> dict[str, Any]:
        raise AccessError("nobody is authenticated")

    with pytest.raises(AccessError, match="nobody"):
        run(create_rag_agent(model, Shelf(), access=nobody))


def test_a_search_that_hangs_ends_in_time() -> None:
    ended, given_up = threading.Event(), threading.Event()

    class Hanging(Shelf):
        def _get_relevant_documents(self, query: str, *, run_manager: Any, **kwargs: Any) -> list[Any]:
            given_up.wait(30)
            ended.set()
            return []

    with pytest.raises(RetrievalError, match=r"no result after 0.05 s.*search_timeout"):
        run(create_rag_agent(None, Hanging()), search_timeout=0.05)
    assert not ended.is_set(), "the run waited for the search"
    given_up.set()


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("first", [OSError("cut"), "", AIMessage("")])
def test_a_model_that_fails_is_asked_again_without_thinking(first: Any, how: str) -> None:
    model = Thinker(lines=[search("library opens"), first, GOOD])
    agent = create_rag_agent(model, Shelf())
    if how == "ainvoke":
        state: Any = asyncio.run(agent.ainvoke(ask(), context={"thinking": "on"}))
    else:
        state, events = run(agent, thinking="on")
        assert fallbacks(events) == [("model", "without thinking")]
    assert [one["thinking"] for one in thinking(model)] == [True, True, False]
    assert state["answer"] == GOOD


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize("lines", [[OSError("cut")], [search("library opens"), OSError("cut")]])
def test_a_model_that_fails_twice_leaves_quotes(lines: list[Any], how: str) -> None:
    model = Thinker(lines=lines)
    agent = create_rag_agent(model, Shelf(), reranker=ByScore(of=lambda query, text: 0.9))
    if how == "ainvoke":
        state: Any = asyncio.run(agent.ainvoke(ask(), context={"sentences": 1}))
    else:
        state, events = run(agent, sentences=1)
        assert fallbacks(events) == [("model", "without thinking"), ("model", "extractive answer")]
    assert state["answer"] == QUOTED
    assert state["citations"][0]["quote"] == HOURS.page_content
    assert len(model.asked) == len(lines) + 1, "it is not asked again about this question"
    assert len(results(state)) == 1


def test_what_the_user_has_to_mend_is_never_hidden() -> None:
    with pytest.raises(ModelNotFoundError, match="no weights"):
        run(create_rag_agent(Played(lines=[ModelNotFoundError("no weights")]), Shelf()))


def test_scores_and_sentences_do_without_the_reranker() -> None:
    class Scorer(ByScore):
        def score(self, pairs: Any) -> list[float]:
            raise RuntimeError("out of order")

    _, events = run(create_rag_agent(None, Shelf(), reranker=Scorer(of=fails)))
    assert [to for _, to in fallbacks(events)] == ["retrieved order", "first sentence", "no support scores"]


# Names, questions and settings


def test_it_takes_names_and_refuses_what_is_none() -> None:
    state, _ = run(create_rag_agent(None, Shelf(), reranker="nano"), sentences=1)
    assert state["citations"][0]["quote"] == HOURS.page_content
    create_rag_agent("nano", Shelf())
    with pytest.raises(InputError, match="names no model"):
        create_rag_agent(" ", Shelf())
    with pytest.raises(InputError, match=r"'store' is a str; expected .*QwenVectorStore"):
        create_rag_agent(None, "store")  # type: ignore[arg-type]  # what is tested


def test_the_builder_takes_more_nodes() -> None:
    graph = build_rag_agent(Played(lines=[search("library opens"), GOOD]), Shelf())
    graph.add_node("log", lambda state: {})
    compiled = graph.compile()
    assert "log" in compiled.get_graph().nodes
    assert run(compiled)[0]["answer"] == GOOD


@pytest.mark.parametrize("text", ["", " \n", "a" * 300_000])
def test_what_is_no_question_is_refused(text: str) -> None:
    model = Played(lines=[GOOD])
    for chat in (model, None):
        agent = create_rag_agent(chat, Shelf())
        earlier = [HumanMessage("Hi"), AIMessage("Hello.")]
        with pytest.raises(InputError, match="expected"):
            run(agent, {"messages": [*earlier, HumanMessage(text)]})
        with pytest.raises(InputError, match="expected"):
            asyncio.run(agent.ainvoke(ask(text)))
    assert model.asked == []


def test_settings_that_it_does_not_read_are_not_taken() -> None:
    shown = AgentContext.model_json_schema()["properties"]
    assert "thinking_budget" in shown
    assert "thinking_tokens" not in shown
    assert AgentContext.model_validate({"thinking_tokens": 7}).thinking_budget == 7
    with pytest.raises(ValidationError, match="grade"):
        AgentContext.model_validate({"node_budgets": {"grade": 3}})


def test_events_have_seconds_and_tokens() -> None:
    _, events = run(create_rag_agent(Played(lines=[search("library opens"), thought(GOOD, 30)]), Shelf()))
    model = [event for event in events if event["stage"] == "model"]
    assert [event["tokens"] for event in model] == [{"input": 1, "output": 0}, {"input": 1, "output": 30}]
    tools = [event for event in events if event["stage"] == "tools"]
    assert [event["tool"] for event in tools] == ["search"]
    assert all(event["seconds"] >= 0 for event in [*model, *tools])


# Budgets


def test_turns_bound_every_call_those_to_mend_an_answer_too() -> None:
    for turns, wanted in ((1, 1), (2, 2), (3, 3), (4, 4), (9, 5)):
        model = Played(lines=[search("library opens"), GERMAN])
        state, _ = run(create_rag_agent(model, Shelf()), turns=turns)
        assert len(model.asked) == wanted
        assert state["answer"]


def test_turns_bound_a_model_that_fails() -> None:
    model = Played(lines=[OSError("cut")])
    state, _ = run(create_rag_agent(model, Shelf()), turns=1)
    assert len(model.asked) == 1
    assert state["citations"]


def test_drafts_are_of_the_budget_of_thought() -> None:
    lines = [search("library opens"), thought(WRONG, 60), thought(WRONG, 30)]
    model = Thinker(lines=lines)
    budgets = {"repair": 500}
    run(create_rag_agent(model, Shelf()), thinking="on", thinking_budget=100, node_budgets=budgets)
    assert thinking(model) == [
        {"thinking": True, "thinking_budget": 100},
        {"thinking": True, "thinking_budget": 100},
        {"thinking": True, "thinking_budget": 40},
    ]
    spent = Thinker(lines=[search("library opens"), thought(GERMAN, 60), thought(WRONG, 60), GOOD])
    run(create_rag_agent(spent, Shelf()), thinking="on", thinking_budget=100, node_budgets=budgets)
    assert thinking(spent)[2:] == [{"thinking": True, "thinking_budget": 40}, {"thinking": False}]


def test_an_answer_is_mended_without_thought() -> None:
    model = Thinker(lines=[search("library opens"), WRONG, GOOD])
    run(create_rag_agent(model, Shelf()), thinking="on")
    assert [one["thinking"] for one in thinking(model)] == [True, True, False]


# Abstentions


@pytest.mark.parametrize("language", ["en", "ar", "zh"])
@pytest.mark.parametrize("around", ["{}", " “{}” [1]\n"])
def test_the_words_of_an_abstention_are_told_and_known_again(language: str, around: str) -> None:
    told = phrase(language, "abstain")
    model = Played(lines=[search("library opens"), around.format(told), "never asked"])
    state, _ = run(create_rag_agent(model, Shelf()), answer_language=language)
    assert f"write exactly: {told}" in model.asked[0][0].text
    assert state["abstained"]
    assert (state["answer"], state["citations"], state["verification"]) == (told, [], None)
    assert len(model.asked) == 2


# The conversation


def talk(model: Played, **context: Any) -> list[Any]:
    """What the model read for the second question, and the state after it."""
    agent = create_rag_agent(model, Shelf(), checkpointer=InMemorySaver())
    agent.invoke(ask("When does the library open?"), THREAD, context=context)
    state = agent.invoke(ask("And how hot is the kiln?"), THREAD, context=context)
    return [[one.text for one in model.asked[-1][1:]], state]


def test_a_conversation_that_fits_is_read_as_it_is() -> None:
    read, _ = talk(Played(lines=[search("library opens"), GOOD, "Hot, as I said."]))
    assert len(read) == 5


def test_of_a_long_one_what_was_said_is_read() -> None:
    read, state = talk(Played(lines=[search("library opens"), GOOD, "Hot, as I said."]), history_tokens=24)
    assert read == ["When does the library open?", GOOD, "And how hot is the kiln?"]
    assert len(state["messages"]) == 6, "the thread is never cut"


def test_the_oldest_is_summarised() -> None:
    lines = [search("library opens"), GOOD, "They asked when the library opens.", "Hot, as I said."]
    read, state = talk(Played(lines=lines), history_tokens=8)
    assert read[0].endswith(lines[2])
    assert read[-1] == "And how hot is the kiln?"
    assert state["summary"] == lines[2]
    assert state["answer"].startswith("Hot")


def test_each_question_may_stand_for_itself() -> None:
    read, _ = talk(Played(lines=[search("library opens"), GOOD, "Hot, as I said."]), history_tokens=0)
    assert read == ["And how hot is the kiln?"]
