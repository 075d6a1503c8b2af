"""What fits a memory, before anything is downloaded. Knows the catalog, loads nothing.

Weights in "int8" take a byte, in "int4" 5 bits with the scales of their groups of 32; the embedding table
stays in bf16, and so do keys and values. Activations are small beside both: a fifth of the memory is left to
them and to everything else.
"""

from __future__ import annotations

from typing import Any

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint

__all__ = ["checkpoint_needs", "fits", "preset_needs", "table_row"]

_BITS = {"bf16": 16.0, "int8": 8.0, "int4": 5.0}

_SHARE = 0.8

# Tokens of the vocabulary: of Qwen3 and before, and from Qwen3.5 on.
_VOCABULARY, _LARGE_VOCABULARY = 151_936, 248_320


def checkpoint_needs(row: Checkpoint, context: int) -> dict[str, float]:
    """Gigabytes that a checkpoint takes.

    Args:
        row: The checkpoint.
        context: Tokens in use; no more than the checkpoint has are counted.

    Returns:
        Those of the weights in "bf16", "int8" and "int4", and "cache", those of keys and values.
    """
    plain = row.name.startswith(("Qwen/Qwen3-", "Qwen/Qwen2.5-"))
    table = (_VOCABULARY if plain else _LARGE_VOCABULARY) * row.width * 2 / 1e9
    rest = row.bf16_gigabytes - table
    weights = {name: table + rest * bits / 16 for name, bits in _BITS.items()}
    return {**weights, "cache": min(context, row.context) * row.cache_kib * 1024 / 1e9}


def preset_needs(preset: str, context: int) -> dict[str, float]:
    """Gigabytes that the three checkpoints of a preset take together; the chat model's keys and values alone.

    An embedder keeps none from call to call, and a reranker those of a few prompts.
    """
    known = {row.name: row for row in CHECKPOINTS}
    rows = {role: known[name] for role, name in PRESETS[preset].items()}
    needs = {role: checkpoint_needs(row, context) for role, row in rows.items()}
    weights = {name: sum(need[name] for need in needs.values()) for name in _BITS}
    return {**weights, "cache": needs["chat"]["cache"]}


def fits(needs: dict[str, float], memory: float) -> str:
    """Name the widest weights that fit into so many gigabytes beside the keys and values; "no" if none do."""
    room = _SHARE * memory - needs["cache"]
    return next((name for name in _BITS if needs[name] <= room), "no")


def table_row(name: str, needs: dict[str, float], ram: float, vram: float | None) -> dict[str, Any]:
    """One line of what `doctor` says; None for `vram` where there is no GPU."""
    row: dict[str, Any] = {
        "name": name,
        "weights_gb": round(needs["bf16"], 1),
        "int8_gb": round(needs["int8"], 1),
        "int4_gb": round(needs["int4"], 1),
        "cache_gb": round(needs["cache"], 1),
        "fits_ram": fits(needs, ram),
    }
    return row if vram is None else {**row, "fits_vram": fits(needs, vram)}
