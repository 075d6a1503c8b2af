"""`qwen-agentkit doctor`: checks packages, hardware, models and store, or a model server. Changes nothing."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import torch
from huggingface_hub import try_to_load_from_cache

from qwen_agentkit.backends.choosing import ENGINE, embedder_backend, read_json, reranker_backend
from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint, nano_folder
from qwen_agentkit.cli.fitting import WIDTHS, Memory, estimate_checkpoint, estimate_preset, table_row
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.checkpoint.loading import memory_budget
from qwen_agentkit.engine.weights.speed import Speed, default_path, int8_path, measure_limit, measure_path
from qwen_agentkit.errors import InputError, MissingExtraError, ModelError, ModelNotFoundError, StoreError
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.probe import probe_server
from qwen_agentkit.stack import Stack

__all__ = ["check_machine", "check_model", "check_server"]

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

# Some servers let any model chat. An embedder or a reranker does not answer: it was not trained to.
_NO_CHAT_MODEL = re.compile("embed|rerank", re.IGNORECASE)


def check_machine(stack: Stack, context: int = 8192) -> dict[str, Any]:
    """Return versions, hardware, which checkpoints fit and are downloaded, and the store. Downloads nothing.

    Args:
        stack: The objects of a preset.
        context: Tokens whose keys and values must fit beside the weights.
    """
    ram, vram = Memory(_ram_gigabytes(), _widths("cpu")), _vram()
    return {
        "python": platform.python_version(),
        "packages": [{"name": name, "version": version(name)} for name in _PACKAGES],
        "device": _describe_device(),
        "cores": os.cpu_count(),
        "memory_gb": round(ram.gigabytes, 1),
        "weights_budget_gb": round(memory_budget("cuda" if torch.cuda.is_available() else "cpu") / 1e9, 1),
        "vram_gb": "no GPU" if vram is None else round(vram.gigabytes, 1),
        "context": context,
        "speed": [] if torch.cuda.is_available() else _describe_speed(),
        "presets": [
            table_row(preset, estimate_preset(preset, context), ram, vram)
            for preset in PRESETS
            if preset != "nano"
        ],
        "checkpoints": [_describe_nano(name) for name in PRESETS["nano"].values()]
        + [
            {
                **table_row(row.name, estimate_checkpoint(row, context), ram, _for_checkpoint(row, vram)),
                "downloaded": isinstance(try_to_load_from_cache(row.name, "config.json"), str),
            }
            for row in CHECKPOINTS
        ],
        "store": _describe_store(stack),
        "search": stack.calibration.describe(),
    }


def check_model(model: str) -> dict[str, str]:
    """Return which code runs a model on this disk, for each class of this package. Downloads nothing.

    Raises:
        ModelNotFoundError: The model is not on this disk.
    """
    folder = _on_disk(model)
    return {
        "model": model,
        "folder": str(folder),
        "ChatQwen": _chat_way(folder),
        "QwenEmbeddings": _embedding_way(folder),
        "QwenReranker": _reranking_way(folder),
    }


def check_server(base_url: str, model: str | None, api_key: str | None) -> dict[str, Any]:
    """Return what a server is, what it can do, and the code that asks it."""
    found = probe_server(Server(base_url, api_key=api_key), model)
    chosen = f"model={found['asked']!r}, base_url={base_url!r}"
    classes = {"chat": "ChatQwen", "embeddings": "QwenEmbeddings", "reranking": "QwenReranker"}
    if _NO_CHAT_MODEL.search(found["asked"]):
        del classes["chat"]
    able = [f"{name}({chosen})" for ability, name in classes.items() if found[ability].startswith("yes")]
    return {**found, "use": "; ".join(able) or "this package can use none of its routes"}


def _on_disk(model: str) -> Path:
    place = nano_folder(model) or Path(model).expanduser()
    if place.exists():
        return place
    cached = try_to_load_from_cache(model, "config.json") if model.count("/") == 1 else None
    if not isinstance(cached, str):
        raise ModelNotFoundError(
            f"{model!r} is not on this disk, and doctor downloads nothing. Pass a local folder or the hub id "
            "of a model that was used before."
        )
    return Path(cached).parent


def _chat_way(folder: Path) -> str:
    if not folder.is_file() and not _has_head(folder, "ForCausalLM", "ForConditionalGeneration"):
        return "no: it has no language model head"
    try:
        identify(str(folder), chat=True)
        return ENGINE
    except (InputError, MissingExtraError, ModelError) as error:
        return f"no: {error}"


def _embedding_way(folder: Path) -> str:
    if _has_head(folder, "ForSequenceClassification"):
        return "no: it is a cross-encoder"
    return _checked(folder, embedder_backend(folder))


def _reranking_way(folder: Path) -> str:
    heads = ("ForCausalLM", "ForSequenceClassification")
    if not folder.is_file() and not _has_head(folder, *heads):
        return "no: it has no head that scores"
    return _checked(folder, reranker_backend(folder))


def _checked(folder: Path, way: str) -> str:
    """Return the way, or the reason why the engine does not run the checkpoint."""
    try:
        if way == ENGINE:
            identify(str(folder))
    except (InputError, MissingExtraError, ModelError) as error:
        return f"no: {error}"
    return way


def _has_head(folder: Path, *heads: str) -> bool:
    architectures = read_json(folder / "config.json", {}).get("architectures") or []
    return any(name.endswith(heads) for name in architectures)


def _describe_nano(name: str) -> dict[str, Any]:
    folder = nano_folder(name)
    weights = folder / "model.safetensors" if folder else None
    there = weights is not None and weights.is_file()
    size = weights.stat().st_size / 1e9 if weights and there else 0.0
    return {"name": name, "weights_gb": round(size, 3), "fits_ram": "bf16", "downloaded": there}


def _describe_device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple GPU" if torch.backends.mps.is_available() else f"CPU, {torch.get_num_threads()} threads"


def _describe_speed() -> list[dict[str, str]]:
    """Return which product multiplies by weights on this CPU, how fast it is, and what share of its limit."""
    limit = measure_limit()
    table = [
        {
            "name": "limit of this CPU",
            "product": "plain matrices; reading memory",
            "many_rows": f"{limit.gigaflops:.0f} GFLOP/s",
            "one_row": f"{limit.gigabytes:.0f} GB/s",
        }
    ]
    speeds: dict[str, Speed] = {}
    paths = {
        "default": default_path(),
        "int8, chat": int8_path(many_rows=False),
        "int8, vectors": int8_path(many_rows=True),
    }
    for name, path in paths.items():
        if path is None:
            table.append({"name": name, "product": "none is exact on this CPU"})
            continue
        speed = speeds.get(path.product) or measure_path(path)
        speeds[path.product] = speed
        table.append(
            {
                "name": name,
                "product": f"{path.product}, {path.instructions}",
                "many_rows": f"{speed.gigaflops:.0f} GFLOP/s, {speed.gigaflops / limit.gigaflops:.2f} of it",
                "one_row": f"{speed.gigabytes:.0f} GB/s, {speed.gigabytes / limit.gigabytes:.2f} of it",
            }
        )
    return table


def _ram_gigabytes() -> float:
    return float(psutil.virtual_memory().total) / 1e9


def _vram() -> Memory | None:
    """Return the memory of the GPU. An Apple GPU shares the machine's memory."""
    if torch.cuda.is_available():
        return Memory(torch.cuda.get_device_properties(0).total_memory / 1e9, _widths("cuda"))
    return Memory(_ram_gigabytes(), _widths("mps")) if torch.backends.mps.is_available() else None


def _for_checkpoint(row: Checkpoint, vram: Memory | None) -> Memory | None:
    """Return the memory of the GPU with the widths that it runs a checkpoint in: experts in bf16 only."""
    return replace(vram, widths=["bf16"]) if vram and row.mixes_experts else vram


def _widths(device: str) -> list[str]:
    """Return the widths of weights that the device runs, by asking for each as if loading a model."""

    def runs(width: str) -> bool:
        try:
            identify("nano-chat", device=device, quantize=width)
        except (InputError, MissingExtraError, ModelError):
            return False
        return True

    return [width for width in WIDTHS if width == "bf16" or runs(width)]


def _describe_store(stack: Stack) -> str:
    try:
        with stack.store() as store:
            return f"{stack.folder}: {store.count()} passages"
    except StoreError as error:
        return f"{stack.folder}: {error}"
