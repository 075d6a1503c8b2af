"""`corrective_rag`: grades its passages, searches again if none is relevant, verifies and repairs its answer.

prepare -> retrieve -> rerank -> grade -> generate -> verify -> (repair) -> cite, or abstain; from grade back
to retrieve by way of rewrite, translate or widen, as often as the settings and the step limit allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
from qwen_agentkit.graphs.rag.nodes import RagNodes
from qwen_agentkit.graphs.shared.models import (
    ChatModel,
    Reranker,
    Retriever,
    check_retriever,
    resolve_chat_model,
    resolve_reranker,
)
from qwen_agentkit.graphs.shared.runtime import add_nodes
from qwen_agentkit.graphs.shared.state import RagInput

if TYPE_CHECKING:  # langchain-core has it from 1.8 on
    from langchain_core.decisions import BaseDecisionModel

__all__ = ["CorrectiveGraph", "build_corrective_rag_graph", "create_corrective_rag_graph"]

CorrectiveGraph = StateGraph[CorrectiveState, CorrectiveContext, RagInput, CorrectiveState]
_CORRECTIONS = ("rewrite", "translate", "widen")
_NODES = (
    *("prepare", "retrieve", "rerank", "grade", *_CORRECTIONS),
    *("generate", "verify", "repair", "cite", "abstain"),
)


def create_corrective_rag_graph(
    model: ChatModel,
    retriever: Retriever,
    *,
    reranker: Reranker = None,
    decisions: BaseDecisionModel | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "corrective_rag",
) -> CompiledStateGraph[CorrectiveState, CorrectiveContext, RagInput, CorrectiveState]:
    """Make a graph like `rag` that searches again if nothing is relevant, and repairs its answer once.

    Example::

        graph = create_corrective_rag_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "Когда отходит лодка?")]})
        state["answer"], state["tried"], state["verification"]

    The reranker's scores decide which passages are relevant. The model is asked only when no score is high
    enough to be sure. Failures are handled as in `create_rag_graph`.

    The settings of one run are a `CorrectiveContext`: ``graph.invoke(..., context={"attempts": 3})``.

    Args:
        model: As in `create_rag_graph`; best a model with structured output. None: passages are graded by
            their scores alone, a further search is a wider one, and the answer quotes the best sentences.
        retriever: Any retriever, or a vector store.
        reranker: As in `create_rag_graph`. If it has a method ``score(pairs)``, as `QwenReranker` has, it
            also gives each sentence of the answer a support score.
        decisions: A decision model, such as `QwenDecisions`, which then grades the passages in one forward
            instead of the chat model.
        checkpointer: As in `create_rag_graph`.
        store: As in `create_rag_graph`.
        cache: As in `create_rag_graph`.
        name: As in `create_rag_graph`.

    Raises:
        InputError: As in `create_rag_graph`.
        MissingExtraError: As in `create_rag_graph`.
    """
    graph = build_corrective_rag_graph(model, retriever, reranker=reranker, decisions=decisions)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_corrective_rag_graph(
    model: ChatModel,
    retriever: Retriever,
    *,
    reranker: Reranker = None,
    decisions: BaseDecisionModel | None = None,
) -> CorrectiveGraph:
    """Make the builder behind `create_corrective_rag_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    rag = RagNodes(resolve_chat_model(model), retriever, resolve_reranker(reranker))
    nodes = CorrectiveNodes(rag, decisions)
    graph = StateGraph(CorrectiveState, context_schema=CorrectiveContext, input_schema=RagInput)
    add_nodes(graph, nodes, _NODES, CorrectiveContext)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_edge("rerank", "grade")
    graph.add_conditional_edges("grade", _follow_move, ["generate", *_CORRECTIONS, "abstain"])
    for correction in _CORRECTIONS:
        graph.add_edge(correction, "retrieve")
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", _follow_move, ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _follow_move(state: CorrectiveState) -> str:
    return state["move"]
