"""LangChain's indexing API over the store: every cleanup mode, sync and async, in both back ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QwenVectorStore]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "store")
    with QwenVectorStore(BagOfWords(), path=path) as store:
        yield store


@pytest.fixture
def records() -> InMemoryRecordManager:
    manager = InMemoryRecordManager("documents")
    manager.create_schema()
    return manager


def document(text: str, source: str) -> Document:
    return Document(page_content=text, metadata={"source": source})


BEFORE = [document("It opens at nine.", "hours"), document("It closes at six.", "hours")]
BEFORE += [document("A fine is ten cents.", "fines")]
AFTER = [document("It opens at ten.", "hours"), document("It closes at six.", "hours")]

KEPT = {
    None: {"It opens at nine.", "It opens at ten.", "It closes at six.", "A fine is ten cents."},
    "incremental": {"It opens at ten.", "It closes at six.", "A fine is ten cents."},
    "scoped_full": {"It opens at ten.", "It closes at six.", "A fine is ten cents."},
    "full": {"It opens at ten.", "It closes at six."},
}


def by_content(document: Document) -> str:
    return hashlib.sha256(document.page_content.encode()).hexdigest()


@pytest.mark.parametrize("cleanup", KEPT)
@pytest.mark.parametrize("key_encoder", ["sha256", by_content])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_every_cleanup_keeps_what_it_promises(
    store: QwenVectorStore,
    records: InMemoryRecordManager,
    cleanup: Any,
    key_encoder: Any,
    batch_size: int,
) -> None:
    def run(documents: list[Document]) -> dict[str, int]:
        return dict(
            index(
                documents,
                records,
                store,
                cleanup=cleanup,
                source_id_key="source",
                key_encoder=key_encoder,
                batch_size=batch_size,
            )
        )

    assert run(BEFORE)["num_added"] == 3
    assert run(BEFORE) == {"num_added": 0, "num_updated": 0, "num_skipped": 3, "num_deleted": 0}
    result = run(AFTER)
    assert (result["num_added"], result["num_skipped"]) == (1, 1)
    assert result["num_deleted"] == 4 - len(KEPT[cleanup])
    assert {found.page_content for found in store.scroll()} == KEPT[cleanup]
    assert store.similarity_search("opens at ten", k=1)[0].page_content == "It opens at ten."


@pytest.mark.parametrize("cleanup", KEPT)
async def test_async_does_the_same(
    store: QwenVectorStore, records: InMemoryRecordManager, cleanup: Any
) -> None:
    options: dict[str, Any] = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}
    await aindex(BEFORE, records, store, **options)
    result = await aindex(AFTER, records, store, **options)
    assert (result["num_added"], result["num_skipped"]) == (1, 1)
    assert {found.page_content for found in store.scroll()} == KEPT[cleanup]


def test_force_update_replaces(store: QwenVectorStore, records: InMemoryRecordManager) -> None:
    index(BEFORE, records, store, key_encoder="sha256")
    result = index(BEFORE, records, store, key_encoder="sha256", force_update=True)
    assert (result["num_updated"], store.count()) == (3, 3)


def test_a_batch_size_writes_all_and_a_wrong_one_nothing(store: QwenVectorStore) -> None:
    with pytest.raises(InputError, match="batch_size is 0; expected 1"):
        store.add_documents(BEFORE, batch_size=0)
    with pytest.raises(InputError, match="'batchsize' is unknown"):
        store.add_documents(BEFORE, batchsize=2)
    assert store.count() == 0
    assert len(store.add_documents(BEFORE, batch_size=2)) == 3
    assert store.count() == 3
