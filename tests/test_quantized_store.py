"""Stores that keep vectors short in memory find what an exact search finds, and stay as they were made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.vectorstores.archive import copy_points, make_backup, restore_backup
from qwen_agentkit.vectorstores.backend import open_backend
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.points import Layout
from qwen_agentkit.vectorstores.repair import repair_store
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.qdrant_server import FakeQdrant

NUMBER, DIMENSIONS = 2000, 512
LAYOUTS: list[dict[str, Any]] = [
    {"quantization": "scalar"},
    {"quantization": "binary"},
    {"first_stage": 128},
    {"quantization": "scalar", "first_stage": 128},
]


class Nested(Embeddings):
    """Random vectors by number, in clusters, whose first numbers weigh most, as those of MRL models do."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        weights = (1 + np.arange(DIMENSIONS) / 16) ** -0.5
        centers = rng.normal(size=(NUMBER // 20, DIMENSIONS))
        near = centers[rng.integers(0, len(centers), NUMBER)]
        vectors = (near + rng.normal(size=(NUMBER, DIMENSIONS))) * weights
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        queries = self.vectors[:100] + rng.normal(size=(100, DIMENSIONS)) * weights / 20
        self.queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.vectors[[int(text.split()[-1]) for text in texts]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.queries[int(text.split()[-1])].tolist()
        return vector


@pytest.fixture(scope="module")
def nested() -> Nested:
    return Nested()


def fill(store: QwenVectorStore) -> None:
    store.add_texts([f"text {number}" for number in range(NUMBER)], ids=[str(n) for n in range(NUMBER)])


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_what_is_found_is_what_an_exact_search_finds(
    tmp_path: Path, nested: Nested, layout: dict[str, Any]
) -> None:
    with QwenVectorStore(nested, path=tmp_path / "store", mode="dense", **layout) as store:
        fill(store)
    with QwenVectorStore(nested, path=tmp_path / "store", mode="dense") as store:
        found = [store.similarity_search_with_score(f"query {n}", k=10) for n in range(100)]
    exact = nested.queries @ nested.vectors.T
    right = sum(
        len({int(document.id or "") for document, _ in hits} & set(np.argsort(-row)[:10]))
        for hits, row in zip(found, exact, strict=True)
    )
    assert right / 1000 >= 0.95
    for hits, row in zip(found, exact, strict=True):  # the scores are those of whole vectors
        assert [score for _, score in hits] == pytest.approx(
            [row[int(document.id or "")] for document, _ in hits], abs=1e-4
        )


@pytest.mark.parametrize("layout", [{}, *LAYOUTS], ids=str)
def test_vectors_that_are_read_are_the_whole_ones(
    tmp_path: Path, nested: Nested, layout: dict[str, Any]
) -> None:
    with QwenVectorStore(nested, path=tmp_path / "store", **layout) as store:
        store.add_texts([f"text {n}" for n in range(30)], ids=[str(n) for n in range(30)])
        assert len(store.max_marginal_relevance_search("query 1", k=3)) == 3
        [(best, score), *_] = store.similarity_search_with_relevance_scores("query 5", k=1)
        assert best.id == "5"
        assert score == pytest.approx(float(nested.queries[5] @ nested.vectors[5]), abs=1e-4)
        points = list(store._store.whole.export())
        assert {len(point.dense) for point in points} == {DIMENSIONS}
        assert len(store.similarity_search("query 1", k=10**9)) == 30


def layout_of(folder: Path) -> Layout | None:
    backend = EdgeBackend.acquire(folder, "documents", create=False)
    try:
        return backend.layout
    finally:
        backend.close()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_layout_outlives_backup_restore_repair_and_copies(
    tmp_path: Path, layout: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeQdrant(monkeypatch)
    wanted = Layout(256, **layout)
    with QwenVectorStore(BagOfWords(256), path=tmp_path / "one", **layout) as store:
        store.add_texts(["the library opens", "a fine is ten cents"])
        assert store._store.layout == wanted
        make_backup(store._store.whole, tmp_path / "backup.zip", "documents")
        target = open_backend(None, "http://server", None, "documents", create=True)
        assert copy_points(store._store.whole, target)["copied"] == 2
        target.close()
    restore_backup(tmp_path / "backup.zip", tmp_path / "two", "documents")
    repair_store(tmp_path / "two")
    assert layout_of(tmp_path / "one") == layout_of(tmp_path / "two") == wanted
    if "quantization" not in layout:  # qdrant-client's memory mode forgets it
        with QwenVectorStore(BagOfWords(256), url="http://server") as store:
            assert store._store.layout == wanted
            assert store.similarity_search("ten cents", k=1)[0].page_content == "a fine is ten cents"
    [body] = [b for p, b in zip(server.paths, server.bodies, strict=True) if p == "PUT "]
    assert ("int8" in json.dumps(body)) == (layout.get("quantization") == "scalar")
    assert ('"binary"' in json.dumps(body)) == (layout.get("quantization") == "binary")
    assert ("first-stage" in json.dumps(body)) == ("first_stage" in layout)


def test_a_store_that_is_made_otherwise_is_refused(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", quantization="binary") as store:
        store.add_texts(["one"])
    for other in ({"quantization": "scalar"}, {"first_stage": 32}):
        with pytest.raises(StoreMismatchError, match="was made with"):
            QwenVectorStore(BagOfWords(), path=tmp_path / "s", **other)  # type: ignore[arg-type]
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", quantization="binary") as store:
        assert store.count() == 1


def test_two_stores_that_disagree_before_the_first_write(tmp_path: Path) -> None:
    one = QwenVectorStore(BagOfWords(), path=tmp_path / "s")
    other = QwenVectorStore(BagOfWords(), path=tmp_path / "s", quantization="binary")
    one.add_texts(["one"])
    with pytest.raises(StoreMismatchError, match="quantization=None"):
        other.add_texts(["two"])
    assert one.count() == 1
    one.close()
    other.close()


@pytest.mark.parametrize(
    "wrong", [{"quantization": "int4"}, {"quantization": True}, {"first_stage": 0}, {"first_stage": 2.5}]
)
def test_what_is_no_layout_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"expected"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "s", **wrong)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("first_stage", [64, 65, 256])
def test_a_first_stage_as_long_as_the_vectors_is_refused(tmp_path: Path, first_stage: int) -> None:
    store = QwenVectorStore(BagOfWords(64), path=tmp_path / "s", first_stage=first_stage)
    with store, pytest.raises(InputError, match="expected 1 to 63"):
        store.add_texts(["one"])
    assert not (tmp_path / "s").exists()
