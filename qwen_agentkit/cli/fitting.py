"""Which checkpoints fit a memory, computed before any download. Knows the catalog, loads nothing.

A weight takes 8 bits in "int8" and 5 bits in "int4", which includes the scale of its group of 32. The
embedding table is counted in bf16: a GPU keeps it so, and a CPU keeps that of a chat model in 8 bits. Keys
and values are counted in bf16. A fifth of the memory is left for activations and everything else. Only widths
that `quantize=` accepts are counted: "int4" for chat models only.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint

__all__ = ["WIDTHS", "Memory", "estimate_checkpoint", "estimate_preset", "table_row", "widest_fit"]

_BITS = {"bf16": 16.0, "int8": 8.0, "int4": 5.0}

WIDTHS = tuple(_BITS)
"""Widths that weights can have, the widest first."""

_USABLE_SHARE = 0.8

# Gigabytes of keys and values that a reranker keeps at most, for its latest queries.
_QUERY_CACHE = 2**28 / 1e9


@dataclass(frozen=True)
class Memory:
    """The memory of a processor.

    Attributes:
        gigabytes: Total size.
        widths: The `WIDTHS` that the processor runs.
    """

    gigabytes: float
    widths: Collection[str] = WIDTHS


def estimate_checkpoint(row: Checkpoint, context: int) -> dict[str, float]:
    """Return the gigabytes that a checkpoint needs.

    Args:
        row: The checkpoint.
        context: Tokens in use, counted up to the context of the checkpoint.

    Returns:
        The size of the weights for each width that it can be loaded in ("bf16", "int8", "int4"), and "cache",
        the size of the keys and values. An embedder keeps none between calls.
    """
    table = row.family.vocabulary * row.width * 2 / 1e9
    rest = row.bf16_gigabytes - table
    weights = {name: table + rest * _BITS[name] / 16 for name in _widths(row)}
    chat = min(context, row.context) * row.cache_kib * 1024 / 1e9
    return {**weights, "cache": {"chat": chat, "embedding": 0.0, "reranker": _QUERY_CACHE}[row.role]}


def estimate_preset(preset: str, context: int) -> dict[str, float]:
    """Return the gigabytes that the three checkpoints of a preset need together.

    "int4" means a chat model in "int4", with the embedder and the reranker in "int8".
    """
    known = {row.name: row for row in CHECKPOINTS}
    needs = [estimate_checkpoint(known[name], context) for name in PRESETS[preset].values()]
    weights = {name: sum(need.get(name, need["int8"]) for need in needs) for name in WIDTHS}
    return {**weights, "cache": sum(need["cache"] for need in needs)}


def widest_fit(needs: dict[str, float], memory: Memory) -> str:
    """Return the widest weights that fit the memory beside the keys and values, or "no"."""
    room = _USABLE_SHARE * memory.gigabytes - needs["cache"]
    able = [name for name in WIDTHS if name in needs and name in memory.widths]
    return next((name for name in able if needs[name] <= room), "no")


def table_row(name: str, needs: dict[str, float], ram: Memory, vram: Memory | None) -> dict[str, Any]:
    """Return one row of the table that `doctor` prints. `vram` is None without a GPU."""
    row: dict[str, Any] = {
        "name": name,
        "weights_gb": round(needs["bf16"], 1),
        "int8_gb": round(needs["int8"], 1) if "int8" in needs else "no",
        "int4_gb": round(needs["int4"], 1) if "int4" in needs else "no",
        "cache_gb": round(needs["cache"], 1),
        "fits_ram": widest_fit(needs, ram),
    }
    return row if vram is None else {**row, "fits_vram": widest_fit(needs, vram)}


def _widths(row: Checkpoint) -> tuple[str, ...]:
    """Return the widths that a checkpoint can be loaded in."""
    return WIDTHS if row.role == "chat" else ("bf16", "int8")
