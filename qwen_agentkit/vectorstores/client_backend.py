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
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

from qwen_agentkit.errors import StoreError, StoreNotFoundError, StoreWriteError
from qwen_agentkit.vectorstores.awaiting import Requests, await_requests
from qwen_agentkit.vectorstores.client_filters import client_filter
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition, json_path
from qwen_agentkit.vectorstores.points import DENSE, MOST_LANGUAGES, SPARSE, Hit, Point, SparseVector
from qwen_agentkit.vectorstores.threads import run_in_thread

__all__ = ["ClientBackend"]

T = TypeVar("T")

_INDEXED = ("source", "language")
_PAGE = 1000
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
        self._dimensions: int | None = None
        self._languages: dict[str, tuple[float, list[str]]] = {}
        # qdrant-client loses points in memory mode when threads write at the same time; a server does not.
        self._in_memory = where == ":memory:"
        self._requests = Requests()
        with suppress(NotImplementedError):  # qdrant-client's local mode sends no requests
            client.http.client.add_middleware(self._requests.send)
        self._lock: AbstractContextManager[Any] = threading.RLock() if self._in_memory else nullcontext()
        if self.dimensions is None and not create:
            raise StoreNotFoundError(
                f"{where!r} has no collection {collection!r}; expected one. Create it with: "
                "qwen-agentkit ingest DOCS"
            )

    @property
    def dimensions(self) -> int | None:
        """The length of the dense vectors. None is asked again: others may create the collection."""
        if self._dimensions is None:
            self._refresh()
        return self._dimensions

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection, asked again like the dimensions."""
        return None if self.dimensions is None else self._maker

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

    def create(self, dimensions: int, maker: dict[str, Any]) -> None:
        """Create the collection unless it exists."""
        with self._translated():
            if self.dimensions is None and not self.client.collection_exists(self.collection):
                self.client.create_collection(
                    self.collection,
                    vectors_config=models.VectorParams(size=dimensions, distance=models.Distance.COSINE),
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
        rows = [models.PointStruct(id=p.id, vector=_vectors(p), payload=p.payload) for p in points]
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
        if self.dimensions is None or self.maker is None:
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
        if self.dimensions is None or not ids:
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
        if self.dimensions is None:
            return []
        sparse = isinstance(query, tuple)
        with self._translated():
            found = self.client.query_points(
                self.collection,
                query=models.SparseVector(indices=query[0], values=query[1])
                if isinstance(query, tuple)
                else query,
                using=SPARSE if sparse else None,
                limit=limit,
                query_filter=client_filter(condition),
                search_params=_search_params(corpus) if sparse else None,
                with_payload=True,
                with_vectors=with_vectors,
            ).points
        return [Hit(str(p.id), p.payload or {}, p.score, _dense(p.vector)) for p in found]

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition."""
        offset, more = None, self.dimensions is not None
        while more:
            with self._translated():
                page, offset = self.client.scroll(
                    self.collection, client_filter(condition), limit=_PAGE, offset=offset, with_payload=True
                )
            yield from (Hit(str(record.id), record.payload or {}) for record in page)
            more = offset is not None

    def export(self) -> Iterator[Point]:
        """Yield every point of the collection with its vectors, in the order of their ids."""
        offset, more = None, self.dimensions is not None
        while more:
            with self._translated():
                page, offset = self.client.scroll(
                    self.collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
                )
            yield from map(_read_point, page)
            more = offset is not None

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""
        if self.dimensions is None:
            return 0
        with self._translated():
            return self.client.count(self.collection, client_filter(condition), exact=True).count

    def _delete(self, selector: models.PointsSelector) -> None:
        if self.dimensions is not None:
            with self._writing():
                self.client.delete(self.collection, selector, wait=True)

    def _index(self) -> None:
        # Memory mode has no payload indexes and would warn.
        for key in () if self._in_memory else _INDEXED:
            self.client.create_payload_index(
                self.collection, json_path(("metadata", key)), models.PayloadSchemaType.KEYWORD
            )

    def _refresh(self) -> None:
        with self._translated():
            if not self.client.collection_exists(self.collection):
                return
            config = self.client.get_collection(self.collection).config
        vectors = config.params.vectors
        dense = vectors.get(DENSE) if isinstance(vectors, dict) else vectors
        if dense is None:
            raise StoreNotFoundError(
                f"The collection {self.collection!r} of {self.where!r} has no unnamed dense vector; expected "
                "one made by QwenVectorStore or langchain-qdrant. Choose another collection."
            )
        self._dimensions = dense.size
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


def _search_params(corpus: Condition) -> models.SearchParams | None:
    """Return the parameters of a search by words; without any, the server counts words in all points."""
    if corpus == EVERYTHING:
        return None
    return models.SearchParams(idf=models.IdfCorpusParams(corpus=client_filter(corpus)))


def _vectors(point: Point) -> dict[str, Any]:
    indices, values = point.sparse
    return {DENSE: point.dense, SPARSE: models.SparseVector(indices=indices, values=values)}


def _read_point(record: models.Record) -> Point:
    vectors: Any = record.vector if isinstance(record.vector, dict) else {DENSE: record.vector}
    sparse = vectors.get(SPARSE)
    words = ([], []) if sparse is None else (sparse.indices, sparse.values)
    return Point(str(record.id), vectors.get(DENSE) or [], words, record.payload or {})


def _dense(vector: Any) -> list[float] | None:
    dense: list[float] | None = vector[DENSE] if isinstance(vector, dict) else vector
    return dense
