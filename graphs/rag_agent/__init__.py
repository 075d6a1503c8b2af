"""`rag_agent`: an agent of LangChain over documents."""

from __future__ import annotations

from qwen_agentkit.graphs.rag_agent.graph import build_rag_agent, create_rag_agent
from qwen_agentkit.graphs.rag_agent.state import AgentContext

__all__ = ["AgentContext", "build_rag_agent", "create_rag_agent"]
