"""`rag`: prepare -> retrieve -> rerank -> generate -> (repair) -> cite, or abstain. One pass, no loop."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

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
from qwen_agentkit.graphs.shared.state import RagContext, RagInput, RagState

__all__ = ["RagGraph", "build_rag_graph", "create_rag_graph"]

RagGraph = StateGraph[RagState, RagContext, RagInput, RagState]
_NODES = ("prepare", "retrieve", "rerank", "generate", "repair", "cite", "abstain")


def create_rag_graph(
    model: ChatModel,
    retriever: Retriever,
    *,
    reranker: Reranker = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "rag",
) -> CompiledStateGraph[RagState, RagContext, RagInput, RagState]:
    r"""Make a graph that answers from documents, with numbered citations, in the language of the question.

    Example:
        >>> graph = create_rag_graph(None, store, reranker=QwenReranker(model="nano"))
        >>> question = {"messages": [("user", "When does the library open?")]}
        >>> state = graph.invoke(question, context={"sentences": 1})
        >>> state["answer"], state["citations"][0]["source"]
        ('From the documents:\nThe library opens at nine. [1]', 'hours.md')

    A follow-up question of a thread is rewritten so that it can be understood alone. What fails is replaced
    and announced in the custom stream as ``{"stage", "fallback", "error"}``: a reranker by the order of the
    search; a model by a second call without thinking, then by quotes. A search that fails is a
    `RetrievalError`.

    The settings of one run are a `RagContext`: ``graph.invoke(..., context={"passages": 5})``.

    Args:
        model: Any chat model, or the name of one: a preset, hub id or folder of a Qwen model, or LangChain's
            "provider:model". None: the answer quotes the best sentences, and nothing is generated.
        retriever: Any retriever, or a vector store.
        reranker: Any compressor that writes `metadata["relevance_score"]`, or the name of a Qwen reranker.
            Passages under the setting `min_score` are dropped. When none is left, the graph abstains.
        checkpointer: Stores conversations. Pass none under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory.
        cache: LangGraph's node cache.
        name: Name of the graph in traces and in Studio.

    Raises:
        InputError: The retriever cannot be searched, or no model can be made from a name.
        MissingExtraError: The model's name has a provider, and its package is not installed.
    """
    graph = build_rag_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_rag_graph(model: ChatModel, retriever: Retriever, *, reranker: Reranker = None) -> RagGraph:
    """Make the builder behind `create_rag_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    nodes = RagNodes(resolve_chat_model(model), retriever, resolve_reranker(reranker))
    graph = StateGraph(RagState, context_schema=RagContext, input_schema=RagInput)
    add_nodes(graph, nodes, _NODES, RagContext)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_conditional_edges("rerank", _route_after_rerank)
    graph.add_conditional_edges("generate", _route_after_generate)
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _route_after_rerank(state: RagState) -> Literal["generate", "abstain"]:
    return "generate" if state["documents"] else "abstain"


def _route_after_generate(state: RagState) -> Literal["repair", "cite"]:
    return "repair" if state["move"] == "repair" else "cite"
