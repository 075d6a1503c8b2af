"""Rank fusion, and a retriever that keeps scores. Knows LangChain's retriever interface, no store."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

__all__ = ["KnowsLanguages", "ScoredRetriever", "reciprocal_rank_fusion"]

_Key = TypeVar("_Key", bound=Hashable)


def reciprocal_rank_fusion(rankings: Iterable[Sequence[_Key]], k: int = 60) -> dict[_Key, float]:
    """Fuse rankings by reciprocal rank (RRF): a key scores the sum of ``1 / (k + rank)`` over its rankings.

    Source: Cormack, Clarke and Buettcher, SIGIR 2009, https://doi.org/10.1145/1571941.1572114.

    Args:
        rankings: Keys in order, best first; ranks count from 1.
        k: Constant that lowers the weight of the first ranks.

    Returns:
        The scores, best first. On a tie, the key of the earlier ranking comes first.
    """
    scores: dict[_Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (k + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


@runtime_checkable
class KnowsLanguages(Protocol):
    """A store that knows the languages of its documents."""

    def languages(self, filter: Any = None) -> list[str]:
        """Return the languages of the documents that match a filter, the most frequent first."""


class ScoredRetriever(VectorStoreRetriever):
    """A vector store's retriever that writes ``metadata["retrieval_score"]`` on the documents it finds."""

    def languages(self) -> list[str]:
        """Return the languages of what is searched, the most frequent first; none if the store is silent."""
        store = self.vectorstore
        return store.languages(self.search_kwargs.get("filter")) if isinstance(store, KnowsLanguages) else []

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type != "similarity":
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        return _scored(self.vectorstore.similarity_search_with_score(query, **self.search_kwargs | kwargs))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type != "similarity":
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        return _scored(
            await self.vectorstore.asimilarity_search_with_score(query, **self.search_kwargs | kwargs)
        )


def _scored(found: Iterable[tuple[Document, float]]) -> list[Document]:
    return [
        document.model_copy(update={"metadata": {**document.metadata, "retrieval_score": float(score)}})
        for document, score in found
    ]
