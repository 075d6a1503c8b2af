"""`corrective_rag`: passages are graded, weak ones lead to another search, the answer is verified and mended.

prepare -> retrieve -> rerank -> grade -> generate -> verify -> (repair) -> cite, or abstain; from grade back
to retrieve by way of rewrite, translate or widen, as often as the settings and the step limit allow.
"""

from __future__ import annotations

from typing import Any

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
from qwen_agentkit.graphs.shared.models import chat_model, check_retriever, reranker_model
from qwen_agentkit.graphs.shared.nodes import RagNodes, timed
from qwen_agentkit.graphs.shared.state import RagInput

__all__ = ["CorrectiveGraph", "build_corrective_rag_graph", "create_corrective_rag_graph"]

CorrectiveGraph = StateGraph[CorrectiveState, CorrectiveContext, RagInput, CorrectiveState]
_CORRECTIONS = ("rewrite", "translate", "widen")


def create_corrective_rag_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "corrective_rag",
) -> CompiledStateGraph[CorrectiveState, CorrectiveContext, RagInput, CorrectiveState]:
    """A graph like `rag` that searches again when what it found is weak, and mends its answer once.

    Example::

        graph = create_corrective_rag_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "Когда отходит лодка?")]})
        state["answer"], state["tried"], state["verification"]

    The reranker's score says which passages are relevant; the model is asked only when none is for sure.
    What fails is replaced and announced in the custom stream as ``{"stage", "fallback", "error"}``: a
    reranker by the order of the search, a model first by itself without thinking, then by quotes.

    Args:
        model: any chat model, best one with structured output, or the name of one as `create_rag_graph`
            takes it. None: passages are graded by their score
            alone, another search is a wider one, and the best sentences are quoted.
        retriever: any retriever, or a vector store.
        reranker: any compressor that writes `metadata["relevance_score"]`, or the name of one. If it also
            has a method ``score(pairs)``, every sentence of the answer gets a support score from it.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are a `CorrectiveContext`: ``graph.invoke(..., context={"attempts": 3})``.
    """
    graph = build_corrective_rag_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_corrective_rag_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
) -> CorrectiveGraph:
    """The builder behind `create_corrective_rag_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    shared = RagNodes(chat_model(model), retriever, reranker_model(reranker))
    nodes = CorrectiveNodes(shared.model, shared.reranker, shared)
    graph = StateGraph(CorrectiveState, context_schema=CorrectiveContext, input_schema=RagInput)
    for name in (
        *("prepare", "retrieve", "rerank", "grade", *_CORRECTIONS),
        *("generate", "verify", "repair", "cite", "abstain"),
    ):
        graph.add_node(name, timed(name, getattr(nodes, name), CorrectiveContext))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_edge("rerank", "grade")
    graph.add_conditional_edges("grade", _move, ["generate", *_CORRECTIONS, "abstain"])
    for correction in _CORRECTIONS:
        graph.add_edge(correction, "retrieve")
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", _move, ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _move(state: CorrectiveState) -> str:
    return state["move"]
