"""The async half of `QwenVectorStore`: requests are awaited, and what computes runs in threads.

A cancelled call leaves the store sound: what was written before stays, what is being written is finished or
was never sent, and adding the same texts again completes them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from typing_extensions import Self

from qwen_agentkit.vectorstores.adding import prepare_texts
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.conditions import Condition
from qwen_agentkit.vectorstores.embedder_guard import EmbedderGuard
from qwen_agentkit.vectorstores.filters import Filter, parse_filter
from qwen_agentkit.vectorstores.points import Hit
from qwen_agentkit.vectorstores.search import (
    Mode,
    check_k,
    check_query_text,
    refuse_unknown,
    relevance,
)
from qwen_agentkit.vectorstores.threads import run_in_thread

__all__ = ["AsyncVectorStore"]

T = TypeVar("T")


class AsyncVectorStore(VectorStore):
    """LangChain's async methods; arguments and errors are those of the methods without the "a"."""

    embedding: Embeddings
    mode: Mode
    _guard: EmbedderGuard

    @property
    @abstractmethod
    def _backend(self) -> Backend:
        """The back end; a closed store raises."""

    @abstractmethod
    def _search(
        self, query: str, vector: list[float], k: int, condition: Condition, with_vectors: bool = False
    ) -> list[Hit]:
        """Search with the vector of a question."""

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts. See `add_texts`."""
        refuse_unknown(kwargs)
        backend = self._backend
        new = await run_in_thread(partial(prepare_texts, backend, texts, metadatas, ids, batch_size))
        if not new.ids:
            return []
        embedder: Any = self.embedding
        if hasattr(embedder, "embed_array"):
            rows = await run_in_thread(partial(embedder.embed_array, new.texts))
        else:
            rows = await self._embed("embed_documents", new.texts)
        vectors = await run_in_thread(partial(self._guard.accept, rows, new.texts, new.payloads))
        for part in new.parts(vectors):
            points = await run_in_thread(partial(new.make_points, vectors, part))
            await backend.awaited(partial(backend.upsert, points))
        return new.ids

    async def adelete(
        self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any
    ) -> bool | None:
        """Delete documents by id, or all that match a filter. See `delete`."""
        return await self._awaited(partial(self.delete, ids, filter=filter, **kwargs))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents that exist, in the order of the ids."""
        return await self._awaited(partial(self.get_by_ids, ids))

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k best documents for a query, best first. See `similarity_search`."""
        return [
            document for document, _ in await self.asimilarity_search_with_score(query, k, filter, **kwargs)
        ]

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k best documents with their scores. See `similarity_search_with_score`."""
        refuse_unknown(kwargs)
        check_query_text(query)
        check_k(k)
        condition = parse_filter(filter)
        vector = [] if self.mode == "sparse" else await self._aembed_query(query)
        hits = await self._awaited(partial(self._search, query, vector, k, condition))
        return [(hit.document(), hit.score) for hit in hits]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        refuse_unknown(kwargs)
        check_query_text(query)
        check_k(k)
        condition = parse_filter(filter)
        vector = await self._aembed_query(query)
        hits = await self._awaited(partial(self._search, query, vector, k, condition, True))
        return [(hit.document(), relevance(vector, hit.vector)) for hit in hits]

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents nearest to a vector, nearest first. See `similarity_search`."""
        return await self._awaited(
            partial(self.similarity_search_by_vector, embedding, k, filter=filter, **kwargs)
        )

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k documents near the query that differ. See `max_marginal_relevance_search`."""
        check_query_text(query)
        vector = await self._aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, filter, **kwargs
        )

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return different documents near a vector. See `max_marginal_relevance_search`."""
        search = self.max_marginal_relevance_search_by_vector
        return await self._awaited(
            partial(search, embedding, k, fetch_k, lambda_mult, filter=filter, **kwargs)
        )

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a store and add texts to it; `kwargs` are those of the constructor."""
        make: Callable[..., Self] = cls
        store = await run_in_thread(partial(make, embedding, **kwargs))
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    async def _aembed_query(self, query: str) -> list[float]:
        found: list[float] = await self._embed("embed_query", query)
        return found

    async def _embed(self, name: str, given: Any) -> Any:
        """Await the async form of an embedder's method; one that it does not have runs in a thread."""
        native = f"a{name}"
        if getattr(type(self.embedding), native) is getattr(Embeddings, native):
            return await run_in_thread(partial(getattr(self.embedding, name), given))
        return await getattr(self.embedding, native)(given)

    async def _awaited(self, work: Callable[[], T]) -> T:
        return await self._backend.awaited(work)
