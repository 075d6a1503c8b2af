"""`compare`: what the documents of each language say, in their own words and in the reader's.

prepare -> survey -> search, once for each language -> align -> generate -> verify -> (repair) -> cite, or
abstain.
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
from langgraph.types import Send

from qwen_agentkit.graphs.compare.nodes import CompareNodes, searches
from qwen_agentkit.graphs.compare.state import CompareContext, CompareState
from qwen_agentkit.graphs.shared.models import chat_model, check_retriever, reranker_model
from qwen_agentkit.graphs.shared.nodes import timed
from qwen_agentkit.graphs.shared.state import RagInput

__all__ = ["CompareGraph", "build_compare_graph", "create_compare_graph"]

CompareGraph = StateGraph[CompareState, CompareContext, RagInput, CompareState]


def create_compare_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "compare",
) -> CompiledStateGraph[CompareState, CompareContext, RagInput, CompareState]:
    """A graph that asks the documents of each language, so that none crowds out the others.

    Example::

        graph = create_compare_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "...")]}, context={"languages": ["ar", "en"]})
        [(one["language"], one["quotes"]) for one in state["by_language"]]

    The answer is what the model says of all of them, then the quotes of each language in the original, with a
    translation beside those that the reader cannot read. A language that says nothing is named, and one whose
    search failed is marked [?]. What fails is announced in the custom stream as
    ``{"stage", "fallback", "error"}``.

    Args:
        model: any chat model, or the name of one as in `create_rag_graph`. None: quotes only.
        retriever: a vector store that takes the filter ``{"language": ...}``, its retriever, or one whose
            search takes a keyword `language`; of any other the findings are sorted by language afterwards.
            It is asked by several threads at once.
        reranker: any compressor that writes `metadata["relevance_score"]`.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are a `CompareContext`.
    """
    graph = build_compare_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_compare_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
) -> CompareGraph:
    """The builder behind `create_compare_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    nodes = CompareNodes(chat_model(model), retriever, reranker_model(reranker))
    graph = StateGraph(CompareState, context_schema=CompareContext, input_schema=RagInput)
    for name in (
        *("prepare", "survey", "search", "align", "generate"),
        *("verify", "repair", "cite", "abstain"),
    ):
        graph.add_node(name, timed(name, getattr(nodes, name), CompareContext))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "survey")
    graph.add_conditional_edges("survey", _surveyed, ["search", "abstain"])
    graph.add_edge("search", "align")
    graph.add_conditional_edges("align", _aligned, ["generate", "abstain"])
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", lambda state: state["move"], ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _surveyed(state: CompareState) -> str | list[Send]:
    return searches(state) or "abstain"


def _aligned(state: CompareState) -> str:
    return "generate" if any(finding["quotes"] for finding in state["by_language"]) else "abstain"
