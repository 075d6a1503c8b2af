"""The tables of words in `qwen_agentkit/data`."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

__all__ = ["load_table"]


@lru_cache
def load_table(name: str) -> Any:
    """Return what `data/NAME.json` holds, the same object each time. It must not be changed."""
    return json.loads(resources.files("qwen_agentkit").joinpath(f"data/{name}.json").read_text("utf-8"))
