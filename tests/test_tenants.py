"""Tenants of one collection: nobody reads, counts, replaces or deletes what is another's, in any back end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest import ingest
from qwen_agentkit.text.documents import chunk_ids
from qwen_agentkit.vectorstores import client_backend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

Open = Callable[..., QwenVectorStore]


@pytest.fixture(params=["folder", "server"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Open the same collection as often as wanted."""
    place: dict[str, Any] = {"path": tmp_path / "store"}
    if request.param == "server":
        client = QdrantClient(":memory:")
        monkeypatch.setattr(client_backend, "QdrantClient", lambda **_: client)
        monkeypatch.setattr(client, "close", lambda: None)
        monkeypatch.setattr(client_backend.ClientBackend, "_index", lambda self: None)
        place = {"url": "http://server"}
    opened: list[QwenVectorStore] = []

    def open_store(tenant: str | None = None) -> QwenVectorStore:
        opened.append(QwenVectorStore(BagOfWords(16), tenant=tenant, **place))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def contents(store: QwenVectorStore) -> set[tuple[str, str]]:
    return {(document.id or "", document.page_content) for document in store.scroll()}


def test_equal_documents_of_two_tenants_are_two(open_store: Open) -> None:
    one, other, none = open_store("acme"), open_store("globex"), open_store()
    for store in (one, other, none):
        assert len(store.add_texts(["The price is 9."], [{"source": "h.md"}])) == 1
    assert [store.count() for store in (one, other, none)] == [1, 1, 1]
    other.delete(filter={"source": "h.md"})
    assert [store.count() for store in (one, other, none)] == [1, 0, 1]


def test_ids_of_another_reach_nothing(open_store: Open) -> None:
    one, other, none = open_store("acme"), open_store("globex"), open_store()
    [id] = one.add_texts(["The price is 9."])
    [hit] = one._backend.retrieve([id])
    raw = next(iter(one._store.whole.scroll(one._store._space()))).id
    assert raw != hit.id == id
    for store in (other, none):
        for known in (id, raw):
            assert store.get_by_ids([known]) == []
            store.delete([known])
            with pytest.raises(InputError, match="not in the store"):
                store.update_metadata([hit.document().model_copy(update={"id": known})])
        store.delete(filter={"tenant": {"exists": False}})
    with pytest.raises(InputError, match="tenant's document"):
        none.add_texts(["Mine."], ids=[raw])
    other.add_texts(["Mine."], ids=[raw])
    assert contents(one) == {(id, "The price is 9.")}


def test_a_store_that_was_opened_before_there_were_tenants_shows_none(open_store: Open) -> None:
    early, other = open_store(), open_store("globex")
    one = open_store("acme")
    one.add_texts(["secret"])
    for store in (early, other):
        assert store.similarity_search("secret") == []
        assert store.count() == 0
        store.delete([document.id or "" for document in one.scroll()])
    assert one.count() == 1


def test_metadata_and_filters_do_not_change_the_tenant(open_store: Open) -> None:
    one, other, none = open_store("acme"), open_store("globex"), open_store()
    one.add_texts(["secret"], [{"tenant": "globex"}])
    none.add_texts(["free"], [{"tenant": "acme"}])
    filters: list[dict[str, Any]] = [
        {"tenant": "globex"},
        {"or": [{"tenant": "acme"}, {"tenant": {"exists": False}}]},
        {"not": {"tenant": "globex"}},
        {"tenant": {"ne": "globex"}},
    ]
    for filter in filters:
        assert list(other.scroll(filter)) == []
        assert other.similarity_search("secret", filter=filter) == []
        other.delete(filter=filter)
    assert (one.count({"tenant": "globex"}), none.count({"tenant": "acme"})) == (1, 1)


def test_searches_of_every_kind_stay_within_the_tenant(open_store: Open) -> None:
    one, other = open_store("acme"), open_store("globex")
    one.add_texts(["the library opens"])
    other.add_texts(["the library closes", "a boat leaves"])
    for mode in ("hybrid", "dense", "sparse"):
        one.mode = mode  # type: ignore[assignment]
        assert [d.page_content for d in one.similarity_search("library closes", k=9)] == ["the library opens"]
    vector = one.embeddings.embed_query("library closes")
    for found in (
        one.similarity_search_by_vector(vector, k=9),
        one.max_marginal_relevance_search("library closes", k=9),
        [document for document, _ in one.similarity_search_with_relevance_scores("library closes", k=9)],
    ):
        assert [document.page_content for document in found] == ["the library opens"]


def test_words_of_another_tenant_do_not_change_the_scores(tmp_path: Path) -> None:
    def scores(tenant: str) -> list[float]:
        with QwenVectorStore(BagOfWords(16), path=tmp_path / "s", mode="sparse", tenant=tenant) as store:
            return [score for _, score in store.similarity_search_with_score("the library opens", k=3)]

    texts = ["the library opens", "the library closes", "a boat leaves"]
    QwenVectorStore.from_texts(texts, BagOfWords(16), path=tmp_path / "s", tenant="acme").close()
    before = scores("acme")
    other = [f"the library opens at {number}" for number in range(30)]
    QwenVectorStore.from_texts(other, BagOfWords(16), path=tmp_path / "s", tenant="globex").close()
    assert scores("acme") == before


