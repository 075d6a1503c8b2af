"""Models by name, thinking and effort of the document graphs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import ValidationError

from qwen_agentkit import ChatQwen, QwenReranker
from qwen_agentkit.errors import (
    InputError,
    MissingExtraError,
)
from qwen_agentkit.graphs import CorrectiveContext, RagContext, create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.graphs.shared.models import plan_thought, resolve_chat_model, resolve_reranker
from tests.fakes.graphs import (
    FACTORIES,
    HOURS,
    SURE,
    ByScore,
    Plain,
    Played,
    Shelf,
    fallbacks,
    run,
    stages,
)

# Models by name


@pytest.mark.parametrize("name", ["nano", "Qwen/Qwen3-4B", "./models/qwen", "C:\\models\\qwen"])
def test_a_name_is_a_qwen_model_that_has_loaded_nothing(name: str) -> None:
    model = resolve_chat_model(name)
    assert isinstance(model, ChatQwen)
    assert model.model == ("nano-chat" if name == "nano" else name)
    assert not model._held
    reranker = resolve_reranker("nano")
    assert isinstance(reranker, QwenReranker)
    assert reranker.model == "nano-reranker"


def test_objects_and_none_stay_what_they_are() -> None:
    model = Played()
    assert resolve_chat_model(model) is model
    assert resolve_chat_model(None) is None
    assert resolve_reranker(SURE) is SURE


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("  ", InputError, "names no model"),
        ("nobody:gpt-9", InputError, "nobody:gpt-9.*provider:model"),
        ("mistralai:x", MissingExtraError, "mistralai:x.*Install"),
    ],
)
def test_a_name_that_is_none_is_refused_at_once(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        create_rag_graph(name, Shelf())


def test_a_provider_of_langchain_makes_its_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain import chat_models

    made = Played()
    monkeypatch.setattr(chat_models, "init_chat_model", lambda name: made if name == "openai:x" else None)
    assert resolve_chat_model("openai:x") is made


@pytest.mark.parametrize("create", FACTORIES)
def test_graphs_take_names(create: Any) -> None:
    state, _ = run(create(None, Shelf(), reranker="nano"), sentences=1)
    assert state["citations"][0]["quote"] == HOURS.page_content
    create("nano", Shelf())


@pytest.mark.parametrize("create", FACTORIES)
def test_a_path_is_no_retriever(create: Any) -> None:
    with pytest.raises(InputError, match=r"'store' is a str; expected .*QwenVectorStore"):
        create(None, "store")


# Thinking and effort


def test_thinking_is_off_on_or_auto() -> None:
    assert [RagContext(thinking=one).thinking for one in ("off", "on", "auto", True, None)] == [
        False,
        True,
        None,
        True,
        None,
    ]
    for wrong in ("sometimes", 3):
        with pytest.raises(ValidationError, match="thinking"):
            RagContext(thinking=wrong)
    schema = RagContext.model_json_schema()["properties"]["thinking"]
    assert (schema["enum"], schema["default"]) == (["auto", "off", "on"], "auto")


@pytest.mark.parametrize(
    ("node", "settings", "spent", "hard", "wanted"),
    [
        ("generate", {}, 0, None, (None, None)),
        ("generate", {}, 0, True, (True, None)),
        ("generate", {"thinking": "off"}, 0, True, (False, None)),
        ("generate", {"thinking": "on", "thinking_budget": 100}, 30, False, (True, 70)),
        ("generate", {"thinking": "on", "thinking_budget": 100}, 130, False, (False, None)),
        ("generate", {"node_budgets": {"generate": 50}, "thinking_budget": 100}, 30, True, (True, 50)),
        ("generate", {"node_budgets": {"generate": 0}}, 0, True, (False, None)),
        ("repair", {"thinking": "on"}, 0, None, (False, None)),
        ("repair", {"node_budgets": {"repair": 64}}, 0, None, (True, 64)),
        ("grade", {"node_budgets": {"grade": 64}, "thinking": "off"}, 0, None, (False, None)),
    ],
)
def test_a_call_thinks_as_its_node_and_the_budget_say(
    node: Any, settings: dict[str, Any], spent: int, hard: bool | None, wanted: tuple[bool | None, int | None]
) -> None:
    assert plan_thought(node, RagContext(**settings), spent, hard) == wanted


def test_budgets_reach_the_model_and_what_was_thought_counts() -> None:
    thought = AIMessage("At ten [1].", additional_kwargs={"reasoning_content": "x" * 160})
    lines = {"answer": [thought], "repair": ["At nine [1]."]}
    model = Played(lines=lines)
    graph = create_corrective_rag_graph(model, Shelf(documents=[HOURS]), reranker=SURE)
    budgets = {"generate": 512, "repair": 512}
    state, _ = run(graph, thinking="on", thinking_budget=100, node_budgets=budgets)
    assert [settings for _, _, settings in model.asked] == [
        {"thinking": True, "thinking_budget": 100},
        {"thinking": True, "thinking_budget": 60},
    ]
    assert state["thought"] == 40


def test_nano_keeps_its_budget() -> None:
    graph = create_rag_graph(ChatQwen(model="nano", max_tokens=200), Shelf(documents=[HOURS]))
    state, _ = run(graph, thinking="on", node_budgets={"generate": 8})
    assert state["reasoning"]
    assert 0 < state["thought"] < 60  # the words that close a thought included


def test_a_model_without_a_switch_is_left_to_itself_and_that_is_said() -> None:
    model = Plain(lines={"answer": ["At nine [1]."]})
    _, events = run(create_rag_graph(model, Shelf()), thinking="on")
    assert fallbacks(events) == [("generate", "thinking as the model does")]
    assert model.asked[0][2] == {}


def test_an_effort_sets_defaults_and_no_more() -> None:
    assert RagContext(effort="low").thinking is False
    assert RagContext(effort="high").passages == 5
    assert RagContext(effort="high", passages=2, thinking="off").passages == 2
    assert CorrectiveContext(effort="low").attempts == 0
    high = CorrectiveContext(effort="high")
    assert (high.attempts, high.thinking) == (4, None)
    assert CorrectiveContext.model_validate(high.model_dump()) == high
    with pytest.raises(ValidationError, match="effort"):
        RagContext(effort="utmost")  # type: ignore[arg-type]  # what is tested


def test_little_effort_is_one_call() -> None:
    model = Played(lines={"answer": ["At nine [1]."]})
    grey = ByScore(of=lambda query, text: 0.5)
    _, events = run(create_corrective_rag_graph(model, Shelf(), reranker=grey), effort="low", passages=1)
    assert model.tasks() == ["answer"]
    assert "translate" not in stages(events)
