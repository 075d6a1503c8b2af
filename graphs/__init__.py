"""Prebuilt LangGraph graphs. Installed as `qwen_agentkit.graphs`.

Each factory takes any LangChain chat model, retriever and reranker, and returns a compiled graph; each
builder returns the `StateGraph`, to add nodes to. Names resolve on first use, so that one graph does not
import the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen_agentkit.graphs.compare.graph import build_compare_graph, create_compare_graph
    from qwen_agentkit.graphs.compare.state import CompareContext, CompareState
    from qwen_agentkit.graphs.corrective_rag.graph import (
        build_corrective_rag_graph,
        create_corrective_rag_graph,
    )
    from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
    from qwen_agentkit.graphs.ingest.graph import build_ingest_graph, create_ingest_graph
    from qwen_agentkit.graphs.ingest.state import IngestContext, IngestState
    from qwen_agentkit.graphs.rag.graph import build_rag_graph, create_rag_graph
    from qwen_agentkit.graphs.rag_agent.graph import build_rag_agent, create_rag_agent
    from qwen_agentkit.graphs.rag_agent.state import AgentContext
    from qwen_agentkit.graphs.research.graph import build_research_graph, create_research_graph
    from qwen_agentkit.graphs.research.state import ResearchContext, ResearchState
    from qwen_agentkit.graphs.shared.access import GroupRetriever, group_filter
    from qwen_agentkit.graphs.shared.state import RagContext, RagState

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

_MODULES = {
    "AgentContext": "rag_agent.state",
    "CompareContext": "compare.state",
    "CompareState": "compare.state",
    "CorrectiveContext": "corrective_rag.state",
    "CorrectiveState": "corrective_rag.state",
    "GroupRetriever": "shared.access",
    "IngestContext": "ingest.state",
    "IngestState": "ingest.state",
    "RagContext": "shared.state",
    "RagState": "shared.state",
    "ResearchContext": "research.state",
    "ResearchState": "research.state",
    "build_compare_graph": "compare.graph",
    "build_corrective_rag_graph": "corrective_rag.graph",
    "build_ingest_graph": "ingest.graph",
    "build_rag_agent": "rag_agent.graph",
    "build_rag_graph": "rag.graph",
    "build_research_graph": "research.graph",
    "create_compare_graph": "compare.graph",
    "create_corrective_rag_graph": "corrective_rag.graph",
    "create_ingest_graph": "ingest.graph",
    "create_rag_agent": "rag_agent.graph",
    "create_rag_graph": "rag.graph",
    "create_research_graph": "research.graph",
    "group_filter": "shared.access",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
