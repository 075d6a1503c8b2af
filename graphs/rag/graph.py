"""`rag`: prepare -> retrieve -> rerank -> generate -> (repair) -> cite, or abstain. One pass, no loop."""

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

from qwen_agentkit.graphs.shared.models import chat_model, check_retriever, reranker_model
from qwen_agentkit.graphs.shared.nodes import RagNodes, passage_prompt, timed
from qwen_agentkit.graphs.shared.state import RagContext, RagInput, RagState

__all__ = ["build_rag_graph", "create_rag_graph", "passage_prompt"]

RagGraph = StateGraph[RagState, RagContext, RagInput, RagState]


def create_rag_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "rag",
) -> CompiledStateGraph[RagState, RagContext, RagInput, RagState]:
    r"""A graph that answers from documents, with numbered citations, in the language of the question.

    Example:
        >>> graph = create_rag_graph(None, store, reranker=QwenReranker(model="nano"))
        >>> question = {"messages": [("user", "When does the library open?")]}
        >>> state = graph.invoke(question, context={"sentences": 1})
        >>> state["answer"], state["citations"][0]["source"]
        ('From the documents:\nThe library opens at nine. [1]', 'hours.md')

    Args:
        model: any chat model; or the name of one: a preset, hub id or folder of a Qwen model, or LangChain's
            "provider:model". None: the best sentences are quoted as they are and nothing is generated.
        retriever: any retriever, or a vector store.
        reranker: any compressor that writes `metadata["relevance_score"]`, or the name of one. Passages
            under the context's `min_score` are dropped; when none is left the answer is an abstention.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    A further question of a thread is rewritten so that it stands alone. What fails is replaced and announced
    in the custom stream as ``{"stage", "fallback", "error"}``: a reranker by the order of the search, a model
    first by itself without thinking, then by quotes. A search that fails is a `RetrievalError`.

    Settings of one run are a `RagContext`: ``graph.invoke(..., context={"passages": 5})``.
    """
    graph = build_rag_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_rag_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
) -> RagGraph:
    """The builder behind `create_rag_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    nodes = RagNodes(chat_model(model), retriever, reranker_model(reranker))

    def relevant(state: RagState) -> Literal["generate", "abstain"]:
        return "generate" if state["documents"] else "abstain"

    def written(state: RagState) -> Literal["repair", "cite"]:
        return "repair" if state["move"] == "repair" else "cite"

    graph = StateGraph(RagState, context_schema=RagContext, input_schema=RagInput)
    for name in ("prepare", "retrieve", "rerank", "generate", "repair", "cite", "abstain"):
        graph.add_node(name, timed(name, getattr(nodes, name), RagContext))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_conditional_edges("rerank", relevant)
    graph.add_conditional_edges("generate", written)
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph
