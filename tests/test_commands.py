"""`ask` with a chat model that writes the answer, and what it reports while it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from qwen_agentkit.cli import commands
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.stack import Stack

ANSWER = "The library opens at nine [1], and not at ten [5]."


class Scripted(Stack):
    """The nano stack with a chat model that says what it is told to."""

    @property
    def answering(self) -> BaseChatModel:
        return GenericFakeChatModel(messages=iter([AIMessage(ANSWER)]))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "hours.md").write_text("# Hours\n\nThe library opens at nine.", encoding="utf-8")
    stack = Scripted("nano", tmp_path / "store")
    commands.ingest(stack, [tmp_path / "hours.md"])
    return stack


def test_the_checked_answer_follows_the_stream(stack: Stack) -> None:
    events: list[tuple[str, Any]] = []
    result = commands.ask(
        stack, "When does the library open?", on_event=lambda kind, value: events.append((kind, value))
    )
    assert result["answer"] == "The library opens at nine [1], and not at ten. [?]"
    assert result["citations"][0]["quote"] == "The library opens at nine."
    assert "".join(value for kind, value in events if kind == "answer") == result["answer"]
    stages = [value["stage"] for kind, value in events if kind == "stage"]
    assert stages == ["prepare", "retrieve", "rerank", "generate", "cite"] == list(result["timings"])


def test_a_stage_tells_the_tokens_of_its_model_calls(stack: Stack) -> None:
    used: UsageMetadata = {"input_tokens": 70, "output_tokens": 8, "total_tokens": 78}
    model = FakeMessagesListChatModel(responses=[AIMessage(ANSWER, usage_metadata=used)])
    with stack.store() as store:
        graph = create_rag_graph(model, store, reranker=stack.reranker)
        question = {"messages": [("user", "When does the library open?")]}
        events = {event["stage"]: event for event in graph.stream(question, stream_mode="custom")}
    assert events["generate"]["tokens"] == {"input": 70, "output": 8}
    assert [stage for stage, event in events.items() if "tokens" in event] == ["generate"]


def test_settings_reach_the_graph(stack: Stack) -> None:
    result = commands.ask(stack, "When does the library open?", settings={"min_score": 1.0})
    assert result["abstained"]
    assert result["documents"] == []


def test_search_keeps_both_scores(stack: Stack) -> None:
    [found] = commands.search(stack, "library opens", candidates=5, limit=3)
    assert found["rank_before"] == 1
    assert found["score"] is not None
    assert found["retrieval_score"] is not None
