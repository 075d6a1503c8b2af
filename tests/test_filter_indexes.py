"""Indexes that filters get by being used: the same documents are found, and payloads are not read for it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import StoreWriteError
from qwen_agentkit.vectorstores import edge_backend
from qwen_agentkit.vectorstores.conditions import indexes_for
from qwen_agentkit.vectorstores.filters import parse_filter
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.qdrant_server import FakeQdrant
from tests.test_filters import expected, fill, random_filter, random_metadata


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every filter gets its indexes, however small the store is."""
    monkeypatch.setattr(edge_backend, "_WORTH_AN_INDEX", 0)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("seed", range(3))
def test_random_filters_find_the_same_by_indexes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    metadatas = [random_metadata(rng) for _ in range(80)]
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, metadatas[:40])
        for number in range(120):
            if number == 60:
                fill(store, metadatas)  # what is written later is indexed too
            filter = random_filter(rng)
            stored = metadatas[: 40 if number < 60 else 80]
            right = {str(n) for n, metadata in enumerate(stored) if expected(filter, metadata)}
            assert store.count(filter) == len(right), filter
            assert {d.id for d in store.similarity_search("text", k=99, filter=filter)} == right, filter
            assert {d.id for d in store.scroll(filter)} == right, filter
        assert len(store._store.whole._indexes) > 4  # type: ignore[attr-defined]


@pytest.mark.usefixtures("eager")
def test_numbers_and_flags_that_are_equal_in_python_are_counted_apart(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, [{"n": 1}, {"n": 1.0}, {"n": True}, {"n": "1"}])
        for _ in range(2):
            counts = [store.count({"n": value}) for value in (1, 1.0, True, "1", False)]
            assert counts == [2, 2, 1, 1, 0]
        store.add_texts(["more"], [{"n": True}])
        assert store.count({"n": True}) == 2
        store.delete(filter={"n": 1})
        assert [store.count({"n": value}) for value in (1, True)] == [0, 2]


def test_small_stores_get_none(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, [{"n": 1}])
        assert store.count({"n": 1}) == 1
        assert ("metadata", "n") not in store._store.whole._indexes  # type: ignore[attr-defined]


@pytest.mark.usefixtures("eager")
def test_their_number_is_bounded(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, [{"key7": 1}])
        for number in range(60):
            assert store.count({f"key{number}": 1}) == (number == 7)
        assert len(store._store.whole._indexes) == 32  # type: ignore[attr-defined]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("first", [{"n": {"lt": 5}}, {"n": {"lt": "2024-06-01"}}])
def test_a_field_of_numbers_and_dates_finds_each(tmp_path: Path, first: dict[str, Any]) -> None:
    def check(store: QwenVectorStore) -> None:
        assert store.count({"n": {"lt": "2024-06-01"}}) == store.count({"n": {"lt": 5}}) == 1
        assert store.count({"n": {"gte": "1970-01-01"}}) == store.count({"n": [1, 7]}) == 2

    numbers_and_dates = [{"n": 1}, {"n": 7}, {"n": "2024-05-01"}, {"n": "2024-07-01"}]
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, numbers_and_dates)
        assert store.count(first) == 1
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:  # with the index of the first
        check(store)
    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        store.delete(filter={"n": {"gte": "2024-06-01"}})
        assert sorted(d.metadata["n"] for d in store.scroll({"n": {"gt": 0}})) == [1, 7]


@pytest.mark.usefixtures("eager")
def test_a_full_disk_stops_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StoreWriteError("The disk is full.")

    with QwenVectorStore(BagOfWords(8), path=tmp_path / "store") as store:
        fill(store, [{"n": 1}, {"n": 2}])
        monkeypatch.setattr(edge_backend, "check_space", full)
        assert [d.id for d in store.similarity_search("text", filter={"n": 2})] == ["1"]


def test_a_server_is_asked_for_indexes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeQdrant(monkeypatch)
    with QwenVectorStore(BagOfWords(8), url="http://server") as store:
        fill(store, [{"group": "a", "year": 2020}])
        for _ in range(2):
            assert store.similarity_search("text", filter={"group": "a", "year": {"gte": 2000}})
    made = {
        (body["field_name"], str(body["field_schema"]))
        for path, body in zip(fake.paths, fake.bodies, strict=True)
        if path == "PUT index"
    }
    assert ('metadata."group"', "keyword") in made
    [tenant] = [schema for name, schema in made if name == "tenant"]
    assert "'is_tenant': True" in tenant
    assert fake.paths.count("PUT index") == len(made) == 4


@pytest.mark.parametrize(
    ("filter", "kinds"),
    [
        ({"a": "x"}, {"a": "keyword"}),
        ({"a": 1, "b": True}, {"a": "float", "b": "bool"}),
        ({"or": [{"a": {"gte": "2024-01-01"}}, {"not": {"b": {"lt": 3}}}]}, {"a": "datetime", "b": "float"}),
        ({"a": {"exists": True}, "b": {"contains": "x"}, "c": 2**60}, {}),
    ],
)
def test_which_index_a_filter_wants(filter: dict[str, Any], kinds: dict[str, str]) -> None:
    assert {path[-1]: kind for path, kind in indexes_for(parse_filter(filter))} == kinds
