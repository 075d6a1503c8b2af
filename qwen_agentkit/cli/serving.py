"""The command line that starts a server for a checkpoint. Knows names, families and flags, starts nothing.

Sources: the model cards at https://huggingface.co/Qwen; https://docs.vllm.ai (reasoning and tool parsers,
context extension, scoring); https://docs.sglang.io (tool parser, rerank models); https://qwen.readthedocs.io
(SGLang, llama.cpp); https://docs.ollama.com (context length). None of these servers was run with them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint, nano_folder
from qwen_agentkit.errors import InputError

__all__ = ["SERVERS", "ServeLine", "Wish", "serve_lines"]

# The longest stretch of the native context that the model cards tested.
_LARGEST_FACTOR = 4

# GPUs of one machine that vLLM and SGLang share attention heads among: each gets as many as the others.
_GPUS = (1, 2, 4, 8)

_RERANKER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}

_CONVERT = "Its makers publish no GGUF file: convert the checkpoint with llama.cpp's convert_hf_to_gguf.py"

# Positions of the checkpoints from Qwen3.5 on, which YaRN has to repeat.
_MROPE = {
    "mrope_interleaved": True,
    "mrope_section": [11, 11, 10],
    "rope_theta": 10000000,
    "partial_rotary_factor": 0.25,
}


@dataclass(frozen=True)
class Wish:
    """How a checkpoint is to be served.

    Attributes:
        context: Longest sequence, in tokens; None for the native one, beyond which positions are stretched
            (YaRN).
        gpus: GPUs that share the weights (tensor parallelism); with vLLM and SGLang 1, 2, 4 or 8.
        fp8: Weights in fp8, made from bf16 as they load.
        port: Where the first server listens; None for the server's own port.
    """

    context: int | None = None
    gpus: int = 1
    fp8: bool = False
    port: int | None = None


@dataclass(frozen=True)
class ServeLine:
    """How one server serves one checkpoint.

    Attributes:
        server: Its name.
        model: The checkpoint.
        command: What to type; empty where the server cannot do it.
        use: The class of this package that asks it, as code.
        note: What else to know.
    """

    server: str
    model: str
    command: str
    use: str
    note: str = ""


def serve_lines(model: str, server: str | None = None, wish: Wish | None = None) -> list[ServeLine]:
    """Return the commands for a checkpoint, or for the three of a preset, which get a port each.

    Args:
        model: Hub id of the catalog, or a preset.
        server: One of `SERVERS`; None for all of them.
        wish: How it is to be served; None for the server's defaults.

    Raises:
        InputError: An unknown model or server, or a wish that none of them can fulfil.
    """
    wish = wish or Wish()
    if server is not None and server not in SERVERS:
        raise InputError(f"Unknown server {server!r}; expected one of {', '.join(SERVERS)}.")
    rows = _rows(model)
    chosen = [server] if server else list(SERVERS)
    for row in rows:
        _check_context(row, wish.context)
        if {"vllm", "sglang"} & set(chosen):
            _check_gpus(row, wish.gpus)
    return [
        _line(name, row, wish, place, many=len(rows) > 1) for name in chosen for place, row in enumerate(rows)
    ]


def _rows(model: str) -> list[Checkpoint]:
    if model == "nano" or nano_folder(model):
        raise InputError(
            f"{model!r} needs no server: the nano models come with the package and run in this process. Type "
            "`qwen-agentkit demo`, or name a hub id, such as 'Qwen/Qwen3-8B', or a preset: 0.6b, 4b or 8b."
        )
    known = {row.name: row for row in CHECKPOINTS}
    names = list(PRESETS[model].values()) if model in PRESETS else [model]
    if missing := [name for name in names if name not in known]:
        raise InputError(
            f"{missing[0]!r} is not in the catalog; expected one of its hub ids, such as 'Qwen/Qwen3-8B', or "
            "a preset: 0.6b, 4b or 8b."
        )
    return [known[name] for name in names]


def _check_context(row: Checkpoint, context: int | None) -> None:
    if context is None or context <= row.context:
        return
    if not row.family.stretches:
        raise InputError(
            f"context={context} is more than the {row.context} tokens of {row.name!r}, whose card stretches "
            f"it in no way that servers share. Ask for {row.context} or fewer."
        )
    if context > _LARGEST_FACTOR * row.context:
        raise InputError(
            f"context={context} is more than {_LARGEST_FACTOR} times the {row.context} tokens of "
            f"{row.name!r}; its makers tested no more. Ask for {_LARGEST_FACTOR * row.context} or fewer."
        )


def _check_gpus(row: Checkpoint, gpus: int) -> None:
    able = [count for count in _GPUS if count <= row.most_gpus]
    if gpus not in able:
        raise InputError(
            f"gpus={gpus}: vLLM and SGLang share out the attention heads of {row.name!r} evenly; expected "
            f"one of {', '.join(map(str, able))}. Pass one of these, or server='llama.cpp', which splits "
            "otherwise."
        )


def _line(server: str, row: Checkpoint, wish: Wish, place: int, *, many: bool) -> ServeLine:
    default, write = SERVERS[server]
    shared = server == "ollama"  # one server has all models
    port = (wish.port or default) + (place if many and not shared else 0)
    command, note = write(row, wish, port if port != default else None)
    name = _ollama_name(row) if shared else row.name
    asks = {"chat": "ChatQwen", "embedding": "QwenEmbeddings", "reranker": "QwenReranker"}[row.role]
    use = f'{asks}(model="{name}", base_url="http://localhost:{port}/v1")' if command else ""
    return ServeLine(server, row.name, command, use, note)


def _vllm(row: Checkpoint, wish: Wish, port: int | None) -> tuple[str, str]:
    words: list[str] = ["vllm", "serve", row.name]
    overrides: dict[str, object] = {}
    note = ""
    if row.role != "chat":
        words += ["--runner", "pooling"]
    if row.role == "reranker":
        overrides |= _RERANKER
        note = "QwenReranker writes the trained prompt itself, so no score template is needed."
    if row.family.reads_images:
        words += ["--language-model-only"]
    if row.thinks:
        words += ["--reasoning-parser", row.family.thought_parsers["vllm"]]
    if row.role == "chat":
        words += ["--enable-auto-tool-choice", "--tool-call-parser", row.family.tool_parsers["vllm"]]
    words += ["--max-model-len", str(wish.context or row.context)]
    if _is_stretched(row, wish):
        overrides |= _yarn(row, wish, "rope_parameters")
    if overrides:
        words += ["--hf-overrides", json.dumps(overrides)]
    words += _parallel(wish)
    if port:
        words += ["--port", str(port)]
    longer = (
        ["VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"] if _is_stretched(row, wish) and row.family.reads_images else []
    )
    return _typed(words, longer), note


def _sglang(row: Checkpoint, wish: Wish, port: int | None) -> tuple[str, str]:
    words = ["python", "-m", "sglang.launch_server", "--model-path", row.name]
    note = ""
    if row.role == "embedding":
        words += ["--is-embedding"]
    if row.role == "reranker":
        words += ["--disable-radix-cache", "--chat-template", "examples/chat_template/qwen3_reranker.jinja"]
        note = "The template lies in SGLang's repository; start it there, or give its path."
    if row.thinks:
        words += ["--reasoning-parser", row.family.thought_parsers["sglang"]]
    if row.role == "chat":
        words += ["--tool-call-parser", row.family.tool_parsers["sglang"]]
    words += ["--context-length", str(wish.context or row.context)]
    longer = []
    if _is_stretched(row, wish):
        longer = ["SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1"]
        key = "rope_parameters" if row.family.reads_images else "rope_scaling"
        words += ["--json-model-override-args", json.dumps(_yarn(row, wish, key))]
    words += _parallel(wish)
    if port:
        words += ["--port", str(port)]
    return _typed(words, longer), note


def _ollama(row: Checkpoint, wish: Wish, port: int | None) -> tuple[str, str]:
    if row.role == "reranker":
        return "", "Ollama serves no rerankers; take another server, or rerank in this process."
    if reason := _gguf_cannot(wish):
        return "", reason
    if _is_stretched(row, wish):
        return "", "Ollama stretches no context; take vLLM, SGLang or llama.cpp."
    if not _has_gguf(row):
        return "", f"{_CONVERT}, and then `ollama create`."
    before = [f"OLLAMA_CONTEXT_LENGTH={wish.context or row.context}"]
    if port:
        before.append(f"OLLAMA_HOST=127.0.0.1:{port}")
    note = (
        f"Then `ollama pull {_ollama_name(row)}`. It shares GPUs by itself, and cuts what is longer than its "
        "context without a word."
    )
    return _typed(["ollama", "serve"], before), note


def _llama_cpp(row: Checkpoint, wish: Wish, port: int | None) -> tuple[str, str]:
    if reason := _gguf_cannot(wish):
        return "", reason
    file = f"{row.name.partition('/')[2]}-Q8_0.gguf"
    words = ["llama-server", *(["-hf", _gguf_name(row)] if _has_gguf(row) else ["-m", file])]
    words += ["--alias", row.name]
    if row.role == "embedding":
        words += ["--embedding", "--pooling", "last", "-ub", "8192"]
    elif row.role == "reranker":
        words += ["--reranking"]
    else:
        words += ["--jinja", "--reasoning-format", "deepseek"]
    words += ["-ngl", "99", "-c", str(wish.context or row.context)]
    if _is_stretched(row, wish):
        factor = f"{(wish.context or 0) / row.context:g}"
        words += ["--rope-scaling", "yarn", "--rope-scale", factor, "--yarn-orig-ctx", str(row.context)]
    if wish.gpus > 1:
        words += ["-sm", "row"]
    if port:
        words += ["--port", str(port)]
    return _typed(words), "" if _has_gguf(row) else f"{_CONVERT}."


SERVERS: dict[str, tuple[int, Callable[[Checkpoint, Wish, int | None], tuple[str, str]]]] = {
    "vllm": (8000, _vllm),
    "sglang": (30000, _sglang),
    "ollama": (11434, _ollama),
    "llama.cpp": (8080, _llama_cpp),
}
"""By name: the port each has unless told otherwise, and what writes its command and a note."""


def _typed(words: list[str], before: list[str] | None = None) -> str:
    """Join words as a shell reads them, behind assignments to environment variables."""
    return " ".join([*(before or []), shlex.join(words)])


def _parallel(wish: Wish) -> list[str]:
    """Flags that vLLM and SGLang share."""
    words = ["--tensor-parallel-size", str(wish.gpus)] if wish.gpus > 1 else []
    return [*words, "--quantization", "fp8"] if wish.fp8 else words


def _gguf_cannot(wish: Wish) -> str:
    return "GGUF files have no fp8; their Q8_0 takes as much." if wish.fp8 else ""


def _is_stretched(row: Checkpoint, wish: Wish) -> bool:
    return (wish.context or 0) > row.context


def _yarn(row: Checkpoint, wish: Wish, key: str) -> dict[str, object]:
    values: dict[str, object] = {
        "rope_type": "yarn",
        "factor": (wish.context or 0) / row.context,
        "original_max_position_embeddings": row.context,
    }
    if row.family.reads_images:
        return {"text_config": {key: {**_MROPE, **values}}}
    return {key: {"rope_theta": 1000000, **values} if key == "rope_parameters" else values}


def _has_gguf(row: Checkpoint) -> bool:
    """Whether its makers publish it as GGUF files."""
    return row.role != "reranker" and row.family.has_gguf


def _gguf_name(row: Checkpoint) -> str:
    return f"{row.name}-GGUF:Q8_0"


def _ollama_name(row: Checkpoint) -> str:
    """Name by which Ollama takes a model from the hub; its own library's names change what they mean."""
    return f"hf.co/{_gguf_name(row)}"
