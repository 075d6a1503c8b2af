"""The languages of a store: they decide what a short question is, and follow every write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.graphs.shared.retrieval import fuse_rankings, merge_copies
from qwen_agentkit.text.languages import phrase
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture(params=["embedded", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QwenVectorStore]:
    where = str(tmp_path / "store") if request.param == "embedded" else ":memory:"
    with QwenVectorStore(BagOfWords(), path=where) as store:
        yield store


def page(text: str, language: str, **metadata: Any) -> Document:
    return Document(text, metadata={"source": f"{text}.md", "language": language, **metadata})


def test_languages_follow_every_write(store: QwenVectorStore) -> None:
    assert store.languages() == []
    first, *_ = store.add_documents([page("eins", "de"), page("zwei", "de"), page("one", "en", group="a")])
    assert store.languages() == ["de", "en"]
    assert store.languages({"group": "a"}) == ["en"]
    store.add_documents([page("واحد", "ar"), page("اثنان", "ar"), page("ثلاثة", "ar")])
    assert store.languages() == ["ar", "de", "en"]
    store.delete(filter={"language": "ar"})
    assert store.languages() == ["de", "en"]
    store.update_metadata([Document(id=first, page_content="eins", metadata={"language": "nl"})])
    assert sorted(store.languages()) == ["de", "en", "nl"]
    assert store.as_retriever(search_kwargs={"filter": {"group": "a"}}).languages() == ["en"]  # type: ignore[attr-defined]


def test_new_metadata_brings_new_word_vectors(store: QwenVectorStore) -> None:
    """Libraries are found as a form of library in English only."""
    store.mode = "sparse"
    text = "We have libraries"
    (id,) = store.add_documents([page(text, "xx")])
    assert store.similarity_search("library", k=1) == []
    store.update_metadata([Document(id=id, page_content=text, metadata={"language": "en"})])
    assert store.similarity_search("library", k=1)[0].page_content == text


@pytest.mark.parametrize(
    ("question", "language"),
    [("Fundbüro", "de"), ("駐車場", "ja"), ("invoice number", "de"), ("книги", "ru")],
)
def test_a_short_question_is_answered_in_a_language_of_the_store(question: str, language: str) -> None:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        store.add_documents([page("Die Rechnung", "de"), page("図書館の案内", "ja")])
        state = create_rag_graph(None, store).invoke({"messages": [HumanMessage(question)]})
    assert state["language"] == ("en" if question == "invoice number" else language)


def test_copies_of_a_passage_count_once() -> None:
    copies = [Document("The kiln is hot.", metadata={"source": name}) for name in ("a", "b", "c")]
    other = Document("The lake is cold.", metadata={"source": "d"})
    first, second = merge_copies([*copies, other])
    assert (first.metadata, second) == ({"source": "a", "copies": ["b", "c"]}, other)
    assert copies[0].metadata == {"source": "a"}
    assert [one.metadata["source"] for one in fuse_rankings([[copies[0], other], [copies[1]]])] == ["a", "d"]
    in_german = Document("QX-200", metadata={"source": "x", "language": "de"})
    in_english = Document("QX-200", metadata={"source": "y", "language": "en"})
    assert len(merge_copies([in_german, in_english])) == 2


def test_copies_do_not_fill_an_answer() -> None:
    texts = ["The kiln is hot and dry.", "The kiln is old."]
    pages = [Document(texts[0], metadata={"source": name, "language": "en"}) for name in ("a", "b", "c")]
    pages.append(Document(texts[1], metadata={"source": "d", "language": "en"}))
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        store.add_documents(pages)
        state = create_rag_graph(None, store).invoke({"messages": [HumanMessage("Is the kiln hot?")]})
    assert [one.page_content for one in state["documents"]] == texts
    assert state["answer"] != phrase("en", "abstain")
