"""Agents and graphs ask `QwenDecisions`: whether a call is risky, which model answers, which passages help.

The decisions are those of a server that answers by what stands in the state.
"""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AutoModeMiddleware
from langchain.agents.middleware.model_router import ModelChoice, ModelRouterMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool

from qwen_agentkit import QwenDecisions
from qwen_agentkit.graphs import create_corrective_rag_graph
from tests.fakes import graphs
from tests.fakes.agents import Played, calls
from tests.fakes.server import URL, Serve

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def deciding(word: str, option: str) -> Any:
    """A server whose model replies with the letter of `option` where the state holds `word`, else another."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        state, _, options = body["messages"][1]["content"].partition("Options:\n")
        letters = {
            line[0]: line[3:].startswith(option) == (word in state) for line in options.splitlines()[:2]
        }
        top = [{"token": one, "logprob": math.log(0.9 if right else 0.1)} for one, right in letters.items()]
        return {"choices": [{"message": {"content": "A"}, "logprobs": {"content": [{"top_logprobs": top}]}}]}

    return reply


@pytest.fixture
def decisions(serve: Serve, request: pytest.FixtureRequest) -> QwenDecisions:
    serve({"/v1/chat/completions": deciding(*request.param)})
    return QwenDecisions(model="Qwen/Qwen3-8B", base_url=URL)


@pytest.mark.parametrize("decisions", [("passwords", "Yes")], indirect=True)
@pytest.mark.parametrize(("name", "runs"), [("passwords.txt", False), ("notes.txt", True)])
def test_a_risky_call_is_not_run(decisions: QwenDecisions, name: str, runs: bool) -> None:
    deleted: list[str] = []

    @tool
    def delete_file(name: str) -> str:
        """Delete a file."""
        deleted.append(name)
        return "deleted"

    agent = create_agent(
        Played(lines=[calls(("delete_file", {"name": name})), "Done."]),
        tools=[delete_file],
        middleware=[AutoModeMiddleware(tools=[delete_file], classifier=decisions)],
    )
    messages = agent.invoke({"messages": [("user", "Delete the file.")]})["messages"]
    [result] = [message for message in messages if isinstance(message, ToolMessage)]
    assert deleted == ([name] if runs else [])
    assert (result.status == "error") is not runs


@pytest.mark.parametrize("decisions", [("proof", "large")], indirect=True)
@pytest.mark.parametrize(("question", "model"), [("Write a proof.", "large"), ("Say hello.", "small")])
def test_the_model_is_chosen_by_the_task(decisions: QwenDecisions, question: str, model: str) -> None:
    router = ModelRouterMiddleware(
        choices={
            "small": ModelChoice(Played(lines=["small"]), "Short, simple tasks."),
            "large": ModelChoice(Played(lines=["large"]), "Tasks that need thought."),
        },
        instructions="Which model suits the task?",
        classifier=decisions,
    )
    agent = create_agent(Played(lines=["unused"]), middleware=[router])
    result = agent.invoke({"messages": [("user", question)]})
    assert result["messages"][-1].content == model
    assert result["model_route"].confidence == pytest.approx(0.9)


@pytest.mark.parametrize("decisions", [("library", "Yes")], indirect=True)
def test_passages_are_graded_without_the_chat_model(decisions: QwenDecisions) -> None:
    model = graphs.Played(lines={"answer": ["It opens at nine [1]."]})
    unsure = graphs.ByScore(of=lambda query, text: 0.5)
    graph = create_corrective_rag_graph(model, graphs.Shelf(), reranker=unsure, decisions=decisions)
    state, _ = graphs.run(graph, passages=1)
    assert [task for task, _, _ in model.asked] == ["answer"]
    assert state["answer"] == "It opens at nine [1]."
    assert state["hard"]
    assert model.asked[0][2] == {"thinking": True}


def test_a_decision_model_that_fails_is_announced(serve: Serve) -> None:
    serve({"/v1/chat/completions": httpx.Response(400, json={"error": "no"})})
    decisions = QwenDecisions(model="Qwen/Qwen3-8B", base_url=URL)
    model = graphs.Played(lines={"answer": ["It opens at nine [1]."]})
    unsure = graphs.ByScore(of=lambda query, text: 0.5)
    graph = create_corrective_rag_graph(model, graphs.Shelf(), reranker=unsure, decisions=decisions)
    state, events = graphs.run(graph, passages=1)
    assert "grade by score" in str(graphs.fallbacks(events))
    assert state["answer"] == "It opens at nine [1]."
