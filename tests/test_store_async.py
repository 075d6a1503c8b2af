"""The store on an event loop: a server is awaited, an embedded store works in threads, cancelling is safe."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.vectorstores import adding
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.qdrant_server import FakeQdrant

LIBRARY = [
    Document("The library opens at nine.", metadata={"source": "hours.md", "language": "en"}),
    Document("A fine is ten cents a day.", metadata={"source": "fines.md", "language": "en"}),
    Document("تفتح المكتبة في التاسعة صباحا.", metadata={"source": "ar.md", "language": "ar"}),
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeQdrant:
    return FakeQdrant(monkeypatch)


@pytest.fixture(params=["embedded", "memory", "server"])
def store(request: pytest.FixtureRequest, fake: FakeQdrant, tmp_path: Path) -> Iterator[QwenVectorStore]:
    places: dict[str, dict[str, Any]] = {
        "embedded": {"path": tmp_path / "store"},
        "memory": {"path": ":memory:"},
        "server": {"url": "http://server"},
    }
    with QwenVectorStore(BagOfWords(), **places[request.param]) as store:
        yield store


async def test_every_async_method_does_what_the_other_does(store: QwenVectorStore) -> None:
    ids = await store.aadd_documents(LIBRARY)
    assert store.add_documents(LIBRARY) == ids
    assert await store.aget_by_ids(ids) == store.get_by_ids(ids)
    vector = store.embedding.embed_query("nine")
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("similarity_search", ("when does the library open", 2)),
        ("similarity_search", ("library", 2, {"language": "ar"})),
        ("similarity_search_with_score", ("fine", 3)),
        ("similarity_search_with_relevance_scores", ("library", 3)),
        ("similarity_search_by_vector", (vector, 2)),
        ("max_marginal_relevance_search", ("library", 2)),
        ("max_marginal_relevance_search_by_vector", (vector, 2)),
    ]
    for name, arguments in calls:
        assert await getattr(store, f"a{name}")(*arguments) == getattr(store, name)(*arguments), name
    assert await store.asearch("fine", "mmr") == store.search("fine", "mmr")
    assert await store.adelete(ids[:1])
    assert await store.adelete(filter={"language": "ar"})
    assert [document.id for document in store.scroll()] == [ids[1]]


async def test_errors_are_those_of_the_other_methods(store: QwenVectorStore) -> None:
    with pytest.raises(InputError, match="question"):
        await store.asimilarity_search(" ")
    with pytest.raises(InputError, match="fitler"):
        await store.asimilarity_search("library", fitler={"year": 1})
    with pytest.raises(InputError, match="exactly one"):
        await store.adelete()
    with pytest.raises(InputError, match="has no text"):
        await store.aadd_texts(["good", ""])
    store.close()
    for call in (store.asimilarity_search("x"), store.aadd_texts(["x"]), store.adelete(["x"])):
        with pytest.raises(StoreError, match="closed"):
            await call


async def test_a_server_answers_many_at_once_without_threads(
    fake: FakeQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = AsyncBagOfWords()
    with QwenVectorStore(embedder, url="http://server") as store:
        await store.aadd_documents(LIBRARY)
        fake.awaited, fake.seconds = 0, 0.01
        threads = threading.active_count()
        found = await asyncio.gather(*(store.asimilarity_search("ten cents", k=1) for _ in range(50)))
        assert {document.page_content for [document] in found} == {LIBRARY[1].page_content}
        assert fake.awaited >= 100  # two searches for each question
        assert fake.most_at_once == 50
        assert threading.active_count() == threads
        assert embedder.awaited == 51


class AsyncBagOfWords(Embeddings):
    """Embeds on the event loop alone."""

    def __init__(self) -> None:
        self.awaited = 0
        self._words = BagOfWords()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("it was not awaited")

    embed_query: Any = embed_documents

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        return self._words.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited += 1
        return self._words.embed_query(text)


async def test_a_cancelled_request_is_dropped_and_the_next_one_works(fake: FakeQdrant) -> None:
    with QwenVectorStore(BagOfWords(), url="http://server") as store:
        await store.aadd_documents(LIBRARY[:1])
        fake.seconds, sent = 60, len(fake.paths)
        task = asyncio.create_task(store.aadd_documents(LIBRARY))
        while not fake._at_once:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any("PUT" in path for path in fake.paths[sent:])
        fake.seconds = 0
        assert store.count() == 1
        assert len(await store.aadd_documents(LIBRARY)) == store.count() == 3


def test_each_event_loop_has_its_own_connections(fake: FakeQdrant) -> None:
    with QwenVectorStore(BagOfWords(), url="http://server") as store:
        asyncio.run(store.aadd_documents(LIBRARY))
        for _ in range(3):
            [found] = asyncio.run(store.asimilarity_search("ten cents", k=1))
            assert found.page_content == LIBRARY[1].page_content


@pytest.mark.parametrize("cancel_at", range(4))
async def test_an_embedded_store_is_sound_after_a_cancellation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancel_at: int
) -> None:
    """A write that has begun is finished before the cancellation is raised; then nothing goes on."""
    monkeypatch.setattr(adding, "_NUMBERS_PER_WRITE", 64)  # one text at a time
    loop, texts = asyncio.get_running_loop(), [f"text {number}" for number in range(4)]
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        task = asyncio.create_task(store.aadd_texts(texts))
        slow_upsert(monkeypatch, cancel_at, lambda: loop.call_soon_threadsafe(task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.count() == cancel_at + 1
        ids = await store.aadd_texts(texts)
        assert [document.page_content for document in store.get_by_ids(ids)] == texts
        assert store.count() == 4


def slow_upsert(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    """Do something in the middle of one of the writes, and let the event loop see it."""
    upsert, calls = EdgeBackend.upsert, iter(range(1000))

    def watched(self: EdgeBackend, points: Any) -> None:
        if next(calls) == number:
            act()
            threading.Event().wait(0.05)
        upsert(self, points)

    monkeypatch.setattr(EdgeBackend, "upsert", watched)


async def test_work_within_an_atomic_block_does_not_wait_for_the_block(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        with store.atomically():
            store.add_texts(["one"])
            await asyncio.wait_for(store.aadd_texts(["two"]), 10)
            assert len(await store.asimilarity_search("one two", k=9)) == 2
        assert store.count() == 2


async def test_a_store_is_made_from_documents(tmp_path: Path) -> None:
    async def embedded() -> QwenVectorStore:
        return await QwenVectorStore.afrom_documents(LIBRARY, BagOfWords(), path=tmp_path / "store")

    with await embedded() as store:
        assert store.count() == 3
    with await embedded() as store:
        assert store.count() == 3
