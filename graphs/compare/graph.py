"""`compare`: what the documents of each language say, in their own words and in the reader's.

prepare -> survey -> search, once for each language -> align -> generate -> verify -> (repair) -> cite, or
abstain.
"""

from __future__ import annotations

from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import Send

from qwen_agentkit.graphs.compare.nodes import CompareNodes, send_languages
from qwen_agentkit.graphs.compare.state import CompareContext, CompareState
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

__all__ = ["CompareGraph", "build_compare_graph", "create_compare_graph"]

CompareGraph = StateGraph[CompareState, CompareContext, RagInput, CompareState]
_NODES = ("prepare", "survey", "search", "align", "generate", "verify", "repair", "cite", "abstain")


def create_compare_graph(
    model: ChatModel,
    retriever: Retriever,
    *,
    reranker: Reranker = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "compare",
) -> CompiledStateGraph[CompareState, CompareContext, RagInput, CompareState]:
    """Make a graph that searches the documents of each language, so that none crowds out the others.

    Example::

        graph = create_compare_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "...")]}, context={"languages": ["ar", "en"]})
        [(one["language"], one["quotes"]) for one in state["by_language"]]

    The answer begins with the model's summary of all languages. Then follow the quotes of each language in
    the original, with a translation if they are not in the reader's language. The answer names the languages
    in which nothing was found, and marks those whose search failed with [?]. Failures are announced as in
    `create_rag_graph`.

    The settings of one run are a `CompareContext`.

    Args:
        model: As in `create_rag_graph`. None: the answer has quotes only.
        retriever: A vector store that takes the filter ``{"language": ...}``, its retriever, or one whose
            search takes a keyword `language`. What any other retriever finds is filtered by language
            afterwards. Several threads call it at once.
        reranker: As in `create_rag_graph`.
        checkpointer: As in `create_rag_graph`.
        store: As in `create_rag_graph`.
        cache: As in `create_rag_graph`.
        name: As in `create_rag_graph`.

    Raises:
        InputError: As in `create_rag_graph`.
        MissingExtraError: As in `create_rag_graph`.
    """
    graph = build_compare_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_compare_graph(model: ChatModel, retriever: Retriever, *, reranker: Reranker = None) -> CompareGraph:
    """Make the builder behind `create_compare_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    rag = RagNodes(resolve_chat_model(model), retriever, resolve_reranker(reranker))
    graph = StateGraph(CompareState, context_schema=CompareContext, input_schema=RagInput)
    add_nodes(graph, CompareNodes(rag), _NODES, CompareContext)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "survey")
    graph.add_conditional_edges("survey", _route_after_survey, ["search", "abstain"])
    graph.add_edge("search", "align")
    graph.add_conditional_edges("align", _route_after_align, ["generate", "abstain"])
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", _follow_move, ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _route_after_survey(state: CompareState) -> str | list[Send]:
    return send_languages(state) or "abstain"


def _route_after_align(state: CompareState) -> str:
    return "generate" if any(finding["quotes"] for finding in state["by_language"]) else "abstain"


def _follow_move(state: CompareState) -> str:
    return state["move"]
