"""LangChain's retrievers over the store, each run as its own documentation runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MultiVectorRetriever,
    ParentDocumentRetriever,
)
from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.stores import InMemoryByteStore, InMemoryStore
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery
from langchain_text_splitters import CharacterTextSplitter

from qwen_agentkit.rerankers import QwenReranker
from qwen_agentkit.vectorstores.self_query import FilterTranslator
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

DOCUMENTS = [
    Document("The library opens at nine.", metadata={"lang": "en", "year": 2020, "day": "2024-05-01"}),
    Document("A fine is ten cents a day.", metadata={"lang": "en", "year": 2024, "day": "2024-06-01"}),
    Document("تفتح المكتبة في التاسعة.", metadata={"lang": "ar", "year": 2024, "tags": ["x", "y"]}),
]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QwenVectorStore]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "store")
    with QwenVectorStore(BagOfWords(), path=path) as store:
        yield store


def compare(comparator: str, attribute: str, value: Any) -> Comparison:
    return Comparison(comparator=Comparator(comparator), attribute=attribute, value=value)


def operate(operator: str, *parts: Any) -> Operation:
    return Operation(operator=Operator(operator), arguments=list(parts))


STRUCTURED: list[tuple[Any, set[int]]] = [
    (None, {0, 1, 2}),
    (compare("eq", "lang", "ar"), {2}),
    (compare("ne", "lang", "ar"), {0, 1}),
    (compare("gte", "year", 2021), {1, 2}),
    (compare("lt", "day", {"date": "2024-05-15", "type": "date"}), {0}),
    (compare("in", "lang", ["ar", "zh"]), {2}),
    (compare("nin", "lang", "ar"), {0, 1}),
    (compare("contain", "tags", "x"), {2}),
    (compare("like", "lang", "n"), {0, 1}),
    (operate("and", compare("eq", "lang", "en"), compare("gt", "year", 2020)), {1}),
    (operate("or", compare("eq", "lang", "ar"), compare("lte", "year", 2020)), {0, 2}),
    (operate("not", compare("eq", "lang", "en")), {2}),
]


@pytest.mark.parametrize(("condition", "right"), STRUCTURED, ids=range(len(STRUCTURED)))
def test_self_query(store: QwenVectorStore, condition: Any, right: set[int]) -> None:
    store.add_documents(DOCUMENTS)
    query = StructuredQuery(query="library", filter=condition, limit=None)
    retriever = SelfQueryRetriever(
        vectorstore=store,
        query_constructor=RunnableLambda(lambda _: query),
        structured_query_translator=FilterTranslator(),
    )
    found = {document.page_content for document in retriever.invoke("which?")}
    assert found == {DOCUMENTS[number].page_content for number in right}


def test_parent_documents(store: QwenVectorStore) -> None:
    parents = [Document("The library opens at nine. It closes at six."), Document("A boat. It leaves.")]
    splitter = CharacterTextSplitter(separator=". ", chunk_size=30, chunk_overlap=0)
    retriever = ParentDocumentRetriever(
        vectorstore=store, docstore=InMemoryStore(), child_splitter=splitter, search_kwargs={"k": 1}
    )
    retriever.add_documents(parents)
    assert store.count() > len(parents)
    assert [d.page_content for d in retriever.invoke("closes at six")] == [parents[0].page_content]


def test_several_vectors_for_a_document(store: QwenVectorStore) -> None:
    retriever = MultiVectorRetriever(
        vectorstore=store, byte_store=InMemoryByteStore(), id_key="doc_id", search_kwargs={"k": 1}
    )
    retriever.docstore.mset([("1", DOCUMENTS[0]), ("2", DOCUMENTS[1])])
    summaries = [
        Document("opening hours", metadata={"doc_id": "1"}),
        Document("fines", metadata={"doc_id": "2"}),
    ]
    store.add_documents(summaries)
    assert retriever.invoke("fines") == [DOCUMENTS[1]]


def test_cached_embeddings(store: QwenVectorStore, tmp_path: Path) -> None:
    embedder = BagOfWords()
    cached = CacheBackedEmbeddings.from_bytes_store(
        embedder, InMemoryByteStore(), namespace=embedder.model, key_encoder="sha256"
    )
    with QwenVectorStore(cached, path=tmp_path / "cached") as store:
        store.add_documents(DOCUMENTS)
        store.add_documents(DOCUMENTS)
        assert len(embedder.embedded) == len(DOCUMENTS)
        assert store.similarity_search("library opens", k=1)[0].page_content == DOCUMENTS[0].page_content


def test_an_ensemble(store: QwenVectorStore) -> None:
    store.add_documents(DOCUMENTS)
    with QwenVectorStore(BagOfWords(), path=":memory:") as other:
        other.add_texts(["The library is old."])
        retrievers = [each.as_retriever(search_kwargs={"k": 1}) for each in (store, other)]
        found = EnsembleRetriever(retrievers=retrievers, weights=[0.7, 0.3]).invoke("library opens")
    assert [document.page_content for document in found] == [DOCUMENTS[0].page_content, "The library is old."]


async def test_contextual_compression(store: QwenVectorStore) -> None:
    store.add_documents(DOCUMENTS)
    retriever = ContextualCompressionRetriever(
        base_compressor=QwenReranker(model="nano-reranker", top_n=1),
        base_retriever=store.as_retriever(search_kwargs={"k": 3}),
    )
    found = retriever.invoke("When does the library open?")
    assert len(found) == 1
    assert 0 <= found[0].metadata["relevance_score"] <= 1
    assert await retriever.ainvoke("When does the library open?") == found


async def test_search_and_variety_by_vector(store: QwenVectorStore) -> None:
    store.add_documents([*DOCUMENTS, Document("The library opens at ten.")])
    vector = store.embeddings.embed_query("the library opens at nine")
    [best] = store.similarity_search_by_vector(vector, k=1)
    assert best.page_content == DOCUMENTS[0].page_content
    assert await store.asimilarity_search_by_vector(vector, k=1) == [best]
    filtered = store.similarity_search_by_vector(vector, k=9, filter={"lang": {"ne": "en"}})
    assert {document.page_content for document in filtered} == {
        DOCUMENTS[2].page_content,
        "The library opens at ten.",
    }
    near = store.max_marginal_relevance_search_by_vector(vector, k=2, lambda_mult=1.0)
    varied = store.max_marginal_relevance_search_by_vector(vector, k=2, lambda_mult=0.0)
    assert near[1].page_content == "The library opens at ten." != varied[1].page_content
    again = await store.amax_marginal_relevance_search_by_vector(vector, k=2, lambda_mult=0.0)
    assert again == varied
