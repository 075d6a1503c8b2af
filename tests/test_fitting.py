"""What `doctor` says of memory, against sizes worked out by hand and a checkpoint in memory."""

from __future__ import annotations

import pytest

from qwen_agentkit.catalog import CHECKPOINTS
from qwen_agentkit.fitting import checkpoint_needs, fits, preset_needs, table_row

ROWS = {row.name: row for row in CHECKPOINTS}


def test_the_sizes_of_the_8b_model() -> None:
    needs = checkpoint_needs(ROWS["Qwen/Qwen3-8B"], 32768)
    # 8.191e9 weights, of them 151,936 x 4,096 in the embedding table, which stays at two bytes.
    table = 151_936 * 4_096
    assert needs["bf16"] == pytest.approx(16.382)
    assert needs["int8"] == pytest.approx((8.191e9 - table + 2 * table) / 1e9)
    assert needs["int4"] == pytest.approx(((8.191e9 - table) * 5 / 8 + 2 * table) / 1e9)
    # Keys and values: 2 x 36 layers x 8 heads x 128 numbers of two bytes a token.
    assert needs["cache"] == pytest.approx(32768 * 2 * 36 * 8 * 128 * 2 / 1e9)


def test_no_more_than_the_context_is_counted() -> None:
    row = ROWS["Qwen/Qwen3-0.6B"]
    assert checkpoint_needs(row, 10**6) == checkpoint_needs(row, row.context)


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_every_row_is_plausible(row) -> None:
    needs = checkpoint_needs(row, 1)
    assert needs["bf16"] > needs["int8"] > needs["int4"] > needs["bf16"] / 4
    table = needs["bf16"] - 2 * (needs["bf16"] - needs["int8"])
    assert 0 < table < 0.75 * needs["bf16"]
    assert row.dimensions in (None, row.width)


def test_a_preset_is_the_sum_of_its_weights_and_the_chats_keys_and_values() -> None:
    parts = [checkpoint_needs(ROWS[f"Qwen/Qwen3-{name}4B"], 8192) for name in ("", "Embedding-", "Reranker-")]
    needs = preset_needs("4b", 8192)
    assert needs["bf16"] == pytest.approx(sum(part["bf16"] for part in parts))
    assert needs["cache"] == parts[0]["cache"]


def test_the_widest_that_fits_is_named() -> None:
    needs = {"bf16": 16.0, "int8": 9.0, "int4": 6.0, "cache": 2.0}
    # A fifth is left free: 0.8 x 22.5 = 18 = 16 + 2.
    assert [fits(needs, memory) for memory in (22.6, 22.4, 13.8, 13.7, 10.1, 9.9)] == [
        *("bf16", "int8", "int8", "int4", "int4", "no")
    ]


def test_a_gpu_has_a_column_of_its_own() -> None:
    needs = preset_needs("8b", 8192)
    assert table_row("8b", needs, 32, 80)["fits_vram"] == "bf16"
    assert "fits_vram" not in table_row("8b", needs, 32, None)
