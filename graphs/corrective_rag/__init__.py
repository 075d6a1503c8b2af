"""`corrective_rag`: grades what it found, searches again, verifies and repairs."""

from __future__ import annotations

from qwen_agentkit.graphs.corrective_rag.graph import (
    CorrectiveGraph,
    build_corrective_rag_graph,
    create_corrective_rag_graph,
)
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState

__all__ = [
    "CorrectiveContext",
    "CorrectiveGraph",
    "CorrectiveState",
    "build_corrective_rag_graph",
    "create_corrective_rag_graph",
]
