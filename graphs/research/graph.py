"""`research`: a question is planned, its parts are searched for side by side, what is missing again.

prepare -> plan -> (approve) -> research, once for each sub-question -> review -> generate -> verify ->
(repair) -> cite, or abstain; from review back to research as often as the settings and the step limit allow.
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
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Send

from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.research.nodes import ResearchNodes, searches
from qwen_agentkit.graphs.research.state import ResearchContext, ResearchState
from qwen_agentkit.graphs.shared.models import chat_model, check_retriever, reranker_model
from qwen_agentkit.graphs.shared.nodes import RagNodes, timed
from qwen_agentkit.graphs.shared.state import RagInput

__all__ = ["ResearchGraph", "build_research_graph", "create_research_graph"]

ResearchGraph = StateGraph[ResearchState, ResearchContext, RagInput, ResearchState]


def create_research_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "research",
) -> CompiledStateGraph[ResearchState, ResearchContext, RagInput, ResearchState]:
    """A graph for questions that take several searches, with a plan that a person may approve first.

    Example::

        graph = create_research_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "...")]}, context={"effort": "high"})
        state["plan"], state["answer"], state["citations"]

    With the setting `approve_plan` and a checkpointer, the graph stops with the plan in ``__interrupt__``. Go
    on with ``Command(resume={"type": "approve"})``, ``{"type": "edit", "plan": [...]}`` or
    ``{"type": "reject"}``, after which there is no answer, and with the same `context`: LangGraph keeps none.

    What fails is replaced and announced in the custom stream as ``{"stage", "fallback", "error"}``: a plan by
    the question itself, a search by the others, the rest as in `corrective_rag`.

    Args:
        model: any chat model, best one with structured output, or the name of one as in `create_rag_graph`.
            None: the question is its own only sub-question, and the best sentences are quoted.
        retriever: any retriever, or a vector store. It is asked by several threads at once.
        reranker: any compressor that writes `metadata["relevance_score"]`. If it also has a method
            ``score(pairs)``, every sentence of the answer gets a support score from it.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are a `ResearchContext`.
    """
    graph = build_research_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_research_graph(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | str | None = None,
) -> ResearchGraph:
    """The builder behind `create_research_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    chat, ranker = chat_model(model), reranker_model(reranker)
    shared = CorrectiveNodes(chat, ranker, RagNodes(chat, retriever, ranker))
    nodes = ResearchNodes(chat, shared)
    graph = StateGraph(ResearchState, context_schema=ResearchContext, input_schema=RagInput)
    for name in (
        *("prepare", "plan", "approve", "research", "review"),
        *("generate", "verify", "repair", "cite", "abstain"),
    ):
        graph.add_node(name, timed(name, getattr(nodes, name), ResearchContext))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "plan")
    graph.add_conditional_edges("plan", _planned, ["approve", "research"])
    graph.add_conditional_edges("approve", _approved, ["research", END])
    graph.add_edge("research", "review")
    graph.add_conditional_edges("review", _reviewed, ["research", "generate", "abstain"])
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", lambda state: state["move"], ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _planned(state: ResearchState, runtime: Runtime[ResearchContext]) -> str | list[Send]:
    asks = runtime.context is not None and runtime.context.approve_plan
    return "approve" if asks else searches(state)


def _approved(state: ResearchState) -> str | list[Send]:
    return searches(state) or END


def _reviewed(state: ResearchState) -> str | list[Send]:
    return searches(state) or ("generate" if state["documents"] else "abstain")
