"""`ingest --quantization`: a store that is made so remembers it, and no later command needs to say it."""

from __future__ import annotations

from pathlib import Path

from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.command_line import Run
from tests.fakes.embedders import BagOfWords


def test_a_store_remembers_how_its_vectors_are_kept(run: Run, tmp_path: Path) -> None:
    docs, store = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    (docs / "hours.md").write_text("The library opens at nine.", "utf-8")
    made = run("ingest", docs, "--preset", "nano", "--store", store, "--quantization", "scalar", "--json")
    assert made.json["added"] == 1
    assert run("store", "stats", "--store", store, "--json").json["quantization"] == "scalar"

    (docs / "boat.md").write_text("The boat leaves at noon.", "utf-8")
    assert run("ingest", docs, "--store", store, "--json").json["added"] == 1
    other = run("ingest", docs, "--store", store, "--quantization", "binary")
    assert other.code == 2
    assert "was made with quantization='scalar'" in other.err
    found = run("search", "When does the boat leave?", "--store", store, "--json").json["results"]
    assert found[0]["source"] == "docs/boat.md"
    assert run("store", "stats", "--store", store, "--json").json["passages"] == 2


def test_another_word_makes_no_store(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text", "utf-8")
    ran = run(
        "ingest", tmp_path / "a.md", "--preset", "nano", "--store", tmp_path / "s", "--quantization", "int8"
    )
    assert ran.code == 2
    assert "quantization is 'int8'; expected 'scalar', 'binary'" in ran.err
    assert not (tmp_path / "s").exists()


def test_stats_of_whole_vectors(run: Run, tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        store.add_texts(["text"])
    assert run("store", "stats", "--store", tmp_path / "store", "--json").json["quantization"] is None
