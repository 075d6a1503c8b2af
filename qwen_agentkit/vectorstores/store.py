"""`QwenVectorStore`: documents and their vectors, found again by meaning and by words.

Knows LangChain's interface, any `Embeddings`, ranks and filters. Does not know where points lie: that is
a back end's affair (`_qdrant_edge` for a folder, `_qdrant_client` for a server and for memory).
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.retrievers import ScoredRetriever, reciprocal_rank_fusion
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import sparse_document, sparse_query
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.embedder_guard import Guard
from qwen_agentkit.vectorstores.filters import Condition, Filter, parse_filter
from qwen_agentkit.vectorstores.points import (
    Backend,
    Hit,
    Point,
    SparseVector,
    chunk_ids,
    payload_of,
    point_id,
)

__all__ = ["QwenVectorStore"]

Mode = Literal["hybrid", "dense", "sparse"]

# Numbers of the vectors that are written at once: as JSON about 8 MB, and servers take 32 in a request.
_BATCH = 1 << 19
_COLLECTION = re.compile(r"[\w][\w.-]{0,99}")


class QwenVectorStore(VectorStore):
    """A vector store that needs no server, and one that has one, by one argument.

    Searches by meaning (the embedder's vectors, cosine) and by words (BM25, every script) and fuses
    both ranks. The collection is made by the first write and remembers which embedder made it.

    Args:
        embedding: Any LangChain embeddings.
        path: A folder, for the embedded store; ":memory:" for one that is gone with the process.
        url: A Qdrant server or cluster (1.16 or later), such as "http://localhost:6333".
        api_key: Key of the server.
        collection: Name of the collection.
        mode: "hybrid", "dense" (meaning only) or "sparse" (words only).
        create: Whether a store that does not exist yet is fine; False is for readers.

    Raises:
        InputError: Not exactly one of path and url, or an unknown mode or a bad collection name.
        StoreNotFoundError: The folder holds something else, or nothing and `create` is False.
        StoreLockedError: Another process holds the folder.

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
    ) -> None:
        if mode not in ("hybrid", "dense", "sparse"):
            raise InputError(f"mode is {mode!r}, expected 'hybrid', 'dense' or 'sparse'")
        if not _COLLECTION.fullmatch(collection):
            raise InputError(f"collection is {collection!r}, expected letters, digits, '_', '-' and '.'")
        self.embedding = embedding
        self.mode: Mode = mode
        self._store = _open(path, url, api_key, collection, create=create)
        self._guard = Guard(embedding, self._store)
        # A store nobody closes still lets go of its lock when it is collected or the process ends.
        self._finalizer = weakref.finalize(self, self._store.close)

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
        **kwargs: Any,
    ) -> list[str]:
        """Embed texts and store them, replacing those of the same id.

        All is checked before anything is written. An own id is made of source and text, so that adding
        a text again changes nothing.

        Args:
            texts: What to store.
            metadatas: One JSON-like dictionary a text; "source" and "language" are used when present.
            ids: One id a text, any text; None for an own one.
            **kwargs: None is known.

        Returns:
            The ids.

        Raises:
            InputError: An empty text, metadata that is not JSON, or vectors that are no numbers.
            StoreMismatchError: Another embedder made the collection.
            StoreWriteError: Disk full or folder read-only.
        """
        _refuse(kwargs)
        texts = list(texts)
        metadatas = metadatas or [{} for _ in texts]
        ids = ids or [None] * len(texts)
        if not len(texts) == len(metadatas) == len(ids):
            raise InputError(
                f"{len(texts)} texts, {len(metadatas)} metadatas, {len(ids)} ids: expected as many"
            )
        if not texts:
            return []
        given = [id or made for id, made in zip(ids, chunk_ids(texts, metadatas), strict=True)]
        payloads = [payload_of(*item) for item in zip(given, texts, metadatas, strict=True)]
        vectors = self._guard.embed(texts, payloads)
        rows_at_once = max(1, _BATCH // vectors.shape[1])
        for start in range(0, len(texts), rows_at_once):
            part = slice(start, start + rows_at_once)
            rows = zip(given[part], vectors[part].tolist(), payloads[part], strict=True)
            self._backend.upsert(
                [Point(point_id(id), vector, _terms(payload), payload) for id, vector, payload in rows]
            )
        return given

    def update_metadata(self, documents: Iterable[Document]) -> None:
        """Replace the metadata of stored documents, found by id; their text must be the stored one."""
        new = {point_id(d.id or ""): payload_of(d.id or "", d.page_content, d.metadata) for d in documents}
        missing = new.keys() - {hit.id for hit in self._backend.retrieve(list(new))}
        if missing:
            raise InputError(
                f"{sorted(missing)[0]!r} is not in the store, expected a stored id; add the document"
            )
        for id, payload in new.items():
            self._backend.set_payload(id, payload)

    def delete(self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any) -> bool:
        """Delete documents by id (unknown ones are ignored), or all that match a filter.

        Raises:
            InputError: Neither or both were given; nothing deletes a whole collection by accident.
        """
        _refuse(kwargs)
        if (ids is None) == (not filter):
            raise InputError(f"delete got ids={ids!r} and filter={filter!r}, expected exactly one of them")
        if filter:
            self._backend.delete_matching(parse_filter(filter))
        elif ids:
            self._backend.delete([point_id(id) for id in ids])
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents that exist, in the order of the ids."""
        return [hit.document() for hit in self._backend.retrieve([point_id(id) for id in ids])]

    def count(self, filter: Filter | None = None) -> int:
        """Count the documents that match a filter."""
        return self._backend.count(parse_filter(filter))

    def scroll(self, filter: Filter | None = None) -> Iterator[Document]:
        """Yield every document that matches a filter, in no particular order."""
        return (hit.document() for hit in self._backend.scroll(parse_filter(filter)))

    def similarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k best documents for a query, as they were added.

        Args:
            query: The question.
            k: How many.
            filter: Metadata that must match, all of it: ``{"language": "ar"}``,
                ``{"language": ["ar", "en"]}``, ``{"year": {"gte": 2020, "lt": 2025}}``.
            **kwargs: None is known.

        Raises:
            InputError: An empty query, k below 1, or a filter of another form.
            StoreMismatchError: The collection holds vectors of another dimension.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k best documents with their scores, best first.

        The score is the sum of ``1 / (60 + rank)`` over both legs in mode "hybrid" (0..0.033), cosine
        in "dense" (-1..1) and BM25 in "sparse" (0 and up). See `similarity_search` for the rest.
        """
        _refuse(kwargs)
        _check_search(query, k)
        conditions = parse_filter(filter)
        legs = []
        limit = k if self.mode != "hybrid" else max(2 * k, 50)
        if self.mode != "sparse":
            legs.append(self._nearest(self.embedding.embed_query(query), limit, conditions))
        # A collection without a maker is langchain-qdrant's: its sparse vectors speak other term ids.
        if self.mode != "dense" and self._backend.maker is not None:
            terms = sparse_query(query, detect_language(query))
            legs.append(self._backend.search(terms, limit, conditions))
        if self.mode != "hybrid":
            return [(hit.document(), hit.score) for leg in legs for hit in leg]
        hits = {hit.id: hit for leg in legs for hit in leg}
        scores = reciprocal_rank_fusion([[hit.id for hit in leg] for leg in legs])
        return [(hits[id].document(), score) for id, score in list(scores.items())[:k]]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents nearest to a vector. See `similarity_search`."""
        _refuse(kwargs)
        _check_k(k)
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
        """Return k documents that are near the query and unlike each other.

        They are chosen from the `fetch_k` nearest; `lambda_mult` is 1 for nearness alone and 0 for
        variety alone. See `similarity_search` for the rest.
        """
        _check_search(query, k)
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
        """Return k documents near a vector and unlike each other. See `max_marginal_relevance_search`."""
        _refuse(kwargs)
        _check_k(k)
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
        """Open a store and add texts to it; `kwargs` are the constructor's."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def as_retriever(self, **kwargs: Any) -> VectorStoreRetriever:
        """Return a retriever that writes ``metadata["retrieval_score"]`` on what it finds."""
        tags = [*(kwargs.pop("tags", None) or []), *self._get_retriever_tags()]
        return ScoredRetriever(vectorstore=self, tags=tags, **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self.mode == "sparse":
            raise InputError("BM25 scores of mode='sparse' know no upper bound; use mode='hybrid' or 'dense'")
        legs = 1 if self._backend.maker is None else 2
        best = sum(reciprocal_rank_fusion([["first"]] * legs).values())
        return (lambda score: score / best) if self.mode == "hybrid" else (lambda cosine: max(0.0, cosine))

    @property
    def maker(self) -> dict[str, Any] | None:
        """Which embedder made the collection: model, revision, dimensions; None when nothing is known."""
        return self._backend.maker

    def check_maker(self, dimensions: int) -> None:
        """Refuse, before anything is embedded, what adding vectors of this length would be refused for.

        Raises:
            StoreMismatchError: Another embedder made the collection.
        """
        self._guard.check_maker(dimensions)

    def close(self) -> None:
        """Write out what is pending and let other processes open the store. A closed store raises."""
        self._finalizer()

    def __enter__(self) -> QwenVectorStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _backend(self) -> Backend:
        if not self._finalizer.alive:
            raise StoreError("the store is closed; open it again with QwenVectorStore(...)")
        return self._store

    def _nearest(
        self, vector: list[float], limit: int, conditions: Sequence[Condition], with_vectors: bool = False
    ) -> list[Hit]:
        self._guard.check_query(vector)
        return self._backend.search(vector, limit, conditions, with_vectors)


def _open(
    path: str | os.PathLike[str] | None,
    url: str | None,
    api_key: str | None,
    collection: str,
    *,
    create: bool,
) -> Backend:
    if (path is None) == (url is None):
        raise InputError(f"got path={path!r} and url={url!r}, expected exactly one; write path='store'")
    if path is not None and path != ":memory:":
        return EdgeBackend.acquire(path, collection, create=create)
    # Imported here because it takes over a second and the embedded store does without.
    from qwen_agentkit.vectorstores.client_backend import ClientBackend

    if url is None:
        return ClientBackend.memory(collection, create=create)
    return ClientBackend.server(url, api_key, collection, create=create)


def _terms(payload: dict[str, Any]) -> SparseVector:
    text, language = payload["page_content"], payload["metadata"].get("language")
    return sparse_document(text, language if isinstance(language, str) else detect_language(text))


def _refuse(kwargs: dict[str, Any]) -> None:
    # LangChain's signatures take anything; a misspelt filter must not search everything instead.
    if kwargs:
        raise InputError(f"unknown argument {next(iter(kwargs))!r}; see help(QwenVectorStore)")


def _check_search(query: str, k: int) -> None:
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"the question is {query!r}, expected text; ask something")
    _check_k(k)


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"k is {k!r}, expected 1 or more")
