"""The graphs that `langgraph.json` names: no arguments, no weights until the first question.

Environment, read once when the server starts:

- ``QWEN_AGENTKIT_PRESET``: nano, 0.6b (default), 4b or 8b.
- ``QWEN_AGENTKIT_STORE``: folder made by ``qwen-agentkit ingest``; default ``.qwen-agentkit/store``.
- ``QWEN_AGENTKIT_DOCUMENTS``: folder that the ingest graph reads; default ``documents``.
- ``QWEN_AGENTKIT_GROUPS``: 1 when each folder in that one belongs to the group of its name. Who is in which
  group is for the server's authentication to say (``examples/auth.py``); without it nothing is found.
"""

from __future__ import annotations

import os
from pathlib import Path

from qwen_agentkit.graphs.rag_agent.graph import create_rag_agent
from qwen_agentkit.graphs.sample_tools import calculator, clock
from qwen_agentkit.graphs.shared.access import group_filter
from qwen_agentkit.stack import Stack, StoreRetriever

__all__ = ["compare", "corrective_rag", "ingest", "rag", "rag_agent", "research"]

_stack = Stack(
    os.environ.get("QWEN_AGENTKIT_PRESET", "0.6b"),
    Path(os.environ.get("QWEN_AGENTKIT_STORE", ".qwen-agentkit/store")),
    groups=os.environ.get("QWEN_AGENTKIT_GROUPS", "") not in ("", "0"),
)

# No checkpointer: `langgraph dev` refuses graphs that bring their own.
rag = _stack.rag_graph().compile(name="rag")
corrective_rag = _stack.corrective_rag_graph().compile(name="corrective_rag")
rag_agent = create_rag_agent(
    _stack.answering,
    StoreRetriever(stack=_stack),
    tools=[calculator, clock],
    reranker=_stack.reranker,
    # Its tools read the store too.
    access=group_filter if _stack.groups else None,
)
research = _stack.research_graph().compile(name="research")
compare = _stack.compare_graph().compile(name="compare")
ingest = _stack.ingest_graph(Path(os.environ.get("QWEN_AGENTKIT_DOCUMENTS", "documents"))).compile(
    name="ingest"
)
