"""The back ends behind `qdrant_client.QdrantClient`: a server, and memory for tests.

Knows HTTP errors and qdrant-client's models. All errors of qdrant-client are translated here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import httpx
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

from qwen_agentkit.errors import StoreError, StoreNotFoundError, StoreWriteError
from qwen_agentkit.vectorstores.awaiting import Requests, await_requests
from qwen_agentkit.vectorstores.client_filters import client_filter
from qwen_agentkit.vectorstores.client_layout import client_vectors, read_layout, search_params, words_params
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition, indexes_for, json_path, parse_path
from qwen_agentkit.vectorstores.points import (
    DENSE,
    FIRST_STAGE,
    MOST_LANGUAGES,
    SPARSE,
    TENANT,
    Hit,
    Layout,
    Point,
    SparseVector,
)
from qwen_agentkit.vectorstores.threads import run_in_thread

__all__ = ["ClientBackend"]

T = TypeVar("T")

_INDEXED = ("source", "language")
_PAGE = 1000
_MOST_INDEXES = 32
"""Filters may come from a model: each index takes memory."""
_MAKER = "embedder"
_LANGUAGES_LAST = 60
"""Seconds after which the languages of a store are asked for again: others may write to a server."""
_TIMEOUT = 60
"""Seconds for an answer. The default of qdrant-client, 5, is too short for large writes."""


class ClientBackend:
    """A collection on a Qdrant server or in memory.

    Args:
        client: A connected client.
        collection: The name of the collection; the first write creates it.
        where: The name of the place in messages.
        create: Whether the collection may be missing.

    Raises:
        StoreNotFoundError: The collection is missing and `create` is False.
    """

    def __init__(self, client: QdrantClient, collection: str, *, where: str, create: bool) -> None:
        self.client = client
        self.collection = collection
        self.where = where
        self._maker: dict[str, Any] | None = None
        self._layout: Layout | None = None
        self._indexed: set[tuple[str, ...]] = set()
        self._languages: dict[str, tuple[float, list[str]]] = {}
        self._requests = Requests()
        self._in_memory = False
        try:
            client.http.client.add_middleware(self._requests.send)
        except NotImplementedError:  # qdrant-client's memory mode sends no requests
            self._in_memory = True
        # It loses points when threads write at the same time; a server does not.
        self._lock: AbstractContextManager[Any] = threading.RLock() if self._in_memory else nullcontext()
        if self.layout is None and not create:
            raise StoreNotFoundError(
                f"{where!r} has no collection {collection!r}; expected one. Create it with: "
                "qwen-agentkit ingest DOCS"
            )

    @property
    def layout(self) -> Layout | None:
        """The vectors of the collection. None is asked again: others may create it."""
        if self._layout is None:
            self._refresh()
        return self._layout

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection, asked again like the layout."""
        return None if self.layout is None else self._maker

    @classmethod
    def memory(cls, collection: str, *, create: bool) -> ClientBackend:
        """Open a collection that exists as long as this object."""
        return cls(QdrantClient(":memory:"), collection, where=":memory:", create=create)

    @classmethod
    def server(cls, url: str, api_key: str | None, collection: str, *, create: bool) -> ClientBackend:
        """Connect to a server or cluster."""
        # The compatibility check would send a request and warn if it fails.
        client = QdrantClient(url=url, api_key=api_key, check_compatibility=False, timeout=_TIMEOUT)
        return cls(client, collection, where=url, create=create)

    def close(self) -> None:
        """Close the connections."""
        self._requests.close()
        self.client.close()

    def create(self, layout: Layout, maker: dict[str, Any]) -> None:
        """Create the collection unless it exists."""
        with self._translated():
            if self.layout is None and not self.client.collection_exists(self.collection):
                self.client.create_collection(
                    self.collection,
                    vectors_config=client_vectors(layout),
                    sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                    metadata={_MAKER: maker},
                )
                self._index()

    @property
    def has_tenants(self) -> bool:
        """Whether points may belong to tenants: other processes may add some at any time."""
        return self.maker is not None

    def index_tenants(self) -> None:
        """Do nothing: `create` has made the index."""

    def atomically(self) -> AbstractContextManager[None]:
        """Do nothing: a server has no such blocks."""
        return nullcontext()

    async def awaited(self, work: Callable[[], T]) -> T:
        """Call a function that uses this back end. A server is awaited; in memory, it runs in a thread."""
        return await (run_in_thread(work) if self._in_memory else await_requests(work))

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; points of the same id are replaced."""
        first = self.layout.first_stage if self.layout else None
        rows = [models.PointStruct(id=p.id, vector=_vectors(p, first), payload=p.payload) for p in points]
        with self._writing():
            self.client.upsert(self.collection, rows, wait=True)

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point; its vectors stay."""
        with self._writing():
            self.client.overwrite_payload(self.collection, payload, points=[id], wait=True)

    def set_words(self, id: str, words: SparseVector) -> None:
        """Replace the BM25 vector of one point."""
        vector = models.SparseVector(indices=words[0], values=words[1])
        point = models.PointVectors(id=id, vector={SPARSE: vector})
        with self._writing():
            self.client.update_vectors(self.collection, [point], wait=True)

    def languages(self, condition: Condition) -> list[str]:
        """Return the languages of the points that meet a condition, the most frequent first.

        They are asked for once a minute, and again after a write from here.
        """
        # Without our index of languages a server refuses to count them.
        if self.layout is None or self.maker is None:
            return []
        key, now = repr(condition), time.monotonic()
        known = self._languages.get(key)
        if known is None or now - known[0] > _LANGUAGES_LAST:
            with self._translated():
                facet = self.client.facet(
                    self.collection, "metadata.language", client_filter(condition), limit=MOST_LANGUAGES
                )
            hits = sorted(facet.hits, key=lambda hit: (-hit.count, str(hit.value)))
            known = self._languages[key] = (now, [str(hit.value) for hit in hits])
        return known[1]

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""
        if ids:  # A server refuses an empty list.
            self._delete(models.PointIdsList(points=list(ids)))

    def delete_matching(self, condition: Condition) -> None:
        """Delete the points that meet a condition."""
        self._delete(models.FilterSelector(filter=client_filter(condition)))

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""
        if self.layout is None or not ids:
            return []
        with self._translated():
            found = {
                str(r.id): r for r in self.client.retrieve(self.collection, list(ids), with_payload=True)
            }
        return [Hit(id, found[id].payload or {}) for id in ids if id in found]

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        condition: Condition,
        with_vectors: bool = False,
        corpus: Condition = EVERYTHING,
    ) -> list[Hit]:
        """Return the nearest points, best first."""
        layout, filter = self.layout, client_filter(condition)
        if layout is None:
            return []
        self._index_for(condition)
        # In memory all vectors are compared exactly, and parameters of a search only draw a warning.
        params = None if self._in_memory else search_params(layout)
        stages: dict[str, Any] = {"query": query, "search_params": params}
        if isinstance(query, tuple):
            words = models.SparseVector(indices=query[0], values=query[1])
            stages = {"query": words, "using": SPARSE, "search_params": words_params(corpus)}
        elif layout.first_stage:
            first = models.Prefetch(
                query=query[: layout.first_stage],
                using=FIRST_STAGE,
                limit=layout.candidates(limit),
                filter=filter,
                params=params,
            )
            stages = {"query": query, "prefetch": first}
        with self._translated():
            found = self.client.query_points(
                self.collection,
                limit=limit,
                query_filter=filter,
                with_payload=True,
                with_vectors=[DENSE] if with_vectors and layout.first_stage else with_vectors,
                **stages,
            ).points
        return [Hit(str(p.id), p.payload or {}, p.score, _dense(p.vector)) for p in found]

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition."""
        offset, more = None, self.layout is not None
        while more:
            with self._translated():
                page, offset = self.client.scroll(
                    self.collection, client_filter(condition), limit=_PAGE, offset=offset, with_payload=True
                )
            yield from (Hit(str(record.id), record.payload or {}) for record in page)
            more = offset is not None

    def export(self) -> Iterator[Point]:
        """Yield every point of the collection with its vectors, in the order of their ids."""
        offset, more = None, self.layout is not None
        while more:
            with self._translated():
                page, offset = self.client.scroll(
                    self.collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
                )
            yield from map(_read_point, page)
            more = offset is not None

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""
        if self.layout is None:
            return 0
        with self._translated():
            return self.client.count(self.collection, client_filter(condition), exact=True).count

    def _delete(self, selector: models.PointsSelector) -> None:
        if self.layout is not None:
            with self._writing():
                self.client.delete(self.collection, selector, wait=True)

    def _index(self) -> None:
        # Memory mode has no payload indexes and would warn.
        if not self._in_memory:
            for key in _INDEXED:
                self._create_index(("metadata", key))
            tenants = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
            self.client.create_payload_index(self.collection, TENANT, tenants)

    def _create_index(self, path: tuple[str, ...], *, wait: bool = True) -> None:
        keyword = models.PayloadSchemaType.KEYWORD
        self.client.create_payload_index(self.collection, json_path(path), keyword, wait=wait)

    def _index_for(self, condition: Condition) -> None:
        """Index the texts that a condition asks for, if this is our collection and we may.

        Indexes of numbers and dates are the operator's: they change what ranges of the other kind find.
        """
        if self._in_memory or self._maker is None:
            return
        for path, kind in indexes_for(condition):
            if kind == "keyword" and path not in self._indexed and len(self._indexed) < _MOST_INDEXES:
                self._indexed.add(path)
                with suppress(StoreError), self._translated():  # without one, a search is slow and right
                    self._create_index(path, wait=False)

    def _refresh(self) -> None:
        with self._translated():
            if not self.client.collection_exists(self.collection):
                return
            found = self.client.get_collection(self.collection)
            config, self._indexed = found.config, set(map(parse_path, found.payload_schema))
        self._layout = read_layout(config)
        if self._layout is None:
            raise StoreNotFoundError(
                f"The collection {self.collection!r} of {self.where!r} has no unnamed dense vector; expected "
                "one made by QwenVectorStore or langchain-qdrant. Choose another collection."
            )
        self._maker = (config.metadata or {}).get(_MAKER)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Translate errors, and forget the languages: what is written may hold another."""
        with self._translated():
            yield
        self._languages.clear()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except ResourceExhaustedResponse as error:
            raise StoreError(
                f"The Qdrant server at {self.where!r} is overloaded ({error}); try again in "
                f"{error.retry_after_s} s."
            ) from error
        except ResponseHandlingException as error:
            if isinstance(error.source, httpx.TimeoutException):
                raise StoreError(
                    f"The Qdrant server at {self.where!r} gave no answer in {_TIMEOUT} s. Check its load and "
                    "try again."
                ) from error
            raise StoreError(
                f"No Qdrant server answers at {self.where!r} ({error.source}). Start one, for example with: "
                "docker run -p 6333:6333 qdrant/qdrant"
            ) from error
        except ApiException as error:
            kind = StoreWriteError if "disk" in str(error).lower() else StoreError
            raise kind(f"The Qdrant server at {self.where!r} refused the request: {error}") from error


def _vectors(point: Point, first_stage: int | None) -> dict[str, Any]:
    indices, values = point.sparse
    dense = point.dense.tolist()
    vectors = {DENSE: dense, SPARSE: models.SparseVector(indices=indices, values=values)}
    return {**vectors, FIRST_STAGE: dense[:first_stage]} if first_stage else vectors


def _read_point(record: models.Record) -> Point:
    vectors: Any = record.vector if isinstance(record.vector, dict) else {DENSE: record.vector}
    sparse = vectors.get(SPARSE)
    words = ([], []) if sparse is None else (sparse.indices, sparse.values)
    dense = np.array(vectors.get(DENSE) or [], np.float32)
    return Point(str(record.id), dense, words, record.payload or {})


def _dense(vector: Any) -> list[float] | None:
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
