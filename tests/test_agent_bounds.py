"""The agent's bounds: searches, turns, tools that raise, hang or flood."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from qwen_agentkit.graphs import create_rag_agent
from qwen_agentkit.graphs.middleware import (
    ToolLimitsMiddleware,
)
from qwen_agentkit.graphs.sample_tools import calculator
from qwen_agentkit.text.languages import phrase
from tests.fakes.agents import (
    GOOD,
    THREAD,
    Played,
    Shelf,
    ask,
    calls,
    results,
    run,
    search,
    tool_texts,
)

# Bounds


def test_searches_have_a_budget_also_at_once() -> None:
    shelf = Shelf()
    model = Played(lines=[search("kiln"), search("library", "opens", "القارب"), search("kiln"), GOOD])
    state, events = run(create_rag_agent(model, shelf), searches=2)
    assert [query for query, _ in shelf.asked] == ["kiln", "library"]
    assert [one.status for one in results(state)] == ["success"] * 2 + ["error"] * 3
    assert "2 searches for this question are spent" in results(state)[-1].text
    assert sum("refused" in event for event in events) == 3


def test_the_budget_is_for_each_question() -> None:
    shelf = Shelf()
    model = Played(lines=[search("kiln"), "It reaches 1230 degrees [1].", search("library"), GOOD])
    agent = create_rag_agent(model, shelf, checkpointer=InMemorySaver())
    for _ in range(2):
        agent.invoke(ask(), THREAD, context={"searches": 1})
    assert len(shelf.asked) == 2


@pytest.mark.parametrize("question", ["When does it open?", "متى تفتح المكتبة اليوم؟"])
def test_a_model_that_calls_for_ever_is_ended(question: str) -> None:
    model = Played(lines=[search("kiln")])
    state, _ = run(create_rag_agent(model, Shelf()), ask(question), turns=3)
    assert len(model.asked) == 3
    assert ["tools" in one for one in model.settings] == [True, True, False]
    assert state["answer"] == phrase("ar" if "متى" in question else "en", "abstain")
    assert state["abstained"]


@tool
def tedious(kind: str) -> str:
    """Do something tedious."""
    if kind == "raise":
        raise ValueError("x" * 9999)
    if kind == "hang":
        time.sleep(0.6)
    return "y" * 5_000_000


@pytest.mark.parametrize("run_it", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("kind", "start", "size", "status"),
    [
        ("raise", "tedious failed. ValueError: xxx", 600, "error"),
        ("hang", "tedious gave no result within 0.2 seconds.", 100, "error"),
        ("flood", "yyy", 16100, "success"),
    ],
)
def test_tools_that_raise_hang_or_flood(kind: str, start: str, size: int, status: str, run_it: str) -> None:
    model = Played(lines=[calls(("tedious", {"kind": kind}), ("calculator", {"expression": "6*7"})), "Done."])
    agent = create_rag_agent(model, Shelf(), tools=[tedious, calculator], tool_seconds=0.2)
    state = agent.invoke(ask()) if run_it == "invoke" else asyncio.run(agent.ainvoke(ask()))
    result, sum_ = results(state)
    assert result.text.startswith(start)
    assert len(result.text) < size
    assert result.status == status
    assert ("[cut: the first" in result.text) == (kind != "hang")
    assert sum_.text == "42"


def test_blocks_are_cut_too() -> None:
    @tool
    def blocks() -> list[dict[str, Any]]:
        """Give blocks."""
        return [
            {"type": "text", "text": "abc"},
            {"type": "text", "text": "d" * 50},
            {"type": "text", "text": "e"},
        ]

    limits = ToolLimitsMiddleware(characters=10)
    state, _ = run(create_agent(Played(lines=[calls(("blocks", {})), "ok"]), [blocks], middleware=[limits]))
    assert results(state)[0].text == "abcddddddd\n[cut: the first 7 of 50 characters][cut: 1 more blocks]"


def test_a_tool_that_fails_or_gets_wrong_arguments_is_told() -> None:
    wrong = calls(("search", {}), ("read_section", {"passage": "x"}), ("nothing", {}))
    texts = tool_texts(create_rag_agent(Played(lines=[search("down"), wrong, "Sorry."]), Shelf()))
    assert texts[0] == "search failed. ConnectionError: the shelf fell down"
    assert ["query" in texts[1], "passage" in texts[2], "nothing is not a valid tool" in texts[3]] == [
        True
    ] * 3


def test_a_long_passage_is_cut_and_verified_as_it_was_read() -> None:
    page = Document("library " + "word " * 9000 + "It opens at 9:45.", metadata={"source": "long.md"})
    model = Played(lines=[search("library"), "It opens at 9:45 [1]."])
    state, _ = run(create_rag_agent(model, Shelf(documents=[page])))
    assert len(results(state)[0].text) < 8200
    assert state["answer"].endswith("[?]")
