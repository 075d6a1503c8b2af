"""Prebuilt LangGraph graphs. Installed as `qwen_agentkit.graphs`.

Each factory takes any LangChain chat model, retriever and reranker, and returns a compiled graph; each
builder returns the `StateGraph`, to add nodes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwen_agentkit.graphs.compare.graph import build_compare_graph, create_compare_graph
from qwen_agentkit.graphs.compare.state import CompareContext, CompareState
from qwen_agentkit.graphs.corrective_rag.graph import build_corrective_rag_graph, create_corrective_rag_graph
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
from qwen_agentkit.graphs.ingest.graph import build_ingest_graph, create_ingest_graph
from qwen_agentkit.graphs.ingest.state import IngestContext, IngestState
from qwen_agentkit.graphs.rag.graph import build_rag_graph, create_rag_graph
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.research.graph import build_research_graph, create_research_graph
from qwen_agentkit.graphs.research.state import ResearchContext, ResearchState
from qwen_agentkit.graphs.shared.access import GroupRetriever, group_filter
from qwen_agentkit.graphs.shared.state import RagContext, RagState

if TYPE_CHECKING:
    from qwen_agentkit.graphs.rag_agent.graph import build_rag_agent, create_rag_agent

__all__ = [
    "AgentContext",
    "CompareContext",
    "CompareState",
    "CorrectiveContext",
    "CorrectiveState",
    "GroupRetriever",
    "IngestContext",
    "IngestState",
    "RagContext",
    "RagState",
    "ResearchContext",
    "ResearchState",
    "build_compare_graph",
    "build_corrective_rag_graph",
    "build_ingest_graph",
    "build_rag_agent",
    "build_rag_graph",
    "build_research_graph",
    "create_compare_graph",
    "create_corrective_rag_graph",
    "create_ingest_graph",
    "create_rag_agent",
    "create_rag_graph",
    "create_research_graph",
    "group_filter",
]


def __getattr__(name: str) -> Any:
    # On first use: they need langchain, which the other graphs do without.
    if name in ("build_rag_agent", "create_rag_agent"):
        from qwen_agentkit.graphs.rag_agent import graph as rag_agent

        return getattr(rag_agent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
