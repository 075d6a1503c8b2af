"""What a store refuses before it reads, writes or deletes: filters and metadata no back end can keep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QwenVectorStore]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "store")
    with QwenVectorStore(BagOfWords(), path=path) as store:
        store.add_texts(["one", "two"], [{"n": 3, "x": 0.5}, {"n": 4}])
        yield store


def nested(levels: int) -> Any:
    value: Any = "deep"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


UNUSABLE: list[Any] = [
    *(
        {name: bound}
        for name in ("gt", "gte", "lt", "lte")
        for bound in (math.nan, math.inf, -math.inf, 10**400)
    ),
    math.nan,
    math.inf,
    [3, math.nan],
    2**64,
    -(2**70),
    10**400,
    "\ud800",
    nested(5000),
    [nested(5000)],
    {"gte": nested(5000)},
]


@pytest.mark.parametrize("value", UNUSABLE, ids=range(len(UNUSABLE)))
def test_an_unusable_filter_is_refused_and_nothing_is_deleted(store: QwenVectorStore, value: Any) -> None:
    for call in (store.delete, store.count, store.scroll):
        with pytest.raises(InputError, match="filter"):
            call(filter={"n": value})
    with pytest.raises(InputError, match="filter"):
        store.similarity_search("one", filter={"n": value})
    assert store.count() == 2


@pytest.mark.parametrize("key", ["", "\udce9", 'a"b', 7])
def test_an_unusable_key_is_refused(store: QwenVectorStore, key: Any) -> None:
    with pytest.raises(InputError, match="filter key"):
        store.delete(filter={key: 3})
    assert store.count() == 2


def test_finite_filters_still_match(store: QwenVectorStore) -> None:
    found = [store.count({"n": value}) for value in (3, [3, 4], {"gte": 3.5}, {"lt": -(10**300)}, 2**63 - 1)]
    assert found == [1, 2, 1, 0, 0]


@pytest.mark.parametrize("levels", [101, 130, 5000, 100_000])
def test_metadata_that_is_too_deep_is_refused(store: QwenVectorStore, levels: int) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        store.add_texts(["text"], [{"deep": nested(levels)}])
    assert len(list(store.scroll())) == 2


def test_metadata_at_the_limit_can_be_read_again(store: QwenVectorStore) -> None:
    metadata = {"deep": nested(98), "large": 2**63 - 1, "small": -(2**63) + 1}
    [id] = store.add_texts(["text"], [metadata])
    assert store.get_by_ids([id])[0].metadata == metadata
    assert len(list(store.scroll())) == 3


@pytest.mark.parametrize("number", [2**63, -(2**70), [1, {"a": 2**64}]])
def test_integers_of_more_than_64_bits_are_refused(store: QwenVectorStore, number: Any) -> None:
    with pytest.raises(InputError, match="64 bits"):
        store.add_texts(["text"], [{"number": number}])


@pytest.mark.parametrize("k", [2**70, 1.5, "4", None])
def test_a_number_of_results_that_is_none(store: QwenVectorStore, k: Any) -> None:
    with pytest.raises(InputError, match=r"k is .*; expected 1 or more"):
        store.similarity_search("one", k=k)


def test_a_closed_store_writes_nothing(tmp_path: Path) -> None:
    store = QwenVectorStore(BagOfWords(), path=tmp_path / "store")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.add_texts(["text"])
    assert not (tmp_path / "store").exists()
