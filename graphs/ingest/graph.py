"""`ingest`: update -> compare -> (approve) -> prune. Follows folders; deletes much only by leave.

Knows the ingest pipeline and when to ask. The folders are the operator's: nothing of a request names one.
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
from qwen_agentkit.graphs.shared.running import timed
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = [
    "IngestGraph",
    "build_ingest_graph",
    "create_ingest_graph",
]


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
    """A graph that brings a store in step with folders, and asks before it deletes much.

    Example::

        graph = create_ingest_graph(store, ["docs"], checkpointer=InMemorySaver())
        thread = {"configurable": {"thread_id": "1"}}
        state = graph.invoke({}, thread)
        if "__interrupt__" in state:  # the value holds a question and the documents to be deleted
            state = graph.invoke(Command(resume=True), thread)
        state["report"]

    Only ``resume=True`` is leave; whatever else is answered keeps the documents. Progress goes to the
    custom stream as ``{"stage", "step", "done", "of"}``.

    Args:
        store: where the chunks go, or what opens it, for each run anew.
        folders: files and folders to read.
        ask_above: share of the stored documents of these folders, 0 to 1, above which a person has to
            approve that they are deleted.
        groups: whether the first folder below a given one names the group that may read what is in it.
        checkpointer: needed to ask; leave it out under `langgraph dev`, which brings its own.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.
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
    """The builder behind `create_ingest_graph`, to add nodes to; arguments as there."""
    nodes = IngestNodes(store, [Path(folder) for folder in folders], groups)

    def much(state: IngestState, runtime: Runtime[IngestContext]) -> Literal["approve", "prune", "__end__"]:
        settings = runtime.context or IngestContext()
        if not state["gone"] or not settings.prune:
            return "__end__"
        return "approve" if state["share"] > ask_above else "prune"

    def approved(state: IngestState) -> Literal["prune", "__end__"]:
        return "prune" if state["approved"] else "__end__"

    graph = StateGraph(IngestState, context_schema=IngestContext, input_schema=IngestInput)
    for name in ("update", "compare", "approve", "prune"):
        graph.add_node(name, timed(name, getattr(nodes, name), IngestContext))
    graph.add_edge(START, "update")
    graph.add_edge("update", "compare")
    graph.add_conditional_edges("compare", much)
    graph.add_conditional_edges("approve", approved)
    graph.add_edge("prune", END)
    return graph
