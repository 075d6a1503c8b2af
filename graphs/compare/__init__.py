"""`compare`: what the documents of each language say."""

from __future__ import annotations

from qwen_agentkit.graphs.compare.graph import CompareGraph, build_compare_graph, create_compare_graph
from qwen_agentkit.graphs.compare.state import (
    CompareBranch,
    CompareContext,
    CompareState,
    LanguageFinding,
    Quote,
)

__all__ = [
    "CompareBranch",
    "CompareContext",
    "CompareGraph",
    "CompareState",
    "LanguageFinding",
    "Quote",
    "build_compare_graph",
    "create_compare_graph",
]
