"""What is measured of a processor is measured once, and remembered beside that of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from qwen_agentkit.engine.weights import bf16_speed, machine_facts
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from qwen_agentkit.engine.weights.machine_facts import remember_shorter, remembered


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(machine_facts, "HF_HOME", str(tmp_path))
    bf16_is_fast.cache_clear()
    yield tmp_path / "qwen-agentkit" / "measured.json"
    bf16_is_fast.cache_clear()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The types measured so far; bf16 is always the slower."""
    types: list[torch.dtype] = []

    def seconds(dtype: torch.dtype) -> float:
        types.append(dtype)
        return 2.0 if dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(bf16_speed, "_product_seconds", seconds)
    return types


def test_a_processor_is_measured_once(file: Path, measured: list[torch.dtype]) -> None:
    assert bf16_is_fast() is False
    bf16_is_fast.cache_clear()
    assert bf16_is_fast() is False
    assert measured == [torch.bfloat16, torch.float32]
    assert [path.name for path in file.parent.iterdir()] == ["measured.json"]  # no temporary file is left


def test_machines_that_share_a_home_keep_what_each_measured(
    file: Path, measured: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    for processor in ("one", "another"):
        monkeypatch.setattr(machine_facts, "_processor", lambda processor=processor: processor)
        bf16_is_fast.cache_clear()
        bf16_is_fast()
        assert remembered("the rest", lambda: 3.0) == 3.0
    assert len(measured) == 4
    known = json.loads(file.read_text(encoding="utf-8"))
    both = {"bf16, times fp32": 2.0, "the rest": 3.0}
    assert known == {f"{name}, torch {torch.__version__}": both for name in ("one", "another")}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_file_is_written_anew(file: Path, measured: list[torch.dtype], content: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    assert bf16_is_fast() is False
    assert {"bf16, times fp32": 2.0} in json.loads(file.read_text(encoding="utf-8")).values()


def test_what_the_environment_takes_away_counts_and_the_name_of_the_host_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = machine_facts._processor()
    monkeypatch.setattr("platform.node", lambda: "another-host")
    assert machine_facts._processor() == before
    assert torch.backends.cpu.get_cpu_capability() in before
    monkeypatch.setenv("FBGEMM_ENABLE_INSTRUCTIONS", "a-set-of-them")
    assert machine_facts._processor() != before


def test_a_home_that_cannot_be_written_is_no_error(
    file: Path, measured: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.parent.joinpath("qwen-agentkit").write_text("a file where the folder should be")
    assert bf16_is_fast() is False
    assert measured == [torch.bfloat16, torch.float32]


def test_a_time_that_seems_too_long_is_measured_again_and_the_shorter_kept(file: Path) -> None:
    assert remembered("a product, s", lambda: 0.9) == 0.9
    assert remember_shorter("a product, s", lambda: 0.2) == 0.2
    assert remember_shorter("a product, s", lambda: 0.5) == 0.2
    assert remembered("a product, s", lambda: 7.0) == 0.2
