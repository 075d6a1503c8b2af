"""Commands that start a server for a checkpoint. Knows names, families and flags; starts nothing.

Sources: the model cards at https://huggingface.co/Qwen; https://docs.vllm.ai (reasoning and tool parsers,
context extension, scoring); https://docs.sglang.io (tool parser, rerank models); https://qwen.readthedocs.io
(SGLang, llama.cpp); https://docs.ollama.com (context length). For a longer context
vLLM 0.32 and llama.cpp b10434 were seen to need one setting more than the model cards say.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS, Checkpoint, nano_folder
from qwen_agentkit.errors import InputError

__all__ = ["SERVERS", "ServeLine", "ServeOptions", "serve_lines"]

# How far the model cards stretch the native context.
_LARGEST_FACTOR = 4

# vLLM and SGLang give each GPU the same number of attention heads, so the number of heads limits the GPUs.
_GPUS = (1, 2, 4, 8)

_RERANKER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}

_CONVERT = "Qwen publishes no GGUF file of it: convert the checkpoint with llama.cpp's convert_hf_to_gguf.py"

# Position settings of the checkpoints from Qwen3.5 on. An override that adds YaRN has to repeat them.
_MROPE = {
    "mrope_interleaved": True,
    "mrope_section": [11, 11, 10],
    "rope_theta": 10000000,
    "partial_rotary_factor": 0.25,
}


# llama.cpp reads a text that is embedded or ranked in one batch, of 512 tokens by default.
_WHOLE_TEXT = ("-b", "8192", "-ub", "8192")

_KEEP_HEAD = (
    " The converter keeps the yes/no head only if the folder's name or its README's heading contains "
    "Qwen3-Reranker; without the head every score is noise."
)


@dataclass(frozen=True)
class ServeOptions:
    """How to serve a checkpoint.

    Attributes:
        context: Longest sequence, in tokens. None: the native one. A longer one is stretched by YaRN.
        gpus: GPUs that share the weights (tensor parallelism). vLLM and SGLang take 1, 2, 4 or 8.
        fp8: Whether to round the weights to fp8 while loading.
        port: Port of the first server. None: the server's own default.
    """

    context: int | None = None
    gpus: int = 1
    fp8: bool = False
    port: int | None = None


@dataclass(frozen=True)
class ServeLine:
    """How one server serves one checkpoint.

    Attributes:
        server: Name of the server.
        model: Name of the checkpoint.
        command: What to type. Empty where the server cannot serve it.
        use: Code that asks the server through this package.
        note: What else to know, or why there is no command.
    """

    server: str
    model: str
    command: str
    use: str
    note: str = ""


def serve_lines(
    model: str, server: str | None = None, options: ServeOptions | None = None
) -> list[ServeLine]:
    """Return the commands that serve a checkpoint, or the three checkpoints of a preset on a port each.

    Args:
        model: Hub id of the catalog, or a preset.
        server: One of `SERVERS`. None: all of them.
        options: How to serve it. None: the server's defaults.

    Raises:
        InputError: The model or the server is unknown, or an option is not possible for it.
    """
    options = options or ServeOptions()
    if server is not None and server not in SERVERS:
        raise InputError(f"Unknown server {server!r}; expected one of {', '.join(SERVERS)}.")
    rows = _find_rows(model)
    chosen = [server] if server else list(SERVERS)
    for row in rows:
        _check_context(row, options.context)
        if {"vllm", "sglang"} & set(chosen):
            _check_gpus(row, options.gpus)
    return [
        _build_line(name, row, options, place, many=len(rows) > 1)
        for name in chosen
        for place, row in enumerate(rows)
    ]


def _find_rows(model: str) -> list[Checkpoint]:
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
            f"it in no way that all servers support. Ask for {row.context} or fewer."
        )
    if context > _LARGEST_FACTOR * row.context:
        raise InputError(
            f"context={context} is more than {_LARGEST_FACTOR} times the {row.context} tokens of "
            f"{row.name!r}; Qwen tested no more. Ask for {_LARGEST_FACTOR * row.context} or fewer."
        )


def _check_gpus(row: Checkpoint, gpus: int) -> None:
    able = [count for count in _GPUS if count <= row.most_gpus]
    if gpus not in able:
        raise InputError(
            f"gpus={gpus}: vLLM and SGLang split the attention heads of {row.name!r} evenly; expected "
            f"one of {', '.join(map(str, able))}. Pass one of these, or server='llama.cpp', which splits "
            "layers."
        )


def _build_line(server: str, row: Checkpoint, options: ServeOptions, place: int, *, many: bool) -> ServeLine:
    default, build = SERVERS[server]
    shared = server == "ollama"  # one server serves all models
    port = (options.port or default) + (place if many and not shared else 0)
    command, note = build(row, options, port if port != default else None)
    name = _ollama_name(row) if shared else row.name
    asks = {"chat": "ChatQwen", "embedding": "QwenEmbeddings", "reranker": "QwenReranker"}[row.role]
    use = f'{asks}(model="{name}", base_url="http://localhost:{port}/v1")' if command else ""
    return ServeLine(server, row.name, command, use, note)


def _vllm(row: Checkpoint, options: ServeOptions, port: int | None) -> tuple[str, str]:
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
        parser = row.family.tool_parsers["vllm"]
        words += ["--enable-auto-tool-choice", "--tool-call-parser", parser]
    words += ["--max-model-len", str(options.context or row.context)]
    if _stretches_context(row, options):
        overrides |= _yarn(row, options, "rope_parameters")
        if not row.family.reads_images:
            # vLLM reads it as the length after stretching, and refuses a longer --max-model-len.
            overrides["max_position_embeddings"] = options.context
    if overrides:
        words += ["--hf-overrides", json.dumps(overrides)]
    words += _parallel_flags(options)
    if port:
        words += ["--port", str(port)]
    longer = (
        ["VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"]
        if _stretches_context(row, options) and row.family.reads_images
        else []
    )
    return _join_command(words, longer), note


def _sglang(row: Checkpoint, options: ServeOptions, port: int | None) -> tuple[str, str]:
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
    words += ["--context-length", str(options.context or row.context)]
    longer = []
    if _stretches_context(row, options):
        longer = ["SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1"]
        key = "rope_parameters" if row.family.reads_images else "rope_scaling"
        words += ["--json-model-override-args", json.dumps(_yarn(row, options, key))]
    words += _parallel_flags(options)
    if port:
        words += ["--port", str(port)]
    return _join_command(words, longer), note


def _ollama(row: Checkpoint, options: ServeOptions, port: int | None) -> tuple[str, str]:
    if row.role == "reranker":
        return "", "Ollama serves no rerankers. Use another server, or rerank in this process."
    if reason := _refuse_gguf(options):
        return "", reason
    if _stretches_context(row, options):
        return "", "Ollama cannot stretch a context. Use vLLM, SGLang or llama.cpp."
    if not _has_gguf(row):
        return "", f"{_CONVERT}, and then `ollama create`."
    before = [f"OLLAMA_CONTEXT_LENGTH={options.context or row.context}"]
    if port:
        before.append(f"OLLAMA_HOST=127.0.0.1:{port}")
    note = (
        f"Then `ollama pull {_ollama_name(row)}`. Ollama chooses the GPUs itself, and silently cuts prompts "
        "that are longer than its context."
    )
    return _join_command(["ollama", "serve"], before), note


def _llama_cpp(row: Checkpoint, options: ServeOptions, port: int | None) -> tuple[str, str]:
    if reason := _refuse_gguf(options):
        return "", reason
    file = f"{row.name.partition('/')[2]}-Q8_0.gguf"
    words = ["llama-server", *(["-hf", _gguf_name(row)] if _has_gguf(row) else ["-m", file])]
    words += ["--alias", row.name]
    if row.role == "embedding":
        words += ["--embedding", "--pooling", "last", *_WHOLE_TEXT]
    elif row.role == "reranker":
        words += ["--reranking", *_WHOLE_TEXT]
    else:
        words += ["--jinja", "--reasoning-format", "deepseek"]
    words += ["-ngl", "99", "-c", str(options.context or row.context)]
    if _stretches_context(row, options):
        factor = f"{(options.context or 0) / row.context:g}"
        words += ["--rope-scaling", "yarn", "--rope-scale", factor, "--yarn-orig-ctx", str(row.context)]
        # Without it the server silently caps the context at the length that the file was trained for.
        words += ["--override-kv", f"{_gguf_architecture(row)}.context_length=int:{options.context}"]
    if options.gpus > 1:
        words += ["-sm", "row"]
    if port:
        words += ["--port", str(port)]
    return _join_command(words), "" if _has_gguf(
        row
    ) else f"{_CONVERT}.{_KEEP_HEAD if row.role == 'reranker' else ''}"


SERVERS: dict[str, tuple[int, Callable[[Checkpoint, ServeOptions, int | None], tuple[str, str]]]] = {
    "vllm": (8000, _vllm),
    "sglang": (30000, _sglang),
    "ollama": (11434, _ollama),
    "llama.cpp": (8080, _llama_cpp),
}
"""For each server: its default port, and the function that builds its command and a note."""


def _join_command(words: list[str], environment: list[str] | None = None) -> str:
    """Quote the words for a shell and put assignments of environment variables before them."""
    return " ".join([*(environment or []), shlex.join(words)])


def _parallel_flags(options: ServeOptions) -> list[str]:
    """Return the flags that vLLM and SGLang have in common."""
    words = ["--tensor-parallel-size", str(options.gpus)] if options.gpus > 1 else []
    return [*words, "--quantization", "fp8"] if options.fp8 else words


def _refuse_gguf(options: ServeOptions) -> str:
    return "GGUF files have no fp8; their Q8_0 takes the same memory." if options.fp8 else ""


def _stretches_context(row: Checkpoint, options: ServeOptions) -> bool:
    return (options.context or 0) > row.context


def _yarn(row: Checkpoint, options: ServeOptions, key: str) -> dict[str, object]:
    values: dict[str, object] = {
        "rope_type": "yarn",
        "factor": (options.context or 0) / row.context,
        "original_max_position_embeddings": row.context,
    }
    if row.family.reads_images:
        return {"text_config": {key: {**_MROPE, **values}}}
    return {key: {"rope_theta": 1000000, **values} if key == "rope_parameters" else values}


def _gguf_architecture(row: Checkpoint) -> str:
    """Return the name of the architecture in a GGUF file, which begins the names of its settings."""
    name = row.family.architectures[0].replace("_", "")
    return f"{name}moe" if row.mixes_experts else name


def _has_gguf(row: Checkpoint) -> bool:
    """Whether Qwen publishes it as GGUF files."""
    return row.role != "reranker" and row.family.has_gguf


def _gguf_name(row: Checkpoint) -> str:
    return f"{row.name}-GGUF:Q8_0"


def _ollama_name(row: Checkpoint) -> str:
    """Return the name by which Ollama pulls it from the hub: names of its own library can change meaning."""
    return f"hf.co/{_gguf_name(row)}"