BAD = [
    "",
    " ",
    "*",
    "a*",
    "te?t",
    "100%",
    "a\nb",
    "\x00",
    "a\u202eb",
    "a\u2028b",
    " acme",
    "acme ",
    "e\u0301",
    "x" * 201,
]


@pytest.mark.parametrize("name", [*BAD, 7, ["acme"]])
def test_names_that_could_mean_several_tenants_are_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(InputError, match="tenant is"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "store", tenant=name)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["acme", "客户", "عميل", "Ünal & Söhne", "a/b", "'; --", "\U0001f600"])
def test_names_in_every_script(open_store: Open, name: str) -> None:
    open_store(name).add_texts(["text"])
    assert (open_store(name).count(), open_store("other").count()) == (1, 0)


@pytest.mark.parametrize("key", ["tenant", "customer", "group", "acl"])
def test_documents_that_differ_in_metadata_alone_are_two(open_store: Open, key: str) -> None:
    store = open_store()
    [one] = store.add_texts(["T"], [{"source": "h.md", key: "acme"}])
    [other] = store.add_texts(["T"], [{"source": "h.md", key: "globex"}])
    assert store.add_texts(["T"], [{key: "acme", "source": "h.md"}]) == [one] != [other]
    assert (store.count({key: "acme"}), store.count({key: "globex"})) == (1, 1)


def test_ids_of_earlier_versions_are_found_again(open_store: Open) -> None:
    store, metadata = open_store(), {"source": "h.md", "n": 1}
    old = chunk_ids(["T"], [metadata])
    store.add_texts(["T"], [metadata], ids=old)
    assert store.add_texts(["T"], [metadata]) == old
    assert store.add_texts(["T"], [{**metadata, "n": 2}]) != old
    assert store.count() == 2


def test_folders_of_two_tenants_are_apart(open_store: Open, tmp_path: Path) -> None:
    for tenant, text in (("acme", "It opens at nine."), ("globex", "It opens at nine.")):
        (tmp_path / tenant / "docs").mkdir(parents=True)
        (tmp_path / tenant / "docs" / "hours.md").write_text(text, "utf-8")
        report = ingest([tmp_path / tenant / "docs"], open_store(tenant), count_tokens=count_words)
        assert (report.added, report.failed) == (1, [])
    (tmp_path / "acme" / "docs" / "hours.md").write_text("It opens at ten.", "utf-8")
    for tenant in ("acme", "globex"):
        ingest([tmp_path / tenant / "docs"], open_store(tenant), count_tokens=count_words)
    found = {tenant: [d.page_content for d in open_store(tenant).scroll()] for tenant in ("acme", "globex")}
    assert found == {"acme": ["It opens at ten."], "globex": ["It opens at nine."]}


def run_random_operations(open_store: Open, tenants: int, operations: int, seed: int) -> None:
    """Compare every tenant with a dictionary of its own, after each operation on one of them."""
    rng = random.Random(seed)
    names = [None, *(f"tenant {number}" for number in range(tenants - 1))]
    stores = {name: open_store(name) for name in names}
    oracle: dict[str | None, dict[str, tuple[str, int]]] = {name: {} for name in names}
    ids = [f"id {number}" for number in range(12)] + ["0b1c6f9e-3f6d-4a63-9a0e-5b7c9a4f2d11"]
    for step in range(operations):
        name = rng.choice(names)
        store, mine = stores[name], oracle[name]
        kind = rng.randrange(8)
        chosen = rng.sample(ids, rng.randint(1, 3))
        if kind < 3:
            number = rng.randrange(4)
            texts = [f"text {rng.randrange(5)} of {id}" for id in chosen]
            store.add_texts(texts, [{"n": number}] * len(chosen), ids=chosen)
            mine.update({id: (text, number) for id, text in zip(chosen, texts, strict=True)})
        elif kind == 3:
            store.delete(chosen)
            for id in chosen:
                mine.pop(id, None)
        elif kind == 4:
            number = rng.randrange(4)
            store.delete(filter={"n": number})
            oracle[name] = mine = {id: item for id, item in mine.items() if item[1] != number}
        elif kind == 5:
            found = store.get_by_ids(chosen)
            assert [(d.id, d.page_content) for d in found] == [
                (id, mine[id][0]) for id in chosen if id in mine
            ]
        elif kind == 6:
            found = store.similarity_search("text of id", k=50)
            assert {(d.id, d.page_content) for d in found} == {(id, item[0]) for id, item in mine.items()}
        else:
            assert store.count({"n": 1}) == sum(number == 1 for _, number in mine.values())
        if step % 50 == 0:
            other = rng.choice(names)
            assert contents(stores[other]) == {(id, item[0]) for id, item in oracle[other].items()}
    for name in names:
        assert contents(stores[name]) == {(id, item[0]) for id, item in oracle[name].items()}


def test_random_operations_leak_and_lose_nothing(open_store: Open) -> None:
    run_random_operations(open_store, tenants=5, operations=250, seed=3)


@pytest.mark.soak
def test_20_000_operations_of_50_tenants(open_store: Open) -> None:
    run_random_operations(open_store, tenants=50, operations=20_000, seed=4)
