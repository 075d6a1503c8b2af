"""The parts of a document into chunks with their metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.ingest.discovery import SourceFile
from qwen_agentkit.ingest.loaders import has_text
from qwen_agentkit.ingest.reading import ReadFile
from qwen_agentkit.ingest.splitting import CountTokens, split
from qwen_agentkit.text.documents import chunk_ids
from qwen_agentkit.text.languages import detect_language

__all__ = ["PIPELINE_VERSION", "Chunking", "estimate_tokens", "make_chunks"]

PIPELINE_VERSION = 6
"""Part of every document's hash. Raise it when reading, splitting or the terms of words change; all documents
are read again, and what is not embedded again gets new word vectors."""

_MIN_LETTERS = 20
"""A chunk with fewer letters gets the language of its document."""


@dataclass(frozen=True)
class Chunking:
    """How documents become chunks."""

    count_tokens: CountTokens
    max_tokens: int
    groups: bool

    @property
    def version(self) -> str:
        """Describes the settings in every document's hash."""
        return f"{PIPELINE_VERSION} {self.max_tokens} {'groups ' if self.groups else ''}"


def make_chunks(file: SourceFile, read: ReadFile, chunking: Chunking) -> list[Document]:
    """Return the chunks of a document."""
    pieces = [
        (part, chunk)
        for part in filter(has_text, read.parts)
        for chunk in split(part.text, chunking.count_tokens, chunking.max_tokens)
    ]
    texts = [chunk.text for _, chunk in pieces]
    language = detect_language("\n".join(part.text for part in read.parts))
    metadatas: list[dict[str, Any]] = [
        {
            "source": file.source,
            "place": file.place,
            **({"group": file.group} if chunking.groups else {}),
            "language": _detect_chunk_language(chunk.text, language),
            **part.metadata,
            **({"section": chunk.section} if chunk.section else {}),
            "start": chunk.start,
            "end": chunk.end,
            "chunk": number,
            "chunk_count": len(pieces),
            "document_hash": read.hash,
        }
        for number, (part, chunk) in enumerate(pieces)
    ]
    ids = chunk_ids(texts, metadatas)
    return [Document(id=i, page_content=t, metadata=m) for i, t, m in zip(ids, texts, metadatas, strict=True)]


def _detect_chunk_language(text: str, default: str) -> str:
    has_letters = any(sum(map(str.isalpha, piece)) >= _MIN_LETTERS for piece in (text[:200], text))
    return detect_language(text, default) if has_letters else default


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate the tokens of texts on the high side: three bytes per token hold for every script."""
    return [len(text.encode()) // 3 + 1 for text in texts]
