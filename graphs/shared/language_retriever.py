"""The languages of what is searched, and a search in the documents of one language, over any retriever.

Knows how retrievers and stores take a language, and that a filter of theirs must never be replaced.
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

from qwen_agentkit.graphs.shared.models import Retriever
from qwen_agentkit.graphs.shared.parallel import RAISED_BY_BRANCHES
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, run_with_deadline
from qwen_agentkit.graphs.shared.state import LanguageCode
from qwen_agentkit.text.languages import detect_language

__all__ = ["LanguageRetriever", "document_language", "stored_languages"]

_CODE: TypeAdapter[str] = TypeAdapter(LanguageCode)
Search = Callable[[str], list[Document]]


class LanguageRetriever(BaseRetriever):
    """Finds documents of one language.

    A vector store gets the filter ``{"language": ...}``. The retriever of a vector store gets it in addition
    to its own filter. Another retriever gets the keyword `language`, if its search has one. Where no search
    in one language is possible, and where it fails or finds nothing, a search in all languages is filtered
    afterwards.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    source: BaseRetriever | VectorStore
    language: str
    """ISO 639-1 code, as in the documents' metadata."""
    limit: int
    """Maximum number of documents to return."""
    announce: Callable[[str, Exception], None]
    """Called with what is done instead and the error when the search in one language fails."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        search = _search_one_language(self.source, self.language, self.limit)
        found: list[Document] = []
        if search is not None:
            try:
                found = self._keep_own(search(query))
            except RAISED_BY_BRANCHES:
                raise
            except Exception as error:
                self.announce("a search in all languages", error)
        return (found or self._keep_own(_search_all(self.source, self.limit)(query)))[: self.limit]

    def _keep_own(self, found: list[Document]) -> list[Document]:
        return [document for document in found if document_language(document) == self.language]


def _search_one_language(source: BaseRetriever | VectorStore, language: str, limit: int) -> Search | None:
    """A search in one language, or None where none is possible without replacing another filter."""
    wanted: dict[str, Any] = {"language": language}
    if isinstance(source, VectorStore):
        return source.as_retriever(search_kwargs={"k": limit, "filter": wanted}).invoke
    if isinstance(source, VectorStoreRetriever):
        # Its filter may separate the documents of tenants: it stays, whatever its form.
        own = source.search_kwargs.get("filter")
        if own is not None and (not isinstance(own, dict) or "language" in own):
            return None
        filtered = {**source.search_kwargs, "filter": {**(own or {}), **wanted}}
        return source.model_copy(update={"search_kwargs": filtered}).invoke
    if "language" in inspect.signature(source._get_relevant_documents).parameters:
        return partial(source.invoke, language=language)
    return None


def _search_all(source: BaseRetriever | VectorStore, limit: int) -> Search:
    """A search in all languages, deep enough to find documents of each."""
    if isinstance(source, VectorStore):
        return source.as_retriever(search_kwargs={"k": max(limit, 200)}).invoke
    return source.invoke


def stored_languages(retriever: Retriever, timeout: float) -> list[str]:
    """The languages of the documents that a retriever finds, the most frequent first.

    None where the retriever does not know them, or not in time: a question is understood without.
    """
    find = getattr(retriever, "languages", None)
    if not callable(find):
        return []
    try:
        return [str(code) for code in run_with_deadline(timeout, find)]
    except ALWAYS_RAISED:
        raise
    except Exception:  # The search that follows meets the same error, and reports it.
        return []


def document_language(document: Document) -> str:
    """The language of a document: from its metadata if that is a valid code, or else detected."""
    try:
        return _CODE.validate_python(document.metadata.get("language"))
    except ValidationError:
        return detect_language(document.page_content)
