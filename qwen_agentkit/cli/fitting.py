"""What fits a memory, before anything is downloaded. Knows the catalog, loads nothing.

Weights in "int8" take a byte, in "int4" 5 bits with the scales of their groups of 32; the embedding table
is counted in bf16, in which a GPU keeps it (a CPU has that of a chat model in 8 bits), and so are keys and
values. Activations are small beside both: a fifth of the memory is left to them and to everything else. Only
what `quantize=` takes is counted: nothing but bf16 for checkpoints that mix experts, and "int4" for chat
alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint

__all__ = ["WIDTHS", "Memory", "checkpoint_needs", "fits", "preset_needs", "table_row"]

_BITS = {"bf16": 16.0, "int8": 8.0, "int4": 5.0}

WIDTHS = tuple(_BITS)
"""What weights can be held in, the widest first."""

_SHARE = 0.8

# Most gigabytes of keys and values that a reranker keeps, those of the latest queries.
_QUERIES = 2**28 / 1e9


@dataclass(frozen=True)
class Memory:
    """Memory of a processor.

    Attributes:
        gigabytes: All of it.
        widths: Those of `WIDTHS` that the processor computes with.
    """

    gigabytes: float
    widths: Collection[str] = WIDTHS


def checkpoint_needs(row: Checkpoint, context: int) -> dict[str, float]:
    """Gigabytes that a checkpoint takes.

    Args:
        row: The checkpoint.
        context: Tokens in use; no more than the checkpoint has are counted.

    Returns:
        Those of the weights in each of "bf16", "int8" and "int4" that it can be loaded in, and "cache", those
        of the keys and values that are kept: an embedder keeps none from call to call.
    """
    table = row.family.vocabulary * row.width * 2 / 1e9
    rest = row.bf16_gigabytes - table
    weights = {name: table + rest * _BITS[name] / 16 for name in _widths(row)}
    chat = min(context, row.context) * row.cache_kib * 1024 / 1e9
    return {**weights, "cache": {"chat": chat, "embedding": 0.0, "reranker": _QUERIES}[row.role]}


def preset_needs(preset: str, context: int) -> dict[str, float]:
    """Gigabytes that the three checkpoints of a preset take together.

    Those in "int4" are for a chat model in it, with the embedder and the reranker in "int8".
    """
    known = {row.name: row for row in CHECKPOINTS}
    needs = [checkpoint_needs(known[name], context) for name in PRESETS[preset].values()]
    weights = {name: sum(need.get(name, need["int8"]) for need in needs) for name in WIDTHS}
    return {**weights, "cache": sum(need["cache"] for need in needs)}


def fits(needs: dict[str, float], memory: Memory) -> str:
    """Name the widest weights that fit a memory beside the keys and values; "no" if none do."""
    room = _SHARE * memory.gigabytes - needs["cache"]
    able = [name for name in WIDTHS if name in needs and name in memory.widths]
    return next((name for name in able if needs[name] <= room), "no")


def table_row(name: str, needs: dict[str, float], ram: Memory, vram: Memory | None) -> dict[str, Any]:
    """One line of what `doctor` says; None for `vram` where there is no GPU."""
    row: dict[str, Any] = {
        "name": name,
        "weights_gb": round(needs["bf16"], 1),
        "int8_gb": round(needs["int8"], 1) if "int8" in needs else "no",
        "int4_gb": round(needs["int4"], 1) if "int4" in needs else "no",
        "cache_gb": round(needs["cache"], 1),
        "fits_ram": fits(needs, ram),
    }
    return row if vram is None else {**row, "fits_vram": fits(needs, vram)}


def _widths(row: Checkpoint) -> tuple[str, ...]:
    """Widths that a checkpoint can be loaded in."""
    if row.mixes_experts:
        return ("bf16",)
    return WIDTHS if row.role == "chat" else ("bf16", "int8")
