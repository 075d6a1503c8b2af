"""The graphs that `langgraph.json` names load without arguments, weights or a store."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from langgraph.graph.state import CompiledStateGraph

from qwen_agentkit.cli.commands import ingest
from qwen_agentkit.errors import StoreNotFoundError
from qwen_agentkit.stack import Stack

CONFIG = json.loads((Path(__file__).parent.parent / "langgraph.json").read_text())


@pytest.mark.parametrize("name", CONFIG["graphs"])
def test_every_graph_loads_and_describes_itself(name: str) -> None:
    module, _, variable = CONFIG["graphs"][name]["path"].partition(":")
    graph = getattr(import_module(module), variable)()
    assert isinstance(graph, CompiledStateGraph)
    assert graph.name == name
    assert graph.checkpointer is None, "langgraph dev refuses graphs that bring their own"
    assert CONFIG["graphs"][name]["description"]
    settings = graph.get_context_jsonschema()
    assert settings is not None
    assert all(field["description"] for field in settings["properties"].values())


def test_a_graph_over_a_store_answers(tmp_path: Path) -> None:
    (tmp_path / "boat.md").write_text("يغادر القارب في السابعة والنصف.", encoding="utf-8")
    stack = Stack("nano", tmp_path / "store")
    graph = stack.rag_graph().compile()
    question = {"messages": [("user", "متى يغادر القارب؟")]}
    with pytest.raises(StoreNotFoundError, match="qwen-agentkit ingest"):
        graph.invoke(question)
    ingest(stack, [tmp_path / "boat.md"])
    state = graph.invoke(question)
    assert state["citations"][0]["quote"] == "يغادر القارب في السابعة والنصف."
