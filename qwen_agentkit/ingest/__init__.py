"""Documents into a store: find, read, split, embed, and keep in step with the files.

Names resolve on first use, so that a process that only reads files loads no store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    **dict.fromkeys(("LoadedChunks", "load_chunks"), "chunks"),
    **dict.fromkeys(("SUFFIXES", "SourceFile", "discover"), "discovery"),
    **dict.fromkeys(("Part", "read_document"), "loaders"),
    **dict.fromkeys(("IngestReport", "ingest", "stored_sources"), "pipeline"),
    **dict.fromkeys(("Chunk", "split"), "splitting"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
