"""`ingest` as a graph: what it brings in, when it asks, and that only a plain yes deletes much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import ValidationError

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs import create_ingest_graph
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.md").write_text(f"Boat {number} leaves from pier {number}.")
    return folder


def opener(tmp_path: Path) -> Any:
    return lambda: QwenVectorStore(BagOfWords(), path=tmp_path / "store")


def sources(tmp_path: Path) -> set[str]:
    with opener(tmp_path)() as store:
        return {document.metadata["source"].split("/")[-1] for document in store.scroll()}


def remove(docs: Path, *numbers: int) -> None:
    for number in numbers:
        (docs / f"{number}.md").unlink()


def test_it_brings_in_and_tells_how_far_it_is(tmp_path: Path, docs: Path) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs])
    events = list(graph.stream({}, stream_mode="custom"))
    assert {"stage": "update", "step": "read", "done": 10, "of": 10} in events
    assert [event["stage"] for event in events if "seconds" in event] == ["update", "compare"]
    state = graph.invoke({})
    assert (state["report"]["added"], state["report"]["skipped"]) == (0, 10)
    assert len(sources(tmp_path)) == 10


def test_little_is_deleted_unasked_unless_the_settings_keep_it(tmp_path: Path, docs: Path) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs])
    graph.invoke({})
    remove(docs, 0, 1)
    assert graph.invoke({}, context={"prune": False})["report"]["removed"] == 0
    assert len(sources(tmp_path)) == 10
    assert graph.invoke({})["report"]["removed"] == 2
    assert sources(tmp_path) == {f"{number}.md" for number in range(2, 10)}


@pytest.mark.parametrize(
    ("answer", "left"), [(True, 7), (False, 10), ("false", 10), (1, 10), ({"approved": True}, 10)]
)
def test_much_is_deleted_after_a_plain_yes_only(tmp_path: Path, docs: Path, answer: Any, left: int) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs], checkpointer=InMemorySaver())
    graph.invoke({}, THREAD)
    remove(docs, 0, 1, 2)
    [asked] = graph.invoke({}, THREAD)["__interrupt__"]
    assert "3 documents are gone, 30%" in asked.value["question"]
    assert [source.split("/")[-1] for source in asked.value["documents"]] == ["0.md", "1.md", "2.md"]
    assert len(sources(tmp_path)) == 10
    state = graph.invoke(Command(resume=answer), THREAD)
    assert state["report"]["removed"] == 10 - left
    assert len(sources(tmp_path)) == left


def test_a_file_that_came_back_keeps_its_document(tmp_path: Path, docs: Path) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs], checkpointer=InMemorySaver())
    graph.invoke({}, THREAD)
    text = (docs / "0.md").read_text()
    remove(docs, 0, 1, 2)
    graph.invoke({}, THREAD)
    (docs / "0.md").write_text(text)
    assert graph.invoke(Command(resume=True), THREAD)["report"]["removed"] == 2
    assert "0.md" in sources(tmp_path)


def test_without_a_checkpointer_much_stays(tmp_path: Path, docs: Path) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs])
    graph.invoke({})
    remove(docs, 0, 1, 2)
    assert "__interrupt__" in graph.invoke({})
    assert len(sources(tmp_path)) == 10


def test_an_open_store_stays_open_and_an_emptied_folder_is_asked_about(docs: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        graph = create_ingest_graph(store, [docs], checkpointer=InMemorySaver())
        graph.invoke({}, THREAD)
        remove(docs, *range(10))
        [asked] = graph.invoke({}, THREAD)["__interrupt__"]
        assert "100%" in asked.value["question"]
        assert store.count() == 10
        assert graph.invoke(Command(resume=True), THREAD)["report"]["removed"] == 10
        with pytest.raises(InputError, match="holds no documents"):
            graph.invoke({}, THREAD)


def test_no_request_names_a_folder_or_loosens_the_question(tmp_path: Path, docs: Path) -> None:
    graph = create_ingest_graph(opener(tmp_path), [docs])
    assert graph.get_input_jsonschema().get("properties", {}) == {}
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.md").write_text("A secret.")
    graph.invoke({"folders": [str(other)]})  # type: ignore[typeddict-unknown-key]
    assert "secret.md" not in sources(tmp_path)
    for setting in ({"folders": [str(other)]}, {"ask_above": 1}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            graph.invoke({}, context=setting)  # type: ignore[arg-type]


def test_folders_below_name_groups(tmp_path: Path, docs: Path) -> None:
    (docs / "crew").mkdir()
    (docs / "crew" / "rota.md").write_text("The rota of the crew.")
    report = create_ingest_graph(opener(tmp_path), [docs], groups=True).invoke({})["report"]
    assert report["added"] == 1
    assert "no group's folder" in report["failed"][0]["reason"]
    with opener(tmp_path)() as store:
        assert [document.metadata["group"] for document in store.scroll()] == ["crew"]
