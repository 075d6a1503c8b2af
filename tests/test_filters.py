"""Filters mean in every back end what a few lines of Python say, however they are spelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from qdrant_client import models

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

Stores = tuple[QwenVectorStore, QwenVectorStore]

KEYS = ("n", "s", "flag", "tags", "day", "a.b", "中文", "or")
NUMBERS = (0, 1, 1.0, 2, 2.5, -3, -0.5, 10**6, True, False)
TEXTS = ("", "a", "ab", "abc", "B", "1", "true", "北京", "بيت", "a.b", "e\u0301")
DAYS = (
    "2024-05-01",
    "2024-05-01T12:30:00Z",
    "2024-05-01 12:30:00",
    "2024-05-01T23:30:00-02:00",
    "2023-12-31",
)
VALUES: tuple[Any, ...] = (*NUMBERS, *TEXTS, *DAYS, None, [], {}, {"b": 1})


def random_metadata(rng: random.Random) -> dict[str, Any]:
    def value() -> Any:
        if rng.random() < 0.25:
            return rng.choices(VALUES, k=rng.randrange(4))
        if rng.random() < 0.15:
            return {"b": rng.choice(VALUES)}
        return rng.choice(VALUES)

    keys = (*KEYS, "a")
    return {key: value() for key in rng.sample(keys, rng.randrange(len(keys)))}


def random_filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and rng.random() < 0.35:
        name = rng.choice(["and", "or", "nor", "not"])
        mark = rng.choice(["", "$"])
        if name == "not":
            return {mark + name: random_filter(rng, depth + 1)}
        return {mark + name: [random_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
    return {spelled(rng, key): random_value(rng) for key in rng.sample(KEYS, rng.randint(1, 2))}


def spelled(rng: random.Random, key: str) -> str:
    return f"metadata.{key}" if key == "or" or rng.random() < 0.2 else key


def random_value(rng: random.Random, depth: int = 0) -> Any:
    scalars = (*NUMBERS, *TEXTS, *DAYS)
    kind = rng.randrange(12)
    if kind < 2 and not depth:
        return rng.choice(scalars)
    if kind == 2 and not depth:
        return rng.choices(scalars, k=rng.randint(1, 3))
    name, value = rng.choice(
        [
            (rng.choice(["eq", "ne"]), rng.choice(scalars)),
            (rng.choice(["in", "nin"]), rng.choices(scalars, k=rng.randint(1, 3))),
            ("exists", rng.random() < 0.5),
            (rng.choice(["contains", "prefix"]), rng.choice(TEXTS[1:])),
            (rng.choice(["gt", "gte", "lt", "lte"]), rng.choice([*NUMBERS[:-2], *DAYS])),
        ]
    )
    if depth < 2 and rng.random() < 0.15:
        return {"$not": random_value(rng, depth + 1)}
    return {rng.choice(["", "$"]) + name: value}


def expected(filter: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return all(entry(key.removeprefix("$"), value, metadata) for key, value in filter.items())


def entry(key: str, value: Any, metadata: dict[str, Any]) -> bool:
    if key == "and":
        return all(expected(part, metadata) for part in value)
    if key in ("or", "nor"):
        return any(expected(part, metadata) for part in value) == (key == "or")
    if key == "not":
        return not expected(value, metadata)
    key = key.removeprefix("metadata.")
    places = [metadata.get(key)]
    if key == "a.b" and isinstance(metadata.get("a"), dict):
        places.append(metadata["a"].get("b"))
    return meets(places, value)


def meets(places: list[Any], wanted: Any) -> bool:
    entries = [item for place in places for item in (place if isinstance(place, list) else [place])]
    if not isinstance(wanted, dict):
        return any(same(item, other) for item in entries for other in listed(wanted))
    [(name, value)] = wanted.items()
    name = name.removeprefix("$")
    if name in ("not", "ne", "nin"):
        return not meets(places, value)
    if name in ("eq", "in"):
        return meets(places, value)
    if name == "exists":
        return any(place is not None and place != [] for place in places) == value
    texts = [item for item in entries if isinstance(item, str)]
    if name in ("contains", "prefix"):
        return any(value in item if name == "contains" else item.startswith(value) for item in texts)
    compare = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}[name]
    if isinstance(value, str):
        moments = [moment(item) for item in texts]
        return any(getattr(item, compare)(moment(value)) for item in moments if item)
    numbers = [item for item in entries if type(item) in (int, float)]
    return any(getattr(float(item), compare)(float(value)) for item in numbers)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def same(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    return not isinstance(stored, list | dict) and stored is not None and bool(stored == wanted)


def moment(text: str) -> datetime | None:
    if text not in DAYS:
        return None
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def fill(store: QwenVectorStore, metadatas: list[dict[str, Any]]) -> None:
    numbers = list(map(str, range(len(metadatas))))
    store.add_texts([f"text {number}" for number in numbers], metadatas, ids=numbers)


@contextmanager
def stores_in(folders: pytest.TempPathFactory) -> Iterator[Stores]:
    with (
        QwenVectorStore(BagOfWords(8), path=folders.mktemp("filters") / "store") as folder,
        QwenVectorStore(BagOfWords(8), path=":memory:") as memory,
    ):
        yield folder, memory


def test_random_filters_find_what_python_finds(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(7)
    metadatas = [random_metadata(rng) for _ in range(100)]
    found_some = 0
    with stores_in(tmp_path_factory) as stores:
        for store in stores:
            fill(store, metadatas)
        for _ in range(250):
            filter = random_filter(rng)
            right = {str(number) for number, metadata in enumerate(metadatas) if expected(filter, metadata)}
            for store in stores:
                assert {d.id for d in store.scroll(filter)} == right, filter
            found_some += 0 < len(right) < len(metadatas)
    assert found_some > 125


def ids(store: QwenVectorStore, filter: Any) -> set[str]:
    found = {document.id or "" for document in store.scroll(filter)}
    assert store.count(filter) == len(found)
    assert {d.id for d in store.similarity_search("text", k=99, filter=filter)} == found
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    metadatas: list[dict[str, Any]] = [
        {"lang": "ar", "year": 2020, "tags": ["x", "y"], "day": "2024-05-01", "paid": True},
        {"lang": "en", "year": 2024, "tags": ["y"], "day": "2024-06-01T10:00:00+02:00", "paid": False},
        {"lang": "zh", "year": 1999.0, "author": {"name": "Lu Xun", "born": 1881}},
        {"big": 2**53 + 1, "empty": [], "null": None, "page_content": "x"},
    ]
    with stores_in(tmp_path_factory) as stores:
        for store in stores:
            fill(store, metadatas)
        yield stores


UTC = timezone.utc
SPELLINGS: list[tuple[Any, set[str]]] = [
    ({"$or": [{"lang": "ar"}, {"year": {"$lt": 2000}}]}, {"0", "2"}),
    ({"$and": [{"lang": {"$in": ["ar", "en"]}}, {"year": {"$gte": 2021}}]}, {"1"}),
    ({"year": {"$gte": 2000, "$ne": 2020}}, {"1"}),
    ({"year": 1999}, {"2"}),
    ({"year": 2020.0}, {"0"}),
    ({"year": {"gt": 2019, "lt": 2021}, "or": [{"lang": "ar"}, {"lang": "en"}]}, {"0"}),
    ({"lang": {"$not": {"$eq": "ar"}}}, {"1", "2", "3"}),
    ({"$nor": [{"lang": "ar"}, {"lang": "en"}]}, {"2", "3"}),
    ({"tags": {"contains": "x"}}, {"0"}),
    ({"lang": {"contains": "r"}}, {"0"}),
    ({"author.name": {"prefix": "Lu"}}, {"2"}),
    ({"metadata.author.born": {"lt": 1900}}, {"2"}),
    ({"metadata.lang": "ar"}, {"0"}),
    ({"day": {"gte": date(2024, 5, 2)}}, {"1"}),
    ({"day": {"gte": "2024-06-01T08:00:00Z", "lte": datetime(2024, 6, 1, 8, tzinfo=UTC)}}, {"1"}),
    ({"day": date(2024, 5, 1)}, {"0"}),
    ({"day": datetime(2024, 6, 1, 5, tzinfo=timezone(timedelta(hours=-3)))}, {"1"}),
    ({"day": {"in": [date(2024, 5, 1), "x"]}}, {"0"}),
    ({"big": 2**53 + 1}, {"3"}),
    ({"big": 2**53}, set()),
    ({"empty": {"exists": True}}, set()),
    ({"null": {"exists": False}, "big": {"exists": True}}, {"3"}),
    ({"paid": 1}, set()),
    ({"paid": [True, 5]}, {"0"}),
    ({"lang": {"ar", "zh"}}, {"0", "2"}),
    (models.Filter(), {"0", "1", "2", "3"}),
    (
        models.Filter(must=[models.FieldCondition(key="metadata.lang", match=models.MatchValue(value="ar"))]),
        {"0"},
    ),
    (
        models.Filter(
            must=models.FieldCondition(key='metadata."year"', range=models.Range(gte=1990)),
            must_not=[models.FieldCondition(key="lang", match=models.MatchAny(any=["ar"]))],
        ),
        {"1", "2"},
    ),
    (
        models.Filter(
            should=[
                models.IsEmptyCondition(is_empty=models.PayloadField(key="metadata.lang")),
                models.FieldCondition(key="metadata.author.name", match=models.MatchPrefix(prefix="Lu")),
                models.FieldCondition(key="page_content", match=models.MatchSubstring(substring="xt 1")),
            ]
        ),
        {"1", "2", "3"},
    ),
    (
        models.Filter(
            must=[models.FieldCondition(key="day", range=models.DatetimeRange(gt=date(2024, 5, 1)))]
        ),
        {"1"},
    ),
]


@pytest.mark.parametrize(("filter", "right"), SPELLINGS, ids=range(len(SPELLINGS)))
def test_the_spellings_of_other_stores(library: Stores, filter: Any, right: set[str]) -> None:
    for store in library:
        assert ids(store, filter) == right


def deep(levels: int) -> dict[str, Any]:
    filter: dict[str, Any] = {"lang": "ar"}
    for _ in range(levels):
        filter = {"not": filter}
    return filter


REFUSED: list[Any] = [
    {"or": []},
    {"or": {}},
    {"$or": [{}]},
    {"and": [{"lang": "ar"}, {}]},
    {"not": {}},
    {"not": "x"},
    {"nor": ["x"]},
    {"lang": {"in": []}},
    {"lang": {"$nin": []}},
    {"lang": {"$in": "ar"}},
    {"lang": {"eq": ["ar"]}},
    {"lang": {"$ne": None}},
    {"lang": {"exists": 1}},
    {"lang": {"contains": ""}},
    {"lang": {"prefix": "\ud800"}},
    {"lang": {"$regex": "a.*"}},
    {"lang": {"gte": 3, "$gte": 4}},
    {"year": {"gte": 3, "lt": "2024-01-01"}},
    {"year": {"not": 3}},
    {"$where": "x"},
    {"metadata.": 1},
    {"metadata": {"lang": "ar"}},
    {"lang": list(map(str, range(100_001)))},
    deep(40),
    deep(20_000),
    lambda document: True,
    models.Filter(min_should=models.MinShould(conditions=[models.Filter()], min_count=1)),
    models.Filter(must=[models.HasIdCondition(has_id=[1])]),
    models.Filter(must=[models.FieldCondition(key="lang")]),
    models.Filter(must=[models.FieldCondition(key="lang", match=models.MatchExcept(**{"except": ["ar"]}))]),
    models.Filter(must=[models.FieldCondition(key="lang", match=models.MatchText(text="ar"))]),
    models.Filter(must=[models.FieldCondition(key="year", range=models.Range(gte=float("nan")))]),
    models.Filter(must=[models.FieldCondition(key='"a"[]."x"', match=models.MatchValue(value="ar"))]),
    models.Filter(must=[models.FieldCondition(key="metadata.a[].x", match=models.MatchValue(value="ar"))]),
    models.Filter(must=[models.FieldCondition(key="a[0]", match=models.MatchAny(any=["ar"]))]),
    models.FieldCondition(key="lang", match=models.MatchValue(value="ar")),
]


@pytest.mark.parametrize("filter", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_understood_is_refused(library: Stores, filter: Any) -> None:
    for store in library:
        with pytest.raises(InputError, match="filter"):
            store.delete(filter=filter)
        assert store.count() == 4


@pytest.mark.parametrize("filter", [{}, models.Filter(), models.Filter(must=[models.Filter()])])
def test_a_filter_of_everything_deletes_nothing(library: Stores, filter: Any) -> None:
    for store in library:
        with pytest.raises(InputError, match="delete got"):
            store.delete(filter=filter)
        assert store.count() == 4
