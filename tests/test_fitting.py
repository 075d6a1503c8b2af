"""What `doctor` says of memory, against sizes worked out by hand and a checkpoint in memory."""

from __future__ import annotations

import pytest

from qwen_agentkit.catalog import CHECKPOINTS
from qwen_agentkit.cli import doctor
from qwen_agentkit.cli.fitting import Memory, estimate_checkpoint, estimate_preset, table_row, widest_fit
from qwen_agentkit.engine.weights import quantize

ROWS = {row.name: row for row in CHECKPOINTS}


def test_the_sizes_of_the_8b_model() -> None:
    needs = estimate_checkpoint(ROWS["Qwen/Qwen3-8B"], 32768)
    # 8.191e9 weights, of them 151,936 x 4,096 in the embedding table, which stays at two bytes.
    table = 151_936 * 4_096
    assert needs["bf16"] == pytest.approx(16.382)
    assert needs["int8"] == pytest.approx((8.191e9 - table + 2 * table) / 1e9)
    assert needs["int4"] == pytest.approx(((8.191e9 - table) * 5 / 8 + 2 * table) / 1e9)
    # Keys and values: 2 x 36 layers x 8 heads x 128 numbers of two bytes a token.
    assert needs["cache"] == pytest.approx(32768 * 2 * 36 * 8 * 128 * 2 / 1e9)


def test_no_more_than_the_context_is_counted() -> None:
    row = ROWS["Qwen/Qwen3-0.6B"]
    assert estimate_checkpoint(row, 10**6) == estimate_checkpoint(row, row.context)


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_every_row_is_plausible(row) -> None:
    needs = estimate_checkpoint(row, 1)
    assert row.dimensions in (None, row.width)
    if "int8" in needs:
        assert needs["bf16"] > needs["int8"] > needs.get("int4", 0)
        table = needs["bf16"] - 2 * (needs["bf16"] - needs["int8"])
        assert 0 < table < 0.75 * needs["bf16"]
    if "int4" in needs:
        assert needs["int4"] > needs["bf16"] / 4


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("Qwen/Qwen3-8B", ["bf16", "int8", "int4"]),
        ("Qwen/Qwen3.5-9B", ["bf16", "int8", "int4"]),
        ("Qwen/Qwen3-Embedding-8B", ["bf16", "int8"]),
        ("Qwen/Qwen3-Reranker-8B", ["bf16", "int8"]),
        ("Qwen/Qwen3-30B-A3B", ["bf16", "int8", "int4"]),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", ["bf16", "int8", "int4"]),
        ("Qwen/Qwen3.5-35B-A3B", ["bf16", "int8", "int4"]),
    ],
)
def test_only_widths_that_quantize_takes_are_named(name: str, widths: list[str]) -> None:
    needs = estimate_checkpoint(ROWS[name], 8192)
    assert [width for width in needs if width != "cache"] == widths
    row = table_row(name, needs, Memory(0.85 * needs["bf16"]), None)
    assert row["fits_ram"] == ("int8" if "int8" in widths else "no")
    assert [row["int8_gb"] != "no", row["int4_gb"] != "no"] == ["int8" in widths, "int4" in widths]


def test_embedders_keep_nothing_and_rerankers_a_few_prompts() -> None:
    assert estimate_checkpoint(ROWS["Qwen/Qwen3-Embedding-8B"], 32768)["cache"] == 0
    assert estimate_checkpoint(ROWS["Qwen/Qwen3-Reranker-8B"], 32768)["cache"] == pytest.approx(
        0.268, abs=1e-3
    )


def test_a_preset_is_the_sum_of_its_parts() -> None:
    parts = [
        estimate_checkpoint(ROWS[f"Qwen/Qwen3-{name}4B"], 8192) for name in ("", "Embedding-", "Reranker-")
    ]
    needs = estimate_preset("4b", 8192)
    assert needs["bf16"] == pytest.approx(sum(part["bf16"] for part in parts))
    assert needs["int4"] == pytest.approx(parts[0]["int4"] + parts[1]["int8"] + parts[2]["int8"])
    assert needs["cache"] == pytest.approx(parts[0]["cache"] + parts[2]["cache"])


def test_the_widest_that_fits_is_named() -> None:
    needs = {"bf16": 16.0, "int8": 9.0, "int4": 6.0, "cache": 2.0}
    # A fifth is left free: 0.8 x 22.5 = 18 = 16 + 2.
    assert [widest_fit(needs, Memory(memory)) for memory in (22.6, 22.4, 13.8, 13.7, 10.1, 9.9)] == [
        *("bf16", "int8", "int8", "int4", "int4", "no")
    ]


def test_a_gpu_has_a_column_of_its_own() -> None:
    needs = estimate_preset("8b", 8192)
    assert table_row("8b", needs, Memory(32), Memory(80))["fits_vram"] == "bf16"
    assert "fits_vram" not in table_row("8b", needs, Memory(32), None)


def test_widths_that_the_processor_lacks_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"bf16": 16.0, "int8": 9.0, "int4": 6.0, "cache": 2.0}
    assert widest_fit(needs, Memory(14, ["bf16"])) == "no"
    assert widest_fit(needs, Memory(12, ["bf16", "int8"])) == "no"
    monkeypatch.setattr(quantize, "cpu_quantizations", lambda **_: ("int8",))
    assert doctor._widths("cpu") == ["bf16", "int8"]
    monkeypatch.setattr(quantize, "cpu_quantizations", lambda **_: ())
    assert doctor._widths("cpu") == ["bf16"]
