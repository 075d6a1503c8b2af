"""Many passages in the question's language do not push out the foreign one that answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from qwen_agentkit.catalog import Fusion
from qwen_agentkit.vectorstores.store import QwenVectorStore


class Places(Embeddings):
    """Puts a text at the angle that it names: "30" is 30 degrees away from a question."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        angles = np.radians([float(text.split()[-1]) for text in texts])
        return [[float(np.cos(angle)), float(np.sin(angle))] for angle in angles]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0]


@pytest.fixture
def store() -> Iterator[QwenVectorStore]:
    fusion = Fusion(0.15, 0.4, 0.2, 0.0, data="made up")
    with QwenVectorStore(Places(), path=":memory:", fusion=fusion) as store:
        german = [Document(f"Das Haus {10 + n / 10}", metadata={"language": "de"}) for n in range(120)]
        store.add_documents(german)
        store.add_documents([Document("The answer 30", metadata={"language": "en", "group": "a"})])
        store.add_documents([Document("Another one 80", metadata={"language": "fr", "group": "b"})])
        yield store


def test_the_foreign_passage_is_found(store: QwenVectorStore) -> None:
    found = store.similarity_search("Wo ist das denn?", k=5)
    assert found[0].page_content == "The answer 30"
    assert {one.metadata["language"] for one in found[1:]} == {"de"}


def test_no_filter_is_passed_over(store: QwenVectorStore) -> None:
    found = store.similarity_search("Wo ist das denn?", k=200, filter={"group": "b"})
    assert [one.page_content for one in found] == ["Another one 80"]
    german = store.similarity_search("Wo ist das denn?", k=60, filter={"language": "de"})
    assert {one.metadata["language"] for one in german} == {"de"}


def test_each_passage_is_found_once(store: QwenVectorStore) -> None:
    legs = store.search_legs("Wo ist das denn?", 50)
    assert len({hit.id for hit in legs.dense}) == len(legs.dense) == 52
    scores = [hit.score for hit in legs.dense]
    assert scores == sorted(scores, reverse=True)
