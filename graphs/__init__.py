"""Prebuilt LangGraph graphs. Installed as `qwen_agentkit.graphs`.

Each factory takes any LangChain chat model, retriever and reranker, and returns a compiled graph; each
builder returns the `StateGraph`, to add nodes to.
"""

from qwen_agentkit.graphs.corrective_rag import build_corrective_rag_graph, create_corrective_rag_graph
from qwen_agentkit.graphs.rag import build_rag_graph, create_rag_graph
from qwen_agentkit.graphs.state import CorrectiveContext, CorrectiveState, RagContext, RagState

__all__ = [
    "CorrectiveContext",
    "CorrectiveState",
    "RagContext",
    "RagState",
    "build_corrective_rag_graph",
    "build_rag_graph",
    "create_corrective_rag_graph",
    "create_rag_graph",
]
