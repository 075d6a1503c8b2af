"""A store on a server: requests, what it remembers, and what goes wrong. No real Qdrant server runs here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from qdrant_client import QdrantClient, models

from qwen_agentkit.errors import (
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
)
from qwen_agentkit.text.sparse import sparse_query
from qwen_agentkit.vectorstores import client_backend
from qwen_agentkit.vectorstores.points import Point
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.stores import LIBRARY


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> QdrantClient:
    """What `url=` connects to: one memory that outlives the stores on it."""
    client = QdrantClient(":memory:")
    monkeypatch.setattr(client_backend, "QdrantClient", lambda **_: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.setattr(client_backend.ClientBackend, "_index", lambda self: None)
    return client


def test_a_server_remembers_the_embedder(server: QdrantClient) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), url="http://server") as store:
        assert store.maker == {"model": "bag-of-words", "revision": "1", "dimensions": 64}
    with (
        QwenVectorStore(BagOfWords(model="other"), url="http://server") as store,
        pytest.raises(StoreMismatchError, match="other"),
    ):
        store.add_texts(["new"])
    with pytest.raises(StoreNotFoundError, match="documents2"):
        QwenVectorStore(BagOfWords(), url="http://server", collection="documents2", create=False)


def test_a_collection_of_langchain_qdrant_is_read_but_not_written(server: QdrantClient) -> None:
    embedder = BagOfWords()
    server.create_collection(
        "theirs",
        vectors_config={"": models.VectorParams(size=64, distance=models.Distance.COSINE)},
        sparse_vectors_config={"langchain-sparse": models.SparseVectorParams()},
    )
    texts = [document.page_content for document in LIBRARY]
    points = [
        models.PointStruct(
            id=number,
            vector={"": vector, "langchain-sparse": models.SparseVector(indices=[1], values=[1.0])},
            payload={"page_content": text, "metadata": {"year": 2020 + number}},
        )
        for number, (text, vector) in enumerate(zip(texts, embedder.embed_documents(texts), strict=True))
    ]
    server.upsert("theirs", points)
    with QwenVectorStore(embedder, url="http://server", collection="theirs") as store:
        [found] = store.similarity_search("ten cents a day", k=1)
        assert (found.page_content, found.id) == (texts[1], "1")
        assert store.count({"year": {"gte": 2021}}) == 2
        with pytest.raises(StoreMismatchError, match="other software"):
            store.add_texts(["new"])
        assert store.count() == 3


MADE = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "payload_schema": {},
    "config": {
        "params": {"vectors": {"size": 64, "distance": "Cosine"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
        "metadata": {"embedder": {"model": "bag-of-words", "revision": "1", "dimensions": 64}},
    },
}


FOUND = {"id": 7, "version": 1, "score": 0.5, "payload": {"page_content": "found", "metadata": {}}}


ANSWERS: dict[str, Any] = {
    "/collections/documents/exists": {"exists": True},
    "/collections/documents": MADE,
    "/collections/documents/points/query": {"points": [FOUND]},
    "/collections/documents/points/count": {"count": 1},
    "/collections/documents/facet": {"hits": [{"value": "ar", "count": 1}]},
}


def test_requests_to_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"result": ANSWERS[request.url.path], "status": "ok", "time": 0})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(client_backend, "QdrantClient", partial(QdrantClient, transport=transport))
    with QwenVectorStore(BagOfWords(), url="https://server:6333", api_key="key", create=False) as store:
        found = store.similarity_search_with_score("library", k=3, filter={"language": "ar"})
    [(document, score)] = found
    assert document == Document(id="7", page_content="found")
    assert score == pytest.approx(2 / 61)
    assert {request.headers["api-key"] for request in requests} == {"key"}
    dense, sparse = (json.loads(request.content) for request in requests[-2:])
    assert len(dense["query"]["nearest"]) == 64
    assert sparse["using"] == "langchain-sparse"
    assert sparse["query"]["nearest"]["indices"] == sparse_query("library", "ar")[0]
    condition = {"key": 'metadata."language"', "match": {"any": ["ar"]}}
    for body in (dense, sparse):
        assert (body["limit"], body["with_payload"]) == (50, True)
        no_tenant, language = body["filter"]["must"][0]["must"]
        assert no_tenant["must"] == [{"is_empty": {"key": "tenant"}}]
        assert language["should"] == [condition]


def test_no_write_is_larger_than_a_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with QwenVectorStore(BagOfWords(dimensions=4096), path=":memory:") as store:
        sizes: list[int] = []
        upsert = store._store.upsert

        def note(points: Sequence[Point]) -> None:
            sizes.append(len(json.dumps([point.dense.tolist() for point in points])))
            upsert(points)

        monkeypatch.setattr(store._store, "upsert", note)
        store.add_texts([f"text {number}" for number in range(300)])
        assert store.count() == 300
    assert len(sizes) > 1
    assert max(sizes) < 16 << 20


def test_a_server_that_does_not_answer_or_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    def wait(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too long")

    for handler, said in (
        (refuse, "docker run"),
        (wait, "no answer in 60 s"),
        (lambda request: httpx.Response(403, text="no key"), "403"),
        (lambda request: httpx.Response(429, headers={"Retry-After": "7"}), "try again in 7 s"),
    ):
        transport = httpx.MockTransport(handler)
        monkeypatch.setattr(client_backend, "QdrantClient", partial(QdrantClient, transport=transport))
        with pytest.raises(StoreError, match=said):
            QwenVectorStore(BagOfWords(), url="http://server:6333")
