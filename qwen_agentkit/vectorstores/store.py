"""`QwenVectorStore`: stores documents with their vectors and finds them by meaning and by words.

Knows LangChain's interface, any `Embeddings`, ranks and filters. Where the points are stored is known to the
back ends.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStoreRetriever
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from qwen_agentkit.catalog import FUSIONS, Fusion
from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.retrievers import ScoredRetriever
from qwen_agentkit.text.documents import point_id
from qwen_agentkit.vectorstores.adding import prepare_texts
from qwen_agentkit.vectorstores.async_store import AsyncVectorStore
from qwen_agentkit.vectorstores.backend import Backend, open_backend
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition
from qwen_agentkit.vectorstores.embedder_guard import EmbedderGuard
from qwen_agentkit.vectorstores.filters import Filter, parse_filter
from qwen_agentkit.vectorstores.ids import point_ids
from qwen_agentkit.vectorstores.points import Hit, Quantization, make_payload, make_words
from qwen_agentkit.vectorstores.search import (
    Legs,
    Mode,
    check_k,
    check_query_text,
    refuse_unknown,
    relevance,
    search_hits,
    search_legs,
)
from qwen_agentkit.vectorstores.tenants import TenantBackend, check_tenant

__all__ = ["QwenVectorStore"]

_COLLECTION = re.compile(r"[\w][\w.-]{0,99}")


class QwenVectorStore(AsyncVectorStore):
    """A vector store in a folder, or on a Qdrant server.

    It searches by meaning (the embedder's vectors, cosine) and by words (BM25, every script), and fuses both
    ranks. The first write creates the collection, which remembers the embedder that made it.

    Relevance scores (`similarity_search_with_relevance_scores` and the retriever's
    ``search_type="similarity_score_threshold"``) are the cosine of query and document, 0 to 1, in every mode;
    the mode decides which documents are found and their order.

    Args:
        embedding: Any LangChain embeddings.
        path: The folder of an embedded store, or ":memory:" for a store that ends with the process.
        url: A Qdrant server or cluster (1.16 or later), such as "http://localhost:6333".
        api_key: The key of the server.
        collection: The name of the collection.
        mode: "hybrid", "dense" (meaning only) or "sparse" (words only).
        fusion: Weights of both searches in mode "hybrid". None takes those of the embedder from
            `qwen_agentkit.catalog.FUSIONS`; one that is not there has its ranks fused half and half.
        create: Whether the store may be missing. False is for readers: they can also open an embedded store
            while another process writes it, and see finished documents only.
        tenant: Whose documents these are. Everything this object writes, reads, counts or deletes is this
            tenant's, whatever ids and metadata say. Without a tenant, it is what belongs to none.
        quantization: How vectors stay in memory in a store that is made: with 8 bits a number ("scalar"), or
            with 1 ("binary"; for 1,000 dimensions or more). The best are compared again by the vectors on
            disk. None leaves an existing store as it is, and a new one unquantized.
        first_stage: How many numbers of a vector are searched first, such as 256, in a store that is made;
            the best are compared again by all. For embedders trained for it (MRL), as Qwen3's are.

    Raises:
        InputError: Not exactly one of `path` and `url` is given, or another argument is invalid.
        StoreMismatchError: The store was made with another `quantization` or `first_stage`.
        StoreNotFoundError: The folder holds other files, or no store and `create` is False.
        StoreLockedError: Another process has the folder open.

    Example:
        >>> store = QwenVectorStore(QwenEmbeddings(model="nano"), path="store")
        >>> ids = store.add_texts(["The library opens at nine."], [{"source": "hours.md"}])
        >>> [found.page_content for found in store.similarity_search("متى تفتح المكتبة؟", k=1)]
        ['The library opens at nine.']
    """

    def __init__(
        self,
        embedding: Embeddings,
        *,
        path: str | os.PathLike[str] | None = None,
        url: str | None = None,
        api_key: str | None = None,
        collection: str = "documents",
        mode: Mode = "hybrid",
        create: bool = True,
        fusion: Fusion | None = None,
        tenant: str | None = None,
        quantization: Quantization | None = None,
        first_stage: int | None = None,
    ) -> None:
        if mode not in ("hybrid", "dense", "sparse"):
            raise InputError(f"mode is {mode!r}; expected 'hybrid', 'dense' or 'sparse'.")
        if not _COLLECTION.fullmatch(collection):
            raise InputError(f"collection is {collection!r}; expected letters, digits, '_', '-' and '.'.")
        if quantization not in (None, "scalar", "binary"):
            raise InputError(f"quantization is {quantization!r}; expected 'scalar', 'binary' or None.")
        if first_stage is not None:
            check_k(first_stage, "first_stage")
        self.embedding = embedding
        self.mode: Mode = mode
        self.fusion = fusion or FUSIONS.get(str(getattr(embedding, "model", "")))
        if tenant is not None:
            check_tenant(tenant)
        self._store = TenantBackend(open_backend(path, url, api_key, collection, create=create), tenant)
        # A store that nobody closes releases its lock when it is collected or the process ends.
        self._finalizer = weakref.finalize(self, self._store.close)
        try:
            self._guard = EmbedderGuard(embedding, self._store, quantization, first_stage)
        except StoreError:
            self.close()
            raise

    @property
    def embeddings(self) -> Embeddings:
        """The embedder of documents and queries."""
        return self.embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts; documents of the same id are replaced.

        Everything is checked before anything is written. Without an id, one is made from text and metadata:
        adding a document again changes nothing, and one that differs in any metadata is another document.

        Args:
            texts: The texts to store.
            metadatas: One JSON-like dictionary per text; "source" and "language" are used if present.
            ids: One id per text, any string; None makes one.
            batch_size: Most texts written at a time; None lets the size of the vectors decide. LangChain's
                indexing API sets it.
            **kwargs: Not accepted.

        Returns:
            The ids.

        Raises:
            InputError: A text is empty, metadata cannot be stored, two documents have one id, or a vector is
                not finite.
            StoreMismatchError: Another embedder made the collection.
            StoreWriteError: The disk is full or the folder is read-only.
        """
        refuse_unknown(kwargs)
        new = prepare_texts(self._backend, texts, metadatas, ids, batch_size)
        if not new.ids:
            return []
        vectors = self._guard.accept(self._guard.embed(new.texts), new.texts, new.payloads)
        for part in new.parts(vectors):
            self._backend.upsert(new.make_points(vectors, part))
        return new.ids

    def update_metadata(self, documents: Iterable[Document]) -> None:
        """Replace the metadata and the word vectors of stored documents, found by their ids.

        Raises:
            InputError: A document is not stored, or is stored with another text. Nothing is changed then.
        """
        new = {point_id(d.id or ""): make_payload(d.id or "", d.page_content, d.metadata) for d in documents}
        stored = {hit.id: hit.payload.get("page_content") for hit in self._backend.retrieve(list(new))}
        for id, payload in new.items():
            if stored.get(id) != payload["page_content"]:
                state = "has another text in" if id in stored else "is not in"
                raise InputError(
                    f"The document {payload.get('id', id)!r} {state} the store; expected a stored one. Add "
                    "it with add_documents, which embeds it."
                )
        for id, payload in new.items():
            self._backend.set_payload(id, payload)
            # The words depend on the language, and on the version of this package.
            self._backend.set_words(id, make_words(payload))

    def delete(self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any) -> bool:
        """Delete documents by id, or all that match a filter. Unknown ids are ignored.

        Raises:
            InputError: Not exactly one of `ids` and `filter` is given, or the filter is invalid. Nothing is
                deleted then.
        """
        refuse_unknown(kwargs)
        condition = parse_filter(filter)
        if (ids is None) == (condition == EVERYTHING):
            raise InputError(
                f"delete got ids={ids!r} and filter={filter!r}; expected exactly one. Write ids=[...]."
            )
        if ids is None:
            self._backend.delete_matching(condition)
        elif points := point_ids(ids):
            self._backend.delete(points)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents that exist, in the order of the ids."""
        return [hit.document() for hit in self._backend.retrieve(point_ids(ids))]

    def count(self, filter: Filter | None = None) -> int:
        """Count the documents that match a filter."""
        return self._backend.count(parse_filter(filter))

    def languages(self, filter: Filter | None = None) -> list[str]:
        """Return the languages (`metadata["language"]`) of the documents that match a filter.

        The most frequent comes first. A short question is looked for in these languages first.
        """
        return self._backend.languages(parse_filter(filter))

    def scroll(self, filter: Filter | None = None) -> Iterator[Document]:
        """Yield every document that matches a filter, in no particular order."""
        return (hit.document() for hit in self._backend.scroll(parse_filter(filter)))

    def similarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k best documents for a query, best first.

        Args:
            query: The question.
            k: The number of documents.
            filter: Metadata that must all match: ``{"language": "ar"}``, ``{"language": ["ar", "en"]}``,
                ``{"year": {"gte": 2020, "lt": 2025}}``, ``{"or": [...]}``. All operators are listed in
                `qwen_agentkit.vectorstores.filters`.
            **kwargs: Not accepted.

        Raises:
            InputError: The query is empty, `k` is below 1, or the filter is invalid.
            StoreMismatchError: The collection holds vectors of another dimension.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k best documents with their scores, best first.

        The score depends on the mode: "dense" gives the cosine (-1 to 1), "sparse" gives BM25 (0 and up).
        "hybrid" gives, with weights (see `fusion`), the share of the question's words in the document plus
        the weighted cosine (0 to 1), which means relevance. Without weights it adds ``1 / (60 + rank)`` of
        both searches (0 to 0.033), which only ranks the documents of one query;
        `similarity_search_with_relevance_scores` gives a score that means relevance.

        Arguments and errors are those of `similarity_search`.
        """
        refuse_unknown(kwargs)
        check_query_text(query)
        check_k(k)
        condition = parse_filter(filter)
        vector = [] if self.mode == "sparse" else self.embedding.embed_query(query)
        hits = self._search(query, vector, k, condition)
        return [(hit.document(), hit.score) for hit in hits]

    def search_legs(self, query: str, k: int = 50, *, vector: list[float] | None = None) -> Legs:
        """Return what each search of mode "hybrid" finds, before they are fused; for evaluation.

        Args:
            query: The question.
            k: The number of documents that each search finds.
            vector: The vector of the question; None embeds it.
        """
        check_query_text(query)
        check_k(k)
        vector = self.embedding.embed_query(query) if vector is None else vector
        self._guard.check_query(vector)
        return search_legs(self._backend, query, vector, k, EVERYTHING)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k best documents in the order of the mode, with their cosines, 0 to 1."""
        refuse_unknown(kwargs)
        check_query_text(query)
        check_k(k)
        condition = parse_filter(filter)
        vector = self.embedding.embed_query(query)
        hits = self._search(query, vector, k, condition, with_vectors=True)
        return [(hit.document(), relevance(vector, hit.vector)) for hit in hits]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents nearest to a vector, nearest first. See `similarity_search`."""
        refuse_unknown(kwargs)
        check_k(k)
        return [hit.document() for hit in self._nearest(embedding, k, parse_filter(filter))]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k documents that are near the query and differ from each other.

        They are chosen from the `fetch_k` nearest. `lambda_mult` weighs nearness (1) against variety (0). The
        other arguments and the errors are those of `similarity_search`.
        """
        check_query_text(query)
        vector = self.embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k different documents near a vector. See `max_marginal_relevance_search`."""
        refuse_unknown(kwargs)
        check_k(k)
        check_k(fetch_k, "fetch_k")
        if not isinstance(lambda_mult, int | float) or not 0 <= lambda_mult <= 1:
            raise InputError(f"lambda_mult is {lambda_mult!r}; expected a number from 0 to 1. Try 0.5.")
        hits = self._nearest(embedding, max(k, fetch_k), parse_filter(filter), with_vectors=True)
        vectors = [hit.vector or [] for hit in hits]
        chosen = maximal_marginal_relevance(np.array(embedding), vectors, lambda_mult, k) if hits else []
        return [hits[index].document() for index in chosen]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> QwenVectorStore:
        """Open a store and add texts to it; `kwargs` are those of the constructor."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def as_retriever(self, **kwargs: Any) -> VectorStoreRetriever:
        """Return a retriever that writes ``metadata["retrieval_score"]`` on the documents it finds."""
        tags = [*(kwargs.pop("tags", None) or []), *self._get_retriever_tags()]
        return ScoredRetriever(vectorstore=self, tags=tags, **kwargs)

    @property
    def maker(self) -> dict[str, Any] | None:
        """The embedder that made the collection: model, revision, dimensions; None if unknown."""
        return self._backend.maker

    def check_maker(self, dimensions: int) -> None:
        """Check, before anything is embedded, that vectors of this length may be added.

        Raises:
            StoreMismatchError: Another embedder made the collection.
        """
        self._guard.check_maker(dimensions)

    def atomically(self) -> AbstractContextManager[None]:
        """Let readers in other processes see all changes of a block, or none (embedded stores only).

        The changes are not undone if the block raises.
        """
        return self._backend.atomically()

    def close(self) -> None:
        """Write what is pending and let other processes open the store. A closed store raises StoreError."""
        self._finalizer()

    def __enter__(self) -> QwenVectorStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _backend(self) -> Backend:
        if not self._finalizer.alive:
            raise StoreError("The store is closed. Open it again with QwenVectorStore(...).")
        return self._store

    def _search(
        self, query: str, vector: list[float], k: int, condition: Condition, with_vectors: bool = False
    ) -> list[Hit]:
        if vector:
            self._guard.check_query(vector)
        fusion = self.fusion
        return search_hits(
            self._backend, self.mode, query, vector, k, condition, fusion=fusion, with_vectors=with_vectors
        )

    def _nearest(
        self, vector: list[float], limit: int, condition: Condition, with_vectors: bool = False
    ) -> list[Hit]:
        self._guard.check_query(vector)
        return self._backend.search(vector, limit, condition, with_vectors)
