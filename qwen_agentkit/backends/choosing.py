"""Which code computes with an embedder or a reranker. Reads its small files, loads nothing.

The packed engine computes Qwen's decoders as Qwen3-Embedding and Qwen3-Reranker are read.
sentence-transformers computes everything else: other architectures, and folders in its own format that
pool, prompt or end texts in another way. Its format: https://sbert.net/docs/sentence_transformer/usage/
custom_models.html (modules.json, config_sentence_transformers.json, a config.json for each module).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from qwen_agentkit.catalog import ARCHITECTURES
from qwen_agentkit.prompts import END_OF_TEXT, RERANK_PREFIX

__all__ = [
    "ENGINE",
    "SENTENCE_TRANSFORMERS",
    "Backend",
    "embedder_backend",
    "longest_text",
    "pooling_modes",
    "read_json",
    "reranker_backend",
    "saved_prompts",
]

Backend = Literal["packed engine", "sentence-transformers"]

ENGINE: Backend = "packed engine"
SENTENCE_TRANSFORMERS: Backend = "sentence-transformers"

# Every prompt of Qwen3-Reranker begins with this sentence.
_RERANK_SENTENCE = RERANK_PREFIX.splitlines()[1].partition(".")[0]


def embedder_backend(folder: Path) -> Backend:
    """Return what computes the vectors of the checkpoint in a folder, or in a GGUF file."""
    if folder.is_file():
        return ENGINE
    config = read_json(folder / "config.json", {})
    modules = read_json(folder / "modules.json", [])
    if not modules and not config:
        return ENGINE  # whose error says what is missing
    if not _is_qwen(config) or not config.get("is_causal", True):
        return SENTENCE_TRANSFORMERS
    return ENGINE if not modules or _reads_last_token(folder, modules) else SENTENCE_TRANSFORMERS


def reranker_backend(folder: Path) -> Backend:
    """Return what computes the scores of the checkpoint in a folder, or in a GGUF file."""
    if folder.is_file():
        return ENGINE
    config = read_json(folder / "config.json", {})
    if not config:
        return ENGINE  # as above
    # Versions before 5.4 saved cross-encoders without modules, but left this in config.json.
    saved = (folder / "modules.json").is_file() or "sentence_transformers" in config
    if _is_qwen(config) and (not saved or _has_rerank_template(folder)):
        return ENGINE
    return SENTENCE_TRANSFORMERS


def saved_prompts(folder: Path) -> dict[str, str]:
    """Return the prompts that sentence-transformers saved with a checkpoint, such as "query", by name."""
    prompts = read_json(folder / "config_sentence_transformers.json", {}).get("prompts") or {}
    return {str(name): str(prompt or "") for name, prompt in prompts.items()}


def longest_text(folder: Path) -> int | None:
    """Return the most tokens that a folder in sentence-transformers' format says are read of a text."""
    if not (folder / "modules.json").is_file():
        return None
    found = (
        read_json(folder / "sentence_bert_config.json", {}).get("max_seq_length"),
        read_json(folder / "tokenizer_config.json", {}).get("model_max_length"),
    )
    return min((int(number) for number in found if number), default=None)


def read_json(path: Path, default: Any) -> Any:
    """Return the content of a file, or `default` where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def pooling_modes(pooling: dict[str, Any]) -> list[str]:
    """Return the modes of a Pooling module: newer versions name them, older ones have a switch for each."""
    if "pooling_mode" in pooling:
        mode = pooling["pooling_mode"]
        return [mode] if isinstance(mode, str) else list(mode)
    switches = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    start = "pooling_mode_"
    return [
        switches.get(key, key.removeprefix(start))
        for key, on in pooling.items()
        if key.startswith(start) and on
    ]


def _is_qwen(config: dict[str, Any]) -> bool:
    return config.get("model_type") in ARCHITECTURES


def _reads_last_token(folder: Path, modules: list[dict[str, Any]]) -> bool:
    """Whether vectors are read at a final end-of-text token, as those of Qwen3-Embedding are."""
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return False
    pooling = read_json(folder / str(modules[1].get("path", "")) / "config.json", {})
    return (
        not modules[0].get("path")
        and pooling_modes(pooling) == ["lasttoken"]
        and pooling.get("include_prompt", True)
        and not read_json(folder / "sentence_bert_config.json", {}).get("do_lower_case")
        and _appends_end(folder)
    )


def _appends_end(folder: Path) -> bool:
    """Whether the tokenizer ends every text with the end-of-text token, as the engine does."""
    if read_json(folder / "tokenizer_config.json", {}).get("add_eos_token"):
        return True
    processor = read_json(folder / "tokenizer.json", {}).get("post_processor")
    return END_OF_TEXT in json.dumps(processor, ensure_ascii=False)


def _has_rerank_template(folder: Path) -> bool:
    """Whether the chat template writes the prompt of Qwen3-Reranker."""
    templates = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))]
    templates.append(str(read_json(folder / "tokenizer_config.json", {}).get("chat_template")))
    return any(_RERANK_SENTENCE in template for template in templates)
