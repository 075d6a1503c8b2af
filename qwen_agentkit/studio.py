"""The graphs that `langgraph.json` names, each a function without arguments that builds its graph once.

Importing this module builds nothing and reads nothing. The loader of `langgraph dev` looks names up in the
module's dictionary and calls what it finds there, so these are functions and not lazy attributes. Weights
are loaded at the first question.

Environment, read when the first graph is built:

- ``QWEN_AGENTKIT_PRESET``: nano, 0.6b (default), 4b or 8b.
- ``QWEN_AGENTKIT_STORE``: folder made by ``qwen-agentkit ingest``; default ``.qwen-agentkit/store``.
- ``QWEN_AGENTKIT_DOCUMENTS``: folder that the ingest graph reads; default ``documents``.
- ``QWEN_AGENTKIT_GROUPS``: 1 when each folder in that one belongs to the group of its name. Who is in which
  group is for the server's authentication to say (``examples/auth.py``); without it nothing is found.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from qwen_agentkit.stack import Stack

__all__ = ["compare", "corrective_rag", "ingest", "rag", "rag_agent", "research"]

# No checkpointer in any of them: `langgraph dev` refuses graphs that bring their own.


@cache
def rag() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph `rag` over the store."""
    return _stack().rag_graph().compile(name="rag")


@cache
def corrective_rag() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph `corrective_rag` over the store."""
    return _stack().corrective_rag_graph().compile(name="corrective_rag")


@cache
def rag_agent() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent over the store, with a calculator and a clock. Needs the extra `agent`."""
    from qwen_agentkit.graphs.rag_agent.graph import create_rag_agent
    from qwen_agentkit.graphs.sample_tools import calculator, clock
    from qwen_agentkit.graphs.shared.access import group_filter
    from qwen_agentkit.stack import StoreRetriever

    stack = _stack()
    return create_rag_agent(
        stack.answering,
        StoreRetriever(stack=stack),
        tools=[calculator, clock],
        reranker=stack.reranker,
        # Its tools read the store too.
        access=group_filter if stack.groups else None,
    )


@cache
def research() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph `research` over the store."""
    return _stack().research_graph().compile(name="research")


@cache
def compare() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph `compare` over the store."""
    return _stack().compare_graph().compile(name="compare")


@cache
def ingest() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph that brings the store up to date with the folder of documents."""
    documents = Path(os.environ.get("QWEN_AGENTKIT_DOCUMENTS", "documents"))
    return _stack().ingest_graph(documents).compile(name="ingest")


@cache
def _stack() -> Stack:
    """The models and the store that all graphs share."""
    from qwen_agentkit.stack import Stack

    return Stack(
        os.environ.get("QWEN_AGENTKIT_PRESET", "0.6b"),
        Path(os.environ.get("QWEN_AGENTKIT_STORE", ".qwen-agentkit/store")),
        groups=os.environ.get("QWEN_AGENTKIT_GROUPS", "") not in ("", "0"),
    )
