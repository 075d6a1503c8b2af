"""A search in the documents of one language, over any retriever.

Knows how retrievers and stores are told a language, and that a filter of theirs must never be replaced.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import ConfigDict, TypeAdapter, ValidationError

from qwen_agentkit.graphs.shared.branches import NOT_OF_ONE_BRANCH
from qwen_agentkit.graphs.shared.state import LanguageCode
from qwen_agentkit.text.languages import detect_language

__all__ = ["InLanguage", "document_language"]

_CODE: TypeAdapter[str] = TypeAdapter(LanguageCode)
Search = Callable[[str], list[Document]]


class InLanguage(BaseRetriever):
    """What a retriever finds in one language.

    A vector store is told the language as the filter ``{"language": ...}``, and so is its retriever, beside
    the filter that it has. Another retriever is told it if its search takes a keyword `language`. Of the
    rest, and where that fails or finds nothing, all that is found is sorted by language afterwards.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    source: BaseRetriever | VectorStore
    language: str
    """ISO 639-1 code, as in the documents' metadata."""
    limit: int
    announce: Callable[[str, Exception], None]
    """Told what is done instead when the filter fails."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        narrow = _narrow(self.source, self.language, self.limit)
        found: list[Document] = []
        if narrow is not None:
            try:
                found = self._own(narrow(query))
            except NOT_OF_ONE_BRANCH:
                raise
            except Exception as error:
                self.announce("a search in all languages", error)
        return (found or self._own(_wide(self.source, self.limit)(query)))[: self.limit]

    def _own(self, found: list[Document]) -> list[Document]:
        return [document for document in found if document_language(document) == self.language]


def _narrow(source: BaseRetriever | VectorStore, language: str, limit: int) -> Search | None:
    """A search in one language, or None where there is no way to ask for it that leaves other filters be."""
    wanted: dict[str, Any] = {"language": language}
    if isinstance(source, VectorStore):
        return source.as_retriever(search_kwargs={"k": limit, "filter": wanted}).invoke
    if isinstance(source, VectorStoreRetriever):
        # What it has may keep the documents of one tenant from another: it stays, whatever form it has.
        own = source.search_kwargs.get("filter")
        if own is not None and (not isinstance(own, dict) or "language" in own):
            return None
        filtered = {**source.search_kwargs, "filter": {**(own or {}), **wanted}}
        return source.model_copy(update={"search_kwargs": filtered}).invoke
    if "language" in inspect.signature(source._get_relevant_documents).parameters:
        return partial(source.invoke, language=language)
    return None


def _wide(source: BaseRetriever | VectorStore, limit: int) -> Search:
    """A search in all languages, deep enough for each to be found."""
    if isinstance(source, VectorStore):
        return source.as_retriever(search_kwargs={"k": max(limit, 200)}).invoke
    return source.invoke


def document_language(document: Document) -> str:
    """Of a document; its metadata is text like any other until it is a code."""
    try:
        return _CODE.validate_python(document.metadata.get("language"))
    except ValidationError:
        return detect_language(document.page_content)
