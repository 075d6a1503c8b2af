"""The measurement of vector sizes: ranks and readers it can be trusted with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import sizes


def test_ranks_count_better_documents_and_earlier_equals() -> None:
    documents = np.array([[1, 0], [0, 1], [0, 1], [-1, 0]], dtype=np.float32)
    queries = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    found = sizes.ranks(sizes.Size(2, 32), queries, documents, np.array([3, 1, 2]))
    assert found.tolist() == [4, 1, 2]


def test_smaller_vectors_find_less_and_rescoring_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(0)
    documents = dice.normal(size=(400, 64)).astype(np.float32)
    queries = documents[:200] + dice.normal(scale=1.2, size=(200, 64)).astype(np.float32)

    def mrr(size: sizes.Size) -> float:
        unit = sizes.cut(queries, 64), sizes.cut(documents, 64)
        return sizes.quality(sizes.ranks(size, *unit, np.arange(200)))["mrr"]

    full, int8, binary = (mrr(sizes.Size(64, bits)) for bits in (32, 8, 1))
    assert full > mrr(sizes.Size(32, 32)) > mrr(sizes.Size(8, 32))
    assert abs(full - int8) < 0.02
    assert binary < full - 0.02
    assert binary < mrr(sizes.Size(64, 1, again=True)) <= full + 0.01


def test_both_layouts_give_the_same_corpus(tmp_path: Path) -> None:
    pairs = [("q1", "one"), ("q2", "two"), ("q3", "one")]
    paragraphs = [
        {"context": context, "qas": [{"question": q} for q, c in pairs if c == context]}
        for context in ("one", "two")
    ]
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"question": q, "context": c}) for q, c in pairs))
    nested, lines = sizes.read(tmp_path)
    for corpus in (nested, lines):
        assert corpus.contexts == ["one", "two"]
        answers = dict(zip(corpus.questions, corpus.right, strict=True))
        assert answers == {"q1": 0, "q2": 1, "q3": 0}
    assert sizes.read(tmp_path, ["b.j"]) == [lines]
    with pytest.raises(SystemExit, match="no questions"):
        sizes.read(tmp_path, ["other"])


def test_it_runs_on_nano_weights(tmp_path: Path) -> None:
    rows = [{"question": f"Where is boat {i}?", "context": f"Boat {i} is at pier {i}."} for i in range(8)]
    (tmp_path / "boats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    results = sizes.measure("nano-embedding", sizes.read(tmp_path))
    by_name = {row["size"]: row for row in results["sizes"]}
    assert by_name["float32 512"]["bytes"] == 2048
    assert by_name["binary 512"]["bytes"] == 64
    assert 0 < by_name["float32 512"]["mrr"] <= 1
    assert "binary 512 rescored" in sizes.table(results)
