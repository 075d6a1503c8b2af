"""`research`: a plan of sub-questions, searched for side by side."""

from __future__ import annotations

from qwen_agentkit.graphs.research.graph import ResearchGraph, build_research_graph, create_research_graph
from qwen_agentkit.graphs.research.state import Finding, PlanDecision, ResearchContext, ResearchState

__all__ = [
    "Finding",
    "PlanDecision",
    "ResearchContext",
    "ResearchGraph",
    "ResearchState",
    "build_research_graph",
    "create_research_graph",
]
