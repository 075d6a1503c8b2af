"""The benchmarks run: tiny models, every subcommand, what they promise to write."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from tests.benchmarks import gpu, machine, peers, work
from tests.benchmarks.__main__ import main
from tests.benchmarks.machine import OURS, Timed, interleaved

CASES = {
    "rerank": {"rag", "short", "long", "again"},
    "embed": {"query", "slices", "reindex"},
    "overhead": {"document", "query", "rerank"},
    "chat": {"decode", "quote", "eight", "turns"},
    "hybrid": {"decode", "eight", "turns"},
    "decisions": {"ten"},
    "quantized": {"decode", "prefill", "embed"},
    "llama": {"decode", "prefill"},
}


@pytest.fixture(scope="module", autouse=True)
def _checkpoints_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The benchmarks keep checkpoints in the system's folder of temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("checkpoints")))
        patch.setattr("tempfile.tempdir", None)
        yield


@pytest.mark.parametrize("what", CASES)
def test_a_benchmark_compares_all_its_cases(what: str, tmp_path: Path) -> None:
    written, drawn = tmp_path / "results.json", tmp_path / "results.png"
    main([what, "--quick", "--rounds", "1", "--json", str(written), "--plot", str(drawn)])
    found = json.loads(written.read_text())[what]
    assert found["cases"].keys() == CASES[what]
    for case in found["cases"].values():
        assert case["times_slower_than_ours"]
        assert OURS in case["seconds_min"]
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.enable_socket
def test_a_client_is_measured_against_a_server_on_this_machine(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    plot = tmp_path / "results.png"
    main(["client", "--quick", "--rounds", "1", "--json", str(written), "--plot", str(plot)])
    cases = json.loads(written.read_text())["client"]["cases"]
    assert cases.keys() == {"call", "token", "threads", "async"}
    assert all(case["milliseconds_each"].keys() == {OURS, "httpx"} for case in cases.values())
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    main(["memory", "--quick", "--json", str(written), "--plot", str(tmp_path / "results.png")])
    cases = json.loads(written.read_text())["memory"]["cases"]
    assert all(0 < cases[name]["megabytes"] < 500 for name in (OURS, f"{OURS}_embedding"))


def test_memory_that_was_given_back_has_been_seen() -> None:
    with machine.peak_memory() as peak:
        numbers = np.ones(25_000_000)
        time.sleep(0.05)
        del numbers
    assert 150e6 < peak.bytes < 400e6


def test_the_gpu_section_runs_on_any_device_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu.measure(work.Effort(rounds=1, quick=True), device="cpu")
    assert found["cases"].keys() == {"rerank", "embed"}
    assert all(share > 0 for share in found["cases"]["embed"]["share_of_limit"].values())


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    written = tmp_path / "results.json"
    main(["gpu", "--json", str(written), "--plot", str(tmp_path / "results.png")])
    assert json.loads(written.read_text()) == {"gpu": {"skipped": "no CUDA device"}}


def clocked(output: Any, seconds: float) -> Any:
    return lambda: Timed(output, seconds)


def test_ratios_are_to_ours_and_a_hopeless_peer_has_one_round() -> None:
    runs = {OURS: clocked(1, 2.0), "near": clocked(1, 3.0), "far": clocked(1, 20.0)}
    found = interleaved(runs, 3)
    assert found["times_slower_than_ours"] == {"near": 1.5, "far": 10.0}
    assert found["rounds"] == {OURS: 3, "near": 3, "far": 1}


def test_other_outputs_are_no_comparison() -> None:
    runs = {OURS: clocked(1.0, 1), "other": clocked(1.2, 1)}
    with pytest.raises(RuntimeError, match=r"differ by .* other: 1\.2"):
        interleaved(runs, 1)
    found = interleaved(runs, 1, apart=lambda left, right: abs(left - right), tolerance=0.5)
    assert found["largest_difference"] == pytest.approx(0.2)
    with pytest.raises(RuntimeError, match="differ by nan"):
        interleaved(runs, 1, apart=lambda left, right: float("nan"), tolerance=0.5)


def test_after_the_deadline_no_round_begins() -> None:
    found = interleaved({OURS: clocked(1, 1)}, 5, deadline=time.perf_counter())
    assert found["rounds"] == {OURS: 1}


def test_a_peer_is_measured_at_its_best() -> None:
    seconds = {("float32", 8): 0.002, ("float32", 2): 0.01, ("float32", 4): 0.006}
    tried = []

    def run(dtype: str, size: int) -> None:
        tried.append((dtype, size))
        time.sleep(seconds.get((dtype, size), 0.03))

    assert peers.tuned(run, (2, 4, 8, 16, 32))[:2] == ("float32", 8)
    assert ("float32", 32) not in tried
    assert [size for dtype, size in tried if dtype == "bfloat16"] == [4]


def test_arithmetic_counts_each_weight_and_each_visible_key(tiny_qwen3_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3_dir)
    weights = sum(weight.numel() for weight in model.model.layers.parameters() if weight.dim() == 2)
    per_pair = 4 * 3 * 4 * 16  # 3 layers, 4 heads of 16
    assert work.gigaflop(model, [(5, 2)]) == pytest.approx((2 * weights * 2 + per_pair * (6 + 7)) / 1e9)


def test_shares_count_the_same_work_for_everyone() -> None:
    cases: dict[str, Any] = {"rag": {"gigaflop": 50.0, "seconds_min": {OURS: 1.0, "peer": 2.0}}}
    machine.add_shares(cases, limit_gigaflops=100.0)
    assert cases["rag"]["share_of_limit"] == {OURS: 0.5, "peer": 0.25}
