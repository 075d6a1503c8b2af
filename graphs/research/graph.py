"""`research`: a question is planned, its parts are searched for side by side, and what is missing again.

prepare -> plan -> (approve) -> research, once for each sub-question -> review -> generate -> verify ->
(repair) -> cite, or abstain; from review back to research as often as the settings and the step limit allow.
"""

from __future__ import annotations

from typing import Any

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Send

from qwen_agentkit.graphs.corrective_rag.nodes import CorrectiveNodes
from qwen_agentkit.graphs.rag.nodes import RagNodes
from qwen_agentkit.graphs.research.nodes import ResearchNodes, send_sub_questions
from qwen_agentkit.graphs.research.state import ResearchContext, ResearchState
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

__all__ = ["ResearchGraph", "build_research_graph", "create_research_graph"]

ResearchGraph = StateGraph[ResearchState, ResearchContext, RagInput, ResearchState]
_NODES = (
    *("prepare", "plan", "approve", "research", "review"),
    *("generate", "verify", "repair", "cite", "abstain"),
)


def create_research_graph(
    model: ChatModel,
    retriever: Retriever,
    *,
    reranker: Reranker = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "research",
) -> CompiledStateGraph[ResearchState, ResearchContext, RagInput, ResearchState]:
    """Make a graph for questions that take several searches, with a plan that a person may approve first.

    Example::

        graph = create_research_graph(ChatQwen(), store, reranker=QwenReranker())
        state = graph.invoke({"messages": [("user", "...")]}, context={"effort": "high"})
        state["plan"], state["answer"], state["citations"]

    With the setting `approve_plan` and a checkpointer, the graph stops with the plan in ``__interrupt__``.
    Continue with ``Command(resume={"type": "approve"})``, ``{"type": "edit", "plan": [...]}`` or
    ``{"type": "reject"}``; after a rejection there is no answer. Pass the same `context` again, since
    LangGraph does not keep it.

    Failures are handled as in `create_corrective_rag_graph`; a plan is replaced by the question itself, and
    a search that fails by the other searches.

    The settings of one run are a `ResearchContext`.

    Args:
        model: As in `create_rag_graph`; best a model with structured output. None: the question is its own
            only sub-question, and the answer quotes the best sentences.
        retriever: Any retriever, or a vector store. Several threads call it at once.
        reranker: As in `create_corrective_rag_graph`.
        checkpointer: As in `create_rag_graph`. `approve_plan` needs one.
        store: As in `create_rag_graph`.
        cache: As in `create_rag_graph`.
        name: As in `create_rag_graph`.

    Raises:
        InputError: As in `create_rag_graph`.
        MissingExtraError: As in `create_rag_graph`.
    """
    graph = build_research_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_research_graph(
    model: ChatModel, retriever: Retriever, *, reranker: Reranker = None
) -> ResearchGraph:
    """Make the builder behind `create_research_graph`, to add nodes to; arguments as there."""
    check_retriever(retriever)
    rag = RagNodes(resolve_chat_model(model), retriever, resolve_reranker(reranker))
    graph = StateGraph(ResearchState, context_schema=ResearchContext, input_schema=RagInput)
    add_nodes(graph, ResearchNodes(CorrectiveNodes(rag)), _NODES, ResearchContext)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "plan")
    graph.add_conditional_edges("plan", _route_after_plan, ["approve", "research"])
    graph.add_conditional_edges("approve", _route_after_approve, ["research", END])
    graph.add_edge("research", "review")
    graph.add_conditional_edges("review", _route_after_review, ["research", "generate", "abstain"])
    graph.add_edge("generate", "verify")
    graph.add_conditional_edges("verify", _follow_move, ["repair", "cite"])
    graph.add_edge("repair", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _route_after_plan(state: ResearchState, runtime: Runtime[ResearchContext]) -> str | list[Send]:
    asks = runtime.context is not None and runtime.context.approve_plan
    return "approve" if asks else send_sub_questions(state)


def _route_after_approve(state: ResearchState) -> str | list[Send]:
    return send_sub_questions(state) or END


def _route_after_review(state: ResearchState) -> str | list[Send]:
    return send_sub_questions(state) or ("generate" if state["documents"] else "abstain")


def _follow_move(state: ResearchState) -> str:
    return state["move"]
