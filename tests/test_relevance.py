"""Relevance scores are cosines, 0 to 1, whatever fused the ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwen_agentkit.vectorstores.search import relevance
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

TEXTS = ["The library opens at nine.", "Fines are ten cents a day.", "The kiln cools at five."]


@pytest.fixture(params=["folder", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else str(tmp_path / "store")


@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
def test_scores_are_cosines_in_every_mode(path: str, mode: Any) -> None:
    embedder = BagOfWords()
    vectors = dict(zip(TEXTS, embedder.embed_array(TEXTS), strict=True))
    query = "When does the library open?"
    with QwenVectorStore(embedder, path=path, mode=mode) as store:
        store.add_texts(TEXTS)
        found = store.similarity_search_with_relevance_scores(query, k=3)
        assert [one.page_content for one, _ in found] == [
            one.page_content for one in store.similarity_search(query, k=3)
        ]
    assert found
    for document, score in found:
        cosine = float(np.dot(vectors[document.page_content], embedder.embed_query(query)))
        assert score == pytest.approx(cosine, abs=1e-5)


async def test_a_threshold_keeps_only_what_is_near(path: str) -> None:
    with QwenVectorStore(BagOfWords(), path=path) as store:
        store.add_texts(TEXTS)
        options = {"k": 3, "score_threshold": 0.5}
        retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=options)
        assert [one.page_content for one in retriever.invoke(TEXTS[1])] == [TEXTS[1]]
        assert [one.page_content for one in await retriever.ainvoke(TEXTS[1])] == [TEXTS[1]]
        assert retriever.invoke("zebra quagga") == []
        filtered = store.similarity_search_with_relevance_scores(TEXTS[1], k=3, filter={"source": "none"})
        assert filtered == []


@pytest.mark.parametrize(
    ("query", "document", "score"),
    [
        ([2.0, 0.0], [3.0, 0.0], 1.0),
        ([1.0, 1.0], [1.0, 0.0], 0.5**0.5),
        ([1.0, 0.0], [-1.0, 0.0], 0.0),
        ([0.0, 0.0], [1.0, 0.0], 0.0),
        ([1.0, 0.0], None, 0.0),
    ],
)
def test_the_scale(query: list[float], document: list[float] | None, score: float) -> None:
    assert relevance(query, document) == pytest.approx(score)
