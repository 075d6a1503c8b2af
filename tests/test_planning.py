"""`qwen-agentkit plan`: its arithmetic, and that the formulas fit a store that was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qwen_agentkit.cli.maintenance import measure
from qwen_agentkit.cli.planning import Workload, plan
from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.command_line import Run
from tests.fakes.embedders import BagOfWords


def values(work: Workload) -> dict[str, float]:
    return {row["name"]: row["value"] for row in plan(work)}


def test_a_billion_documents() -> None:
    found = values(Workload(1e9, quantize="binary", rate=100, workers=64))
    assert found["passages"] == 1e10
    assert found["vectors"] == pytest.approx(40_960)
    assert found["vectors in memory"] == pytest.approx(1280)
    assert found["memory"] == pytest.approx(1280 + 1280 + 8000 + 1000)
    assert found["shards"] == 226
    assert found["machines"] == 452
    assert found["hours to embed"] == pytest.approx(1e10 / 6400 / 3600)


def test_quantizing_saves_memory_and_costs_disk() -> None:
    none, scalar, binary = (values(Workload(1e6, quantize=name)) for name in ("none", "scalar", "binary"))
    assert none["memory"] > scalar["memory"] > binary["memory"]
    assert scalar["disk of all replicas"] > binary["disk of all replicas"] > none["disk of all replicas"]


def test_the_formulas_fit_a_measured_store(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = [f"word{number}" for number in range(4000)]
    texts = [" ".join(rng.choice(words, 60, replace=False)) for _ in range(2000)]
    with QwenVectorStore(BagOfWords(256), path=tmp_path / "store") as store:
        store.add_texts(texts)
    bytes_ = sum(len(text) for text in texts) / len(texts)
    work = Workload(2000, 1, dimensions=256, text_bytes=bytes_, terms=60, replicas=1)
    predicted = values(work)["disk of all replicas"] * 1e9
    assert 0.4 < predicted / measure(tmp_path / "store")["bytes"] < 2.5


@pytest.mark.parametrize("work", [Workload(0), Workload(-1), Workload(float("nan")), Workload(1, rate=0)])
def test_what_is_no_number_of_documents_is_refused(work: Workload) -> None:
    with pytest.raises(InputError, match="expected a positive number"):
        plan(work)


def test_the_command_prints_formulas(run: Run) -> None:
    ran = run("plan", "--documents", "1e9")
    assert "vectors: 40,960 GB = passages * dimensions * 4 bytes" in ran.out
    assert "hours to embed: unknown" in ran.out
    assert run("plan", "--documents", "1e6", "--json").json["plan"][0]["value"] == 1e7
    assert run("plan", "--documents", "1e6", "--quantize", "x").code == 2
