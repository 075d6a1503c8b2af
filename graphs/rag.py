"""`rag`: prepare -> retrieve -> rerank -> generate -> cite, or abstain. One pass, no loop."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from qwen_agentkit.graphs.nodes import RagNodes, passage_prompt, timed
from qwen_agentkit.graphs.state import RagContext, RagInput, RagState

__all__ = ["build_rag_graph", "create_rag_graph", "passage_prompt"]

RagGraph = StateGraph[RagState, RagContext, RagInput, RagState]


def create_rag_graph(
    model: BaseChatModel | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "rag",
) -> CompiledStateGraph[RagState, RagContext, RagInput, RagState]:
    """A graph that answers from documents, with numbered citations, in the language of the question.

    Example:
        >>> graph = create_rag_graph(ChatQwen(), store, reranker=QwenReranker())
        >>> state = graph.invoke({"messages": [("user", "متى تفتح المكتبة؟")]})
        >>> state["answer"], state["citations"]

    Args:
        model: any chat model. None: the best sentences are quoted as they are and nothing is generated.
        retriever: any retriever, or a vector store.
        reranker: any compressor that writes `metadata["relevance_score"]`. Passages under the
            context's `min_score` are dropped; when none is left the answer is an abstention.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are a `RagContext`: ``graph.invoke(..., context={"passages": 5})``.
    """
    graph = build_rag_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_rag_graph(
    model: BaseChatModel | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | None = None,
) -> RagGraph:
    """The builder behind `create_rag_graph`, to add nodes to; arguments as there."""
    nodes = RagNodes(model, retriever, reranker)

    def relevant(state: RagState) -> Literal["generate", "abstain"]:
        return "generate" if state["documents"] else "abstain"

    graph = StateGraph(RagState, context_schema=RagContext, input_schema=RagInput)
    for name in ("prepare", "retrieve", "rerank", "generate", "cite", "abstain"):
        graph.add_node(name, timed(name, getattr(nodes, name), RagContext))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_conditional_edges("rerank", relevant)
    graph.add_edge("generate", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph
