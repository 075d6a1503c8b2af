"""What a store holds of each ingested document, and which of those documents have no file any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.documents import Document

from qwen_agentkit.ingest.discovery import SourceFile
from qwen_agentkit.text.documents import places_in, source_name

__all__ = ["Registry", "StoredDocument", "read_registry", "sources_in", "sources_without_file"]


@dataclass
class StoredDocument:
    """The chunks of one document in the store."""

    ids: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    expected: int = 0
    """How many chunks the document has."""

    def is_complete(self, document_hash: str) -> bool:
        """Tell whether all chunks of this version are stored."""
        return self.has_hash(document_hash) and len(self.ids) == self.expected

    def has_hash(self, document_hash: str) -> bool:
        """Tell whether all stored chunks are of this version."""
        return self.hashes == {document_hash}

    def is_from(self, place: str) -> bool:
        """Tell whether the document came from this place; early stores did not record it."""
        return self.places <= {place}


Registry = dict[str, StoredDocument]
"""The stored documents by source."""


def read_registry(chunks: Iterable[Document]) -> Registry:
    """Group the chunks of a store by document; chunks that ingest did not write are left out."""
    registry: Registry = {}
    for chunk in chunks:
        metadata = chunk.metadata
        if {"source", "document_hash", "chunk_count"} <= metadata.keys():
            stored = registry.setdefault(metadata["source"], StoredDocument())
            stored.ids.add(chunk.id or "")
            stored.hashes.add(metadata["document_hash"])
            stored.places |= {metadata["place"]} if "place" in metadata else set()
            stored.expected = metadata["chunk_count"]
    return registry


def sources_in(folders: Sequence[Path], registry: Registry) -> set[str]:
    """Return the sources of the stored documents that came from these folders."""
    named = [(places_in(folder), f"{source_name(folder)}/") for folder in folders if folder.is_dir()]
    return {
        source
        for source, stored in registry.items()
        for place_in, name in named
        if source.startswith(name) and stored.is_from(place_in(source.removeprefix(name)))
    }


def sources_without_file(stored: set[str], files: Sequence[SourceFile]) -> set[str]:
    """Return the stored sources without a file, except those in folders that cannot be listed."""
    present = {file.source for file in files}
    unlisted = tuple(source for source in present if source.endswith("/"))
    return {source for source in stored - present if not source.startswith(unlisted)}
