"""`ingest`: brings a store in step with folders of documents."""

from __future__ import annotations

from qwen_agentkit.graphs.ingest.graph import IngestGraph, build_ingest_graph, create_ingest_graph
from qwen_agentkit.graphs.ingest.state import IngestContext, IngestInput, IngestState

__all__ = [
    "IngestContext",
    "IngestGraph",
    "IngestInput",
    "IngestState",
    "build_ingest_graph",
    "create_ingest_graph",
]
