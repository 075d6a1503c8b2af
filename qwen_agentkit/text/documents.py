"""When two documents are the same passage. Knows LangChain's documents."""

from __future__ import annotations

import hashlib

from langchain_core.documents import Document

from qwen_agentkit.text.citations import document_source

__all__ = ["document_key"]


def document_key(document: Document) -> str:
    """The identity of a passage: a hash of its source and its text, whatever its other metadata."""
    content = f"{document_source(document)}\n{document.page_content}"
    return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32]
