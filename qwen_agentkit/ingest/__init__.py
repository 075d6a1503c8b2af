"""Documents into a store: find, read, split, embed, and keep in step with the files."""

from __future__ import annotations

from qwen_agentkit.ingest.chunks import LoadedChunks, load_chunks
from qwen_agentkit.ingest.discovery import SUFFIXES, SourceFile, discover
from qwen_agentkit.ingest.loaders import Part, read_document
from qwen_agentkit.ingest.pipeline import IngestReport, ingest, stored_sources
from qwen_agentkit.ingest.splitting import Chunk, split

__all__ = [
    "SUFFIXES",
    "Chunk",
    "IngestReport",
    "LoadedChunks",
    "Part",
    "SourceFile",
    "discover",
    "ingest",
    "load_chunks",
    "read_document",
    "split",
    "stored_sources",
]
