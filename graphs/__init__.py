"""Prebuilt LangGraph graphs. Installed as `qwen_agentkit.graphs`.

Each factory takes any LangChain chat model, retriever and reranker, and returns a compiled graph; each
builder returns the `StateGraph`, to add nodes to.
"""

from qwen_agentkit.graphs.rag import build_rag_graph, create_rag_graph
from qwen_agentkit.graphs.state import RagContext, RagState

__all__ = ["RagContext", "RagState", "build_rag_graph", "create_rag_graph"]
