"""The graphs that `langgraph.json` names: no arguments, no weights until the first question.

Environment, read once when the server starts:

- ``QWEN_AGENTKIT_PRESET``: nano, 0.6b (default), 4b or 8b.
- ``QWEN_AGENTKIT_STORE``: folder made by ``qwen-agentkit ingest``; default ``.qwen-agentkit/store``.
"""

from __future__ import annotations

import os
from pathlib import Path

from qwen_agentkit.graphs.rag_agent import create_rag_agent
from qwen_agentkit.graphs.sample_tools import calculator, clock
from qwen_agentkit.stack import Stack, StoreRetriever

__all__ = ["compare", "corrective_rag", "rag", "rag_agent", "research"]

_stack = Stack(
    os.environ.get("QWEN_AGENTKIT_PRESET", "0.6b"),
    Path(os.environ.get("QWEN_AGENTKIT_STORE", ".qwen-agentkit/store")),
)

# No checkpointer: `langgraph dev` refuses graphs that bring their own.
rag = _stack.rag_graph().compile(name="rag")
corrective_rag = _stack.corrective_rag_graph().compile(name="corrective_rag")
rag_agent = create_rag_agent(
    _stack.answering,
    StoreRetriever(stack=_stack),
    tools=[calculator, clock],
    reranker=_stack.reranker,
)
research = _stack.research_graph().compile(name="research")
compare = _stack.compare_graph().compile(name="compare")
