"""Other vector stores under the same graphs and the same ingest: they work, or are read in place."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from qwen_agentkit.graphs import create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.ingest import load_chunks
from qwen_agentkit.vectorstores import client_backend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

QUESTION = {"messages": [("user", "When does the library open?")]}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hours.md").write_text("# Hours\n\nThe library opens at nine.", "utf-8")
    (tmp_path / "docs" / "boat.txt").write_text("A boat leaves at six.", "utf-8")
    (tmp_path / "docs" / "bad.pdf").write_bytes(b"%PDF-1.7 broken")
    return tmp_path / "docs"


def test_the_memory_store_is_kept_in_step_and_answers(docs: Path) -> None:
    store = InMemoryVectorStore(BagOfWords())
    records = InMemoryRecordManager("docs")
    records.create_schema()

    def update() -> tuple[int, int, int]:
        loaded = load_chunks([docs], count_tokens=count_words)
        assert [failure["source"] for failure in loaded.failed] == ["docs/bad.pdf"]
        options = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
        done = index(loaded.documents, records, store, **options)  # type: ignore[arg-type]
        return done["num_added"], done["num_skipped"], done["num_deleted"]

    assert update() == (2, 0, 0)
    assert update() == (0, 2, 0)
    (docs / "boat.txt").unlink()
    assert update() == (0, 1, 1)
    for build in (create_rag_graph, create_corrective_rag_graph):
        state = build(None, store).invoke(QUESTION)  # type: ignore[operator]
        assert "opens at nine" in state["answer"]
        assert state["citations"][0]["source"] == "docs/hours.md"


def test_a_collection_of_langchain_qdrant_is_read_in_place(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = QdrantClient(":memory:")
    client.create_collection(
        "theirs", vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE)
    )
    theirs = QdrantVectorStore(client, "theirs", BagOfWords())
    theirs.add_documents(load_chunks([docs], count_tokens=count_words).documents)
    theirs.add_documents([Document("A fine is ten cents.", metadata={"year": 2024})])
    monkeypatch.setattr(client_backend, "QdrantClient", lambda **_: client)
    with QwenVectorStore(BagOfWords(), url="http://server", collection="theirs") as store:
        assert store.count() == 3
        assert store.count({"metadata.year": {"gte": 2020}}) == 1
        wanted = models.FieldCondition(key="metadata.year", match=models.MatchValue(value=2024))
        assert store.count(models.Filter(must=[wanted])) == 1
        for retriever in (store, theirs):
            state = create_rag_graph(None, retriever).invoke(QUESTION)  # type: ignore[arg-type]
            assert "opens at nine" in state["answer"]


def test_the_example_on_milvus_lite(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("langchain_milvus", reason="needs the extra bench")
    example = Path(__file__).parents[1] / "examples" / "milvus.py"
    assert len(example.read_text("utf-8").splitlines()) <= 40
    main = runpy.run_path(str(example))["main"]
    main(str(docs), "When does the library open?")
    printed = capsys.readouterr().out
    assert printed.index("before:") < printed.index("after:") < printed.index("answer:")
    assert "opens at nine" in printed.partition("after:")[2]
