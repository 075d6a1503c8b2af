"""Which preset made a store. Reads one small file of the store, and loads no model."""

from __future__ import annotations

import json
from pathlib import Path

from qwen_agentkit.catalog import PRESETS

__all__ = ["made_by_preset"]


def made_by_preset(store: Path) -> str | None:
    """Return the preset whose embedder made the store in this folder; None if there is no such one."""
    try:
        model = json.loads((store / "documents" / "embedder.json").read_text("utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((preset for preset, models in PRESETS.items() if models["embedding"] == model), None)
