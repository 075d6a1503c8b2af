"""`ingest` into other vector stores, with a record manager: in step with the files, and sound when killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.indexing import InMemoryRecordManager
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.ingest import IngestReport, ingest
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words


def in_memory(folder: Path) -> VectorStore:
    return InMemoryVectorStore(BagOfWords())


def qdrant(folder: Path) -> VectorStore:
    client = QdrantClient(":memory:")
    client.create_collection("docs", models.VectorParams(size=64, distance=models.Distance.COSINE))
    return QdrantVectorStore(client, "docs", BagOfWords())


def milvus(folder: Path) -> VectorStore:
    module = pytest.importorskip("langchain_milvus", reason="needs the extra bench")
    store: VectorStore = module.Milvus(
        BagOfWords(),
        connection_args={"uri": str(folder / "milvus.db")},
        auto_id=False,
        enable_dynamic_field=True,
        consistency_level="Strong",
    )
    return store


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hours.md").write_text("# Hours\n\nThe library opens at nine.", "utf-8")
    (tmp_path / "docs" / "boat.txt").write_text("A boat leaves at six.", "utf-8")
    return tmp_path / "docs"


def run(docs: Path, store: VectorStore, records: InMemoryRecordManager) -> IngestReport:
    return ingest([docs], store, records=records, count_tokens=count_words)


def found(store: VectorStore) -> list[str]:
    return sorted(document.page_content for document in store.similarity_search("at", k=50))


@pytest.mark.parametrize("make", [in_memory, qdrant, milvus])
def test_other_stores_are_kept_in_step(
    docs: Path, tmp_path: Path, make: Callable[[Path], VectorStore]
) -> None:
    store, records = make(tmp_path), InMemoryRecordManager("docs")
    assert run(docs, store, records).added == 2
    again = run(docs, store, records)
    assert (again.added, again.skipped, again.removed) == (0, 2, 0)
    state = create_rag_graph(None, store).invoke({"messages": [("user", "When does the library open?")]})
    assert "opens at nine" in state["answer"]
    (docs / "boat.txt").write_text("A boat leaves at seven.", "utf-8")
    assert run(docs, store, records).added == 1
    assert found(store) == ["# Hours\n\nThe library opens at nine.", "A boat leaves at seven."]
    (docs / "boat.txt").unlink()
    assert run(docs, store, records).removed == 1
    assert found(store) == ["# Hours\n\nThe library opens at nine."]


def test_only_changed_files_are_embedded(docs: Path, tmp_path: Path) -> None:
    store, records = in_memory(tmp_path), InMemoryRecordManager("docs")
    run(docs, store, records)
    embedder: Any = store.embeddings
    embedder.embedded.clear()
    (docs / "new.md").write_text("A fine is ten cents.", "utf-8")
    run(docs, store, records)
    assert embedder.embedded == ["A fine is ten cents."]


class Stopped(Exception):
    """The process ends here."""


class Stopping:
    """Ends the process before or after one of the calls on some objects."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left, self.after = number, after

    def watch(self, thing: Any, *names: str) -> None:
        for name in names:
            self._watch(thing, name, getattr(thing, name))

    def _watch(self, thing: Any, name: str, call: Callable[..., Any]) -> None:
        def watched(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Stopped
            result = call(*arguments, **options)
            if self.left == 0:
                raise Stopped
            return result

        setattr(thing, name, watched)


@pytest.mark.parametrize("after", [False, True])
def test_stopped_at_every_call_and_run_again(docs: Path, tmp_path: Path, after: bool) -> None:
    for number in range(1, 100):
        stopping = Stopping(number, after=after)
        (docs / "boat.txt").write_text("A boat leaves at six.", "utf-8")
        (docs / "old.txt").write_text("This goes.", "utf-8")
        store, records = qdrant(tmp_path), InMemoryRecordManager("docs")
        run(docs, store, records)
        (docs / "boat.txt").write_text("A boat leaves at seven.\n\nAnother at eight.", "utf-8")
        (docs / "old.txt").unlink()
        add, delete = store.add_documents, store.delete
        update, forget = records.update, records.delete_keys
        stopping.watch(store, "add_documents", "delete")
        stopping.watch(records, "update", "delete_keys")
        try:
            run(docs, store, records)
            assert number > 6
            return
        except Stopped:
            pass
        store.add_documents, store.delete = add, delete  # type: ignore[method-assign]
        records.update, records.delete_keys = update, forget  # type: ignore[method-assign]
        (docs / "hours.md").write_text("# Hours\n\nThe library opens at nine.", "utf-8")
        run(docs, store, records)
        assert found(store) == [
            "# Hours\n\nThe library opens at nine.",
            "A boat leaves at seven.\n\nAnother at eight.",
        ]
        assert (run(docs, store, records).added, len(records.list_keys())) == (0, 2)


def test_records_are_for_other_stores_only(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected records for any"):
        ingest([docs], in_memory(tmp_path))
    with QwenVectorStore(BagOfWords(), path=":memory:") as store, pytest.raises(InputError, match="itself"):
        ingest([docs], store, records=InMemoryRecordManager("docs"))
