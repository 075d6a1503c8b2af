"""`rag`: one pass over the documents, no loop."""

from __future__ import annotations

from qwen_agentkit.graphs.rag.graph import build_rag_graph, create_rag_graph, passage_prompt

__all__ = ["build_rag_graph", "create_rag_graph", "passage_prompt"]
