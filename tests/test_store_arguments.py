"""Arguments of the wrong kind: an error of this package in both back ends, and nothing is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


class Odd(BagOfWords):
    """Gives vectors that have no direction for some words."""

    def embed_array(self, texts: Any) -> Any:
        vectors = super().embed_array(texts)
        for row, text in enumerate(texts):
            for word, factor in (("zero", 0.0), ("tiny", 1e-30), ("huge", 1e30)):
                vectors[row] *= factor if word in text else 1
        return vectors


@pytest.fixture(params=["embedded", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QwenVectorStore]:
    path = tmp_path / "store" if request.param == "embedded" else ":memory:"
    with QwenVectorStore(Odd(8), path=path) as store:
        store.add_texts(["one", "two"], ids=["a", "b"])
        yield store


@pytest.mark.parametrize("ids", [["\ud800"], ["a", "\udfff"], [7], [None, b"a"]])
def test_ids_that_are_no_text(store: QwenVectorStore, ids: Any) -> None:
    for call in (lambda: store.add_texts(["x"] * len(ids), ids=ids), lambda: store.delete(ids)):
        with pytest.raises(InputError, match="not text"):
            call()
    with pytest.raises(InputError, match="not text"):
        store.get_by_ids(ids)
    assert store.count() == 2


def test_a_text_where_a_list_belongs(store: QwenVectorStore) -> None:
    with pytest.raises(InputError, match=r"expected a list of ids\. Write \['ab'\]"):
        store.delete("ab")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a list"):
        store.get_by_ids("ab")
    with pytest.raises(InputError, match="expected a list of texts"):
        store.add_texts("ab")
    for ids in ("ab", iter(["c", "d"]), {"c": 1, "d": 2}.keys()):
        with pytest.raises(InputError, match="expected a list of ids, one per text"):
            store.add_texts(["x", "y"], ids=ids)  # type: ignore[arg-type]
    assert store.count() == 2


@pytest.mark.parametrize(
    "metadata", [{1: "a", "1": "b"}, {"a": {True: 1}}, {"a": [{None: 1}]}, None, ["a"], "a"]
)
def test_metadata_that_would_come_back_otherwise(store: QwenVectorStore, metadata: Any) -> None:
    with pytest.raises(InputError, match=r"a key is not text|a dictionary"):
        store.add_texts(["x"], [metadata])
    assert store.count() == 2


@pytest.mark.parametrize("text", [None, b"x", 3])
def test_texts_that_are_none(store: QwenVectorStore, text: Any) -> None:
    with pytest.raises(InputError, match="expected text"):
        store.add_texts(["good", text])
    assert store.count() == 2


@pytest.mark.parametrize("word", ["zero", "tiny", "huge"])
def test_vectors_without_a_direction(store: QwenVectorStore, word: str) -> None:
    with pytest.raises(InputError, match=rf"{word}\.md.*or is zero"):
        store.add_texts(["good", word], [{}, {"source": f"{word}.md"}])
    assert store.count() == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("k", True), ("k", "3"), ("fetch_k", 2**70), ("fetch_k", 2.5), ("fetch_k", None), ("fetch_k", 0)]
    + [("lambda_mult", value) for value in (math.nan, 2, -0.1, "a", None)],
)
def test_numbers_of_a_search(store: QwenVectorStore, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} is {value!r}; expected"):
        store.max_marginal_relevance_search("one", **{name: value})


@pytest.mark.parametrize("value", [True, 2.5, "3", 0, -1])
def test_numbers_of_a_write(store: QwenVectorStore, value: Any) -> None:
    with pytest.raises(InputError, match="batch_size is"):
        store.add_texts(["x"], batch_size=value)


@pytest.mark.parametrize("vector", ["abcdefgh", None, [None] * 8, [1e39] * 8, [math.nan] * 8, [["a"]]])
def test_vectors_that_are_no_numbers(store: QwenVectorStore, vector: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        store.similarity_search_by_vector(vector)
    with pytest.raises(InputError, match="expected"):
        store.max_marginal_relevance_search_by_vector(vector)


@pytest.mark.parametrize("vector", [[], [1.0] * 7, [[1.0] * 8]])
def test_vectors_of_another_shape(store: QwenVectorStore, vector: Any) -> None:
    with pytest.raises(StoreMismatchError):
        store.similarity_search_by_vector(vector)


def test_arrays_are_vectors(store: QwenVectorStore) -> None:
    vector: Any = np.ones(8, dtype=np.float32)
    assert len(store.similarity_search_by_vector(vector)) == 2
    assert len(store.max_marginal_relevance_search_by_vector(vector)) == 2
