"""`qwen-agentkit doctor`: what is installed and fits, what is there, what a server can. Changes nothing."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import torch
from huggingface_hub import try_to_load_from_cache

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, nano_folder
from qwen_agentkit.cli.fitting import WIDTHS, Memory, checkpoint_needs, preset_needs, table_row
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.errors import InputError, MissingExtraError, ModelError, StoreError
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.probe import probe_server
from qwen_agentkit.stack import Stack

__all__ = ["examine", "examine_server"]

_PACKAGES = (
    "qwen-agentkit",
    "langchain-core",
    "langgraph",
    "qdrant-client",
    "qdrant-edge-py",
    "sentence-transformers",
    "torch",
    "transformers",
)

# Some servers let any model write. What one writes that was trained to embed or to rank is no answer.
_RETRIEVER = re.compile("embed|rerank", re.IGNORECASE)


def examine(stack: Stack, context: int = 8192) -> dict[str, Any]:
    """Versions, hardware, what fits it and is here, and the state of the store. Downloads nothing.

    Args:
        stack: The objects of a preset.
        context: Tokens whose keys and values have to fit beside the weights.
    """
    ram, vram = Memory(_ram_gigabytes(), _widths("cpu")), _vram()
    return {
        "python": platform.python_version(),
        "packages": [{"name": name, "version": version(name)} for name in _PACKAGES],
        "device": _device(),
        "cores": os.cpu_count(),
        "memory_gb": round(ram.gigabytes, 1),
        "vram_gb": "no GPU" if vram is None else round(vram.gigabytes, 1),
        "context": context,
        "presets": [
            table_row(preset, preset_needs(preset, context), ram, vram)
            for preset in PRESETS
            if preset != "nano"
        ],
        "checkpoints": [_nano(name) for name in PRESETS["nano"].values()]
        + [
            {
                **table_row(row.name, checkpoint_needs(row, context), ram, vram),
                "downloaded": isinstance(try_to_load_from_cache(row.name, "config.json"), str),
            }
            for row in CHECKPOINTS
        ],
        "store": _store(stack),
    }


def examine_server(base_url: str, model: str | None, api_key: str | None) -> dict[str, Any]:
    """What a server is and can do, and how to ask it."""
    found = probe_server(Server(base_url, api_key=api_key), model)
    chosen = f"model={found['asked']!r}, base_url={base_url!r}"
    classes = {"chat": "ChatQwen", "embeddings": "QwenEmbeddings", "reranking": "QwenReranker"}
    if _RETRIEVER.search(found["asked"]):
        del classes["chat"]
    able = [f"{name}({chosen})" for ability, name in classes.items() if found[ability].startswith("yes")]
    return {**found, "use": "; ".join(able) or "nothing of it works with this package"}


def _nano(name: str) -> dict[str, Any]:
    folder = nano_folder(name)
    weights = folder / "model.safetensors" if folder else None
    there = weights is not None and weights.is_file()
    size = weights.stat().st_size / 1e9 if weights and there else 0.0
    return {"name": name, "weights_gb": round(size, 3), "fits_ram": "bf16", "downloaded": there}


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple GPU" if torch.backends.mps.is_available() else f"CPU, {torch.get_num_threads()} threads"


def _ram_gigabytes() -> float:
    return float(psutil.virtual_memory().total) / 1e9


def _vram() -> Memory | None:
    """Memory of the GPU; an Apple GPU has the machine's."""
    if torch.cuda.is_available():
        return Memory(torch.cuda.get_device_properties(0).total_memory / 1e9, _widths("cuda"))
    return Memory(_ram_gigabytes(), _widths("mps")) if torch.backends.mps.is_available() else None


def _widths(device: str) -> list[str]:
    """Widths of weights that a device computes with, by asking for each as if a model were loaded."""

    def runs(width: str) -> bool:
        try:
            identify("nano-chat", device=device, quantize=width)
        except (InputError, MissingExtraError, ModelError):
            return False
        return True

    return [width for width in WIDTHS if width == "bf16" or runs(width)]


def _store(stack: Stack) -> str:
    try:
        with stack.store() as store:
            return f"{stack.folder}: {store.count()} passages"
    except StoreError as error:
        return f"{stack.folder}: {error}"
