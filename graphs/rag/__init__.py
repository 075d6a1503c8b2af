"""`rag`: one pass over the documents, no loop."""

from __future__ import annotations

from qwen_agentkit.graphs.rag.graph import RagGraph, build_rag_graph, create_rag_graph

__all__ = ["RagGraph", "build_rag_graph", "create_rag_graph"]
