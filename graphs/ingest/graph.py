"""`ingest`: update -> compare -> (approve) -> prune. Follows folders; asks before deleting many documents.

Knows the ingest pipeline and when to ask. The operator names the folders: no request can name one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from qwen_agentkit.graphs.ingest.nodes import IngestNodes
from qwen_agentkit.graphs.ingest.state import IngestContext, IngestInput, IngestState
from qwen_agentkit.graphs.shared.runtime import add_nodes
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestGraph", "build_ingest_graph", "create_ingest_graph"]

IngestGraph = StateGraph[IngestState, IngestContext, IngestInput, IngestState]
Folders = Sequence[str | os.PathLike[str]]


def create_ingest_graph(
    store: QwenVectorStore | Callable[[], QwenVectorStore],
    folders: Folders,
    *,
    ask_above: float = 0.2,
    groups: bool = False,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "ingest",
) -> CompiledStateGraph[IngestState, IngestContext, IngestInput, IngestState]:
    """Make a graph that brings a store in step with folders, and asks before it deletes many documents.

    Example::

        graph = create_ingest_graph(store, ["docs"], checkpointer=InMemorySaver())
        thread = {"configurable": {"thread_id": "1"}}
        state = graph.invoke({}, thread)
        if "__interrupt__" in state:  # its value holds the question and the documents
            state = graph.invoke(Command(resume=True), thread)
        state["report"]

    Only ``resume=True`` approves; any other answer keeps the documents. Progress goes to the custom stream as
    ``{"stage", "step", "done", "of"}``.

    Args:
        store: The store, or a function that opens it. The function is called anew for each step.
        folders: Files and folders to read.
        ask_above: Share of the stored documents of these folders, 0 to 1. A person has to approve when more
            than this share is to be deleted.
        groups: Whether the first folder below a given one names the group that may read its files.
        checkpointer: Needed for approval. Pass none under `langgraph dev`, which brings its own.
        cache: LangGraph's node cache.
        name: Name of the graph in traces and in Studio.
    """
    graph = build_ingest_graph(store, folders, ask_above=ask_above, groups=groups)
    return graph.compile(checkpointer=checkpointer, cache=cache, name=name)


def build_ingest_graph(
    store: QwenVectorStore | Callable[[], QwenVectorStore],
    folders: Folders,
    *,
    ask_above: float = 0.2,
    groups: bool = False,
) -> IngestGraph:
    """Make the builder behind `create_ingest_graph`, to add nodes to; arguments as there."""
    nodes = IngestNodes(store, [Path(folder) for folder in folders], groups)

    def route_after_compare(
        state: IngestState, runtime: Runtime[IngestContext]
    ) -> Literal["approve", "prune", "__end__"]:
        settings = runtime.context or IngestContext()
        if not state["gone"] or not settings.prune:
            return "__end__"
        return "approve" if state["share"] > ask_above else "prune"

    graph = StateGraph(IngestState, context_schema=IngestContext, input_schema=IngestInput)
    add_nodes(graph, nodes, ("update", "compare", "approve", "prune"), IngestContext)
    graph.add_edge(START, "update")
    graph.add_edge("update", "compare")
    graph.add_conditional_edges("compare", route_after_compare)
    graph.add_conditional_edges("approve", _route_after_approve)
    graph.add_edge("prune", END)
    return graph


def _route_after_approve(state: IngestState) -> Literal["prune", "__end__"]:
    return "prune" if state["approved"] else "__end__"
