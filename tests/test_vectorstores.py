"""`QwenVectorStore`: LangChain's conformance suite on each back end, then what it promises beyond.

Covered of `url=`: the same back end class against qdrant-client's memory mode, and the HTTP requests of a
search against canned answers. No real Qdrant server runs here, so what one makes of them is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests
from qdrant_client import QdrantClient

from qwen_agentkit.errors import (
    InputError,
)
from qwen_agentkit.vectorstores import client_backend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, Broken
from tests.fakes.stores import LIBRARY, Place


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
