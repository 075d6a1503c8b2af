"""`QwenVectorStore`: LangChain's conformance suite on each back end, then what it promises beyond.

Covered of `url=`: the same back end class against qdrant-client's memory mode, and the HTTP requests of a
search against canned answers. No real Qdrant server runs here, so what one makes of them is not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests
from qdrant_client import QdrantClient, models

from qwen_agentkit.errors import (
    InputError,
    StoreError,
    StoreLockedError,
    StoreMismatchError,
    StoreNotFoundError,
    StoreWriteError,
)
from qwen_agentkit.text.sparse import sparse_query
from qwen_agentkit.vectorstores import client_backend
from qwen_agentkit.vectorstores.points import Point
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, Broken

Place = dict[str, Any]


def embedded(tmp_path: Path) -> Place:
    return {"path": tmp_path / "store"}


def memory(tmp_path: Path) -> Place:
    return {"path": ":memory:"}


@pytest.fixture(params=[embedded, memory])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    where: Place = request.param(tmp_path)
    return where


@pytest.fixture
def store(place: Place) -> Iterator[QwenVectorStore]:
    with QwenVectorStore(BagOfWords(), **place) as store:
        yield store


class TestEmbeddedConforms(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[QwenVectorStore]:
        with QwenVectorStore(self.get_embeddings(), path=tmp_path / "store") as store:
            yield store


class TestMemoryConforms(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> Iterator[QwenVectorStore]:
        with QwenVectorStore(self.get_embeddings(), path=":memory:") as store:
            yield store


class TestUrlConforms(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[QwenVectorStore]:
        monkeypatch.setattr(client_backend, "QdrantClient", lambda **_: QdrantClient(":memory:"))
        monkeypatch.setattr(client_backend.ClientBackend, "_index", lambda self: None)
        with QwenVectorStore(self.get_embeddings(), url="http://server:6333") as store:
            yield store


LIBRARY = [
    Document(
        page_content="The library opens at nine in the morning.",
        metadata={"source": "hours.md", "year": 2020},
    ),
    Document(
        page_content="Fines are ten cents a day.", metadata={"source": "fines.md", "year": 2022, "paid": True}
    ),
    Document(
        page_content="تفتح المكتبة في التاسعة صباحا.",
        metadata={"source": "ar/hours.md", "year": 2024, "score": 0.5},
    ),
]


class TestRetrieverConforms(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _filled(self) -> None:
        self.store = QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=":memory:")

    @property
    def retriever_constructor(self) -> Callable[..., VectorStoreRetriever]:
        return lambda k=2: self.store.as_retriever(search_kwargs={"k": k})

    @property
    def retriever_query_example(self) -> str:
        return "When does the library open?"


def test_the_best_document_comes_first_with_its_score_on_a_copy(store: QwenVectorStore) -> None:
    store.add_documents(LIBRARY)
    found = store.as_retriever(search_kwargs={"k": 2}).invoke("when does the library open")
    assert found[0].metadata["source"] == "hours.md"
    assert found[0].metadata["retrieval_score"] == pytest.approx(2 / 61)
    assert "retrieval_score" not in LIBRARY[0].metadata
    assert "retrieval_score" not in store.get_by_ids([found[0].id or ""])[0].metadata


async def test_async_finds_the_same(store: QwenVectorStore) -> None:
    await store.aadd_documents(LIBRARY)
    retriever = store.as_retriever()
    assert await retriever.ainvoke("fines a day") == retriever.invoke("fines a day")


def test_words_find_what_meaning_misses(place: Place) -> None:
    class Blind(BagOfWords):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query("fines are ten cents a day")

    with QwenVectorStore(Blind(), **place) as store:
        store.add_documents(LIBRARY)
        dense = QwenVectorStore(store.embedding, path=":memory:", mode="dense")
        dense.add_documents(LIBRARY)
        assert [d.metadata["source"] for d in dense.similarity_search("المكتبة", k=1)] == ["fines.md"]
        assert "ar/hours.md" in [d.metadata["source"] for d in store.similarity_search("المكتبة", k=2)]


def test_sparse_mode_never_embeds_the_query(place: Place) -> None:
    class NoQueries(BagOfWords):
        def embed_query(self, text: str) -> list[float]:
            raise AssertionError("a sparse search embedded its query")

    with QwenVectorStore(NoQueries(), mode="sparse", **place) as store:
        store.add_documents(LIBRARY)
        assert [d.metadata["source"] for d in store.similarity_search("fines", k=3)] == ["fines.md"]


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_relevance_scores_lie_between_0_and_1(place: Place, mode: Any) -> None:
    with QwenVectorStore(BagOfWords(), mode=mode, **place) as store:
        store.add_documents(LIBRARY)
        scores = [
            s for _, s in store.similarity_search_with_relevance_scores("the library opens at nine", k=3)
        ]
        assert 1 >= scores[0] > 0.5
        assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("filter", "sources"),
    [
        ({"source": "fines.md"}, {"fines.md"}),
        ({"source": ["fines.md", "hours.md"]}, {"fines.md", "hours.md"}),
        ({"year": {"gte": 2022}}, {"fines.md", "ar/hours.md"}),
        ({"year": {"gt": 2020, "lt": 2024}}, {"fines.md"}),
        ({"year": [2020, 2024], "source": "hours.md"}, {"hours.md"}),
        ({"paid": True}, {"fines.md"}),
        ({"paid": False}, set()),
        ({"score": 0.5}, {"ar/hours.md"}),
        ({"nothing": "here"}, set()),
        ({}, {"hours.md", "fines.md", "ar/hours.md"}),
    ],
)
def test_filters_mean_the_same_everywhere(
    store: QwenVectorStore, filter: dict[str, Any], sources: set[str]
) -> None:
    store.add_documents(LIBRARY)
    assert {d.metadata["source"] for d in store.similarity_search("library", k=9, filter=filter)} == sources
    assert {d.metadata["source"] for d in store.scroll(filter)} == sources
    assert store.count(filter) == len(sources)


@pytest.mark.parametrize(
    "filter",
    [
        "ar",
        {"year": {"above": 3}},
        {"year": {}},
        {"tenant": []},
        {"tenant": None},
        {"year": {"gte": "x"}},
        {'a"b': 1},
    ],
)
def test_a_filter_of_another_form_is_refused(store: QwenVectorStore, filter: Any) -> None:
    store.add_documents(LIBRARY)
    with pytest.raises(InputError, match="filter"):
        store.similarity_search("library", filter=filter)


def test_delete_by_filter_and_never_everything_by_accident(store: QwenVectorStore) -> None:
    store.add_documents(LIBRARY)
    store.delete(filter={"year": {"lt": 2024}})
    assert [d.metadata["source"] for d in store.scroll()] == ["ar/hours.md"]
    refused: list[dict[str, Any]] = [{}, {"filter": {}}, {"ids": ["x"], "filter": {"year": 1}}]
    for nothing in refused:
        with pytest.raises(InputError, match="exactly one"):
            store.delete(**nothing)
    store.delete([])
    assert store.count() == 1


def test_adding_again_changes_nothing_and_equal_texts_stay_apart(store: QwenVectorStore) -> None:
    twins = [Document(page_content="Same.", metadata={"source": "a"}) for _ in range(2)]
    ids = store.add_documents([*LIBRARY, *twins])
    assert len(set(ids)) == 5
    assert store.add_documents([*LIBRARY, *twins]) == ids
    assert store.count() == 5


def test_metadata_is_replaced_without_embedding(store: QwenVectorStore) -> None:
    embedder = store.embedding
    assert isinstance(embedder, BagOfWords)
    [id, *_] = store.add_documents(LIBRARY)
    before = len(embedder.embedded)
    store.update_metadata([Document(id=id, page_content=LIBRARY[0].page_content, metadata={"source": "new"})])
    assert store.get_by_ids([id])[0].metadata == {"source": "new"}
    assert store.similarity_search("the library opens", k=1)[0].id == id
    with pytest.raises(InputError, match="not in the store"):
        store.update_metadata([Document(id="unknown", page_content="x")])
    assert len(embedder.embedded) == before


def test_marginal_relevance_prefers_variety(store: QwenVectorStore) -> None:
    store.add_texts(["red green blue", "red green blue!", "red car"], ids=["1", "2", "3"])
    plain = store.similarity_search_by_vector(store.embedding.embed_query("red green blue"), k=2)
    varied = store.max_marginal_relevance_search("red green blue", k=2, lambda_mult=0.1)
    assert {d.id for d in plain} == {"1", "2"}
    assert "3" in {d.id for d in varied}


BAD_DOCUMENTS = {
    "empty": (Document(page_content=" \n", metadata={"source": "empty.md"}), "empty.md"),
    "nan": (Document(page_content="broken", metadata={"source": "nan.md"}), "nan.md"),
    "not json": (Document(page_content="x", metadata={"source": "set.md", "tags": {1}}), "set.md"),
    "infinite": (Document(page_content="x", metadata={"source": "inf.md", "n": float("inf")}), "inf.md"),
    "half a character": (Document(page_content="x\ud800", metadata={"source": "half.md"}), "half.md"),
    "half a title": (Document(page_content="x", metadata={"source": "t.md", "title": "\udce9"}), "t.md"),
    "half a source": (Document(page_content="x", metadata={"source": "caf\udce9.md"}), "broken Unicode"),
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_a_bad_document_is_named_and_nothing_is_written(place: Place, name: str) -> None:
    document, source = BAD_DOCUMENTS[name]
    with QwenVectorStore(Broken(), **place) as store:
        store.add_documents(LIBRARY)
        with pytest.raises(InputError, match=source):
            store.add_documents([Document(page_content="good"), document])
        assert store.count() == 3


def test_vectors_of_another_shape_are_refused(store: QwenVectorStore) -> None:
    class Ragged(BagOfWords):
        def embed_array(self, texts: Any) -> Any:
            return [[1.0] * (1 + row) for row in range(len(texts))]

    with pytest.raises(InputError, match="unequal lengths"):
        QwenVectorStore(Ragged(), path=":memory:").add_texts(["a", "b"])


def test_a_misspelt_filter_does_not_search_everything(store: QwenVectorStore) -> None:
    store.add_documents(LIBRARY)
    calls = (store.similarity_search, store.similarity_search_with_score, store.max_marginal_relevance_search)
    for call in calls:
        with pytest.raises(InputError, match="fitler"):
            call("library", fitler={"year": 2020})
    with pytest.raises(InputError, match="fitler"):
        store.delete(["1"], fitler={"year": 2020})


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_result_are_refused(store: QwenVectorStore, k: int) -> None:
    store.add_documents(LIBRARY)
    vector = store.embeddings.embed_query("library")
    searches = (store.similarity_search, store.max_marginal_relevance_search)
    by_vector = (store.similarity_search_by_vector, store.max_marginal_relevance_search_by_vector)
    for search, query in (*((one, "library") for one in searches), *((one, vector) for one in by_vector)):
        with pytest.raises(InputError, match=f"k is {k}; expected 1"):
            search(query, k=k)


@pytest.mark.parametrize("query", ["", "  ", None])
def test_an_empty_question_is_refused(store: QwenVectorStore, query: Any) -> None:
    with pytest.raises(InputError, match="question"):
        store.similarity_search(query)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"path": "a", "url": "b"}, {"path": "a", "mode": "fast"}, {"path": "a", "collection": "../b"}],
)
def test_arguments_that_make_no_store_are_refused(arguments: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        QwenVectorStore(BagOfWords(), **arguments)


def test_a_store_is_made_by_the_first_write_only(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "new") as store:
        assert store.similarity_search("anything") == []
        assert store.count() == 0
        assert not (tmp_path / "new").exists()
        store.add_texts(["text"])
        assert (tmp_path / "new" / "documents" / "edge_config.json").is_file()
    with pytest.raises(StoreError, match="closed"):
        store.count()


def test_readers_ask_for_a_store_that_exists(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="qwen-agentkit ingest"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, create: bool) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreNotFoundError, match=r"letter\.txt"):
        QwenVectorStore(BagOfWords(), path=tmp_path, create=create)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(StoreNotFoundError, match="file"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "letter.txt")


def test_two_collections_share_a_folder(tmp_path: Path) -> None:
    with QwenVectorStore.from_texts(["one"], BagOfWords(), path=tmp_path / "s", collection="a"):
        pass
    with QwenVectorStore.from_texts(
        ["two", "three"], BagOfWords(), path=tmp_path / "s", collection="b"
    ) as store:
        assert store.count() == 2
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", collection="a", create=False) as store:
        assert store.count() == 1


def test_two_stores_on_one_folder_share_it(tmp_path: Path) -> None:
    first, second = (QwenVectorStore(BagOfWords(), path=tmp_path / "s") for _ in range(2))
    first.add_texts(["one"], ids=["1"])
    assert second.get_by_ids(["1"])[0].page_content == "one"
    first.close()
    second.add_texts(["two"])
    assert second.count() == 2
    second.close()
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s") as third:
        assert third.count() == 2


def test_threads_write_together_and_lose_nothing(store: QwenVectorStore) -> None:
    def write(worker: int) -> None:
        for number in range(10):
            store.add_texts([f"text {worker} {number}"], [{"source": f"{worker}/{number}"}])

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 40


def in_another_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.fakes.embedders import BagOfWords\n"
        "from qwen_agentkit.vectorstores import QwenVectorStore\n" + code
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_store_in_use_by_another_process_says_so(tmp_path: Path) -> None:
    with QwenVectorStore.from_texts(["kept"], BagOfWords(), path=tmp_path / "s") as store:
        other = in_another_process("QwenVectorStore(BagOfWords(), path=sys.argv[2])", tmp_path / "s")
        assert StoreLockedError.__name__ in other.stderr
        assert "another process" in other.stderr
        assert store.count() == 1


def test_a_store_that_another_process_makes_is_found(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s") as store:
        assert store.similarity_search("kept") == []
        code = "QwenVectorStore(BagOfWords(), path=sys.argv[2]).add_texts(['kept'])"
        assert in_another_process(code, tmp_path / "s").returncode == 0
        assert [document.page_content for document in store.similarity_search("kept")] == ["kept"]
        store.add_texts(["added"])
        assert store.count() == 2


def test_a_killed_writer_leaves_all_it_wrote(tmp_path: Path) -> None:
    code = (
        "import os\nstore = QwenVectorStore(BagOfWords(), path=sys.argv[2])\n"
        "store.add_texts([f'text {n}' for n in range(50)])\nos.kill(os.getpid(), 9)"
    )
    assert in_another_process(code, tmp_path / "s").returncode == -9
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", create=False) as store:
        assert store.count() == 50


def test_another_embedder_may_read_with_a_warning_but_not_write(tmp_path: Path) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s"):
        pass
    with QwenVectorStore(BagOfWords(model="other"), path=tmp_path / "s") as store:
        with pytest.warns(UserWarning, match="bag-of-words"):
            store.similarity_search("library")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.similarity_search("library again")
        with pytest.raises(StoreMismatchError, match="other"):
            store.add_texts(["new"])
        assert store.count() == 3


def test_another_dimension_may_neither_read_nor_write(tmp_path: Path) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s"):
        pass
    with QwenVectorStore(BagOfWords(dimensions=8), path=tmp_path / "s") as store:
        with pytest.raises(StoreMismatchError, match="64"):
            store.similarity_search("library")
        with pytest.raises(StoreMismatchError, match="64"):
            store.add_texts(["new"])
        assert store.count() == 3


def test_a_full_disk_is_said_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s") as store:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
        with pytest.raises(StoreWriteError, match="1 MB left"):
            store.add_texts(["new"])
        monkeypatch.undo()
        assert store.count() == 3


def test_a_write_that_fails_half_way_leaves_no_store(tmp_path: Path) -> None:
    code = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "QwenVectorStore.from_texts(['text'], BagOfWords(), path=sys.argv[2])"
    )
    failed = in_another_process(code, tmp_path / "s")
    assert StoreWriteError.__name__ in failed.stderr
    assert list((tmp_path / "s").iterdir()) == []
    with QwenVectorStore.from_texts(["text"], BagOfWords(), path=tmp_path / "s") as store:
        assert store.count() == 1


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder this process may not write; root gives up its rights for the while."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_said(unprivileged: Path) -> None:
    with (
        QwenVectorStore(BagOfWords(), path=unprivileged / "s") as store,
        pytest.raises(StoreWriteError, match="permissions"),
    ):
        store.add_texts(["new"])
    assert list(unprivileged.iterdir()) == []


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
            sizes.append(len(json.dumps([point.dense for point in points])))
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
