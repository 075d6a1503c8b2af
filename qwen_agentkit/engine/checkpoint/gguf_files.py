"""Checkpoints in one GGUF file, read by transformers into its own model. Knows that format, no prompts.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Read so, quantized weights are converted
back to the number type asked for: the file saves disk space and download time, not memory. `engine.llama`
runs it as it is.
"""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import normalizers

from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer
from qwen_agentkit.errors import MissingExtraError, ModelUnsupportedError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = [
    "UnreadQuantizationError",
    "gguf_config",
    "gguf_metadata",
    "gguf_model",
    "gguf_shapes",
    "gguf_size",
    "gguf_tokenizer",
    "is_gguf",
    "unreadable",
]

_CONFIGS = {"qwen2": "Qwen2Config", "qwen3": "Qwen3Config"}

# Names of settings in a configuration, and their keys in the file after "qwen3." or "qwen2.".
_FIELDS = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "num_attention_heads": "attention.head_count",
    "num_hidden_layers": "block_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}


def is_gguf(path: Path | str) -> bool:
    """Return whether the path is that of a GGUF file."""
    return str(path).lower().endswith(".gguf")


def gguf_config(path: Path) -> PretrainedConfig:
    """Read the configuration that the file holds.

    Raises:
        MissingExtraError: The extra `gguf` is not installed.
        ModelUnsupportedError: The file is damaged, holds no Qwen model, or was made for the ranking of
            llama.cpp alone.
    """
    import transformers

    metadata, shapes = _header(path)
    kind = metadata["general.architecture"]
    if kind not in _CONFIGS:
        raise ModelUnsupportedError(
            f"{path.name!r} holds the architecture {kind!r}; of GGUF files this engine runs "
            f"{' and '.join(_CONFIGS)}. Take such a file, or the safetensors checkpoint of the model."
        )
    if any(name.startswith("cls.") for name in shapes):
        raise ModelUnsupportedError(
            f"{path.name!r} was converted for the ranking of llama.cpp and lacks the language model head "
            "that scores come from. Serve it with `llama-server --reranking` and pass base_url, or take the "
            "safetensors checkpoint."
        )
    try:
        fields = {field: metadata[f"{kind}.{key}"] for field, key in _FIELDS.items()}
        vocabulary, width = shapes["token_embd.weight"]
    except KeyError as error:
        raise unreadable(path, f"it lacks {error}") from error
    if kind == "qwen3":
        fields["head_dim"] = metadata.get(
            "qwen3.attention.key_length", width // fields["num_attention_heads"]
        )
    config: PretrainedConfig = getattr(transformers, _CONFIGS[kind])(
        **fields,
        vocab_size=vocabulary,
        tie_word_embeddings="output.weight" not in shapes,
        rope_parameters=_rope(kind, metadata),
        eos_token_id=metadata.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=metadata.get("tokenizer.ggml.padding_token_id"),
        bos_token_id=None,
        architectures=[f"{kind.title()}ForCausalLM"],
    )
    return config


def gguf_size(path: Path) -> int:
    """Return the bytes that the weights take in bf16, whatever they take in the file."""
    sizes = 0
    for shape in _header(path)[1].values():
        count = 2
        for length in shape:
            count *= length
        sizes += count
    return sizes


def gguf_tokenizer(path: Path) -> Tokenizer:
    """Build the tokenizer, with the chat template, that the file holds.

    Raises:
        ModelUnsupportedError: It is not the tokenizer of a Qwen model.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import (
        convert_gguf_tokenizer,
        get_gguf_tokenizer,
    )

    kind, tables, named = get_gguf_tokenizer(str(path))
    if tables.get("pre_tokenizer_type") != "qwen2":
        raise ModelUnsupportedError(
            f"{path.name!r} does not split texts as Qwen does, so its tokens would not be the trained ones. "
            "Convert it again with a newer llama.cpp, or take the safetensors checkpoint."
        )
    backend, _ = convert_gguf_tokenizer(kind, tables)
    # Every Qwen tokenizer normalizes so; the format does not store it, and transformers sets none.
    backend.normalizer = normalizers.NFC()
    special = {purpose: named[purpose] for purpose in ("eos_token", "pad_token") if named.get(purpose)}
    return Tokenizer(backend, special, named.get("chat_template"))


def gguf_model(kind: Any, path: Path, config: PretrainedConfig, **settings: Any) -> PreTrainedModel:
    """Load the weights with `kind`, one of transformers' auto classes.

    Args:
        kind: The class.
        path: The file.
        config: What `gguf_config` returned.
        **settings: For the class's `from_pretrained`.

    Raises:
        ModelUnsupportedError: The file lacks weights.
    """
    model: PreTrainedModel
    model, report = kind.from_pretrained(
        path.parent, gguf_file=path.name, config=config, output_loading_info=True, **settings
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelUnsupportedError(
            f"{path.name!r} lacks {len(missing)} of the weights of its model, such as {missing[0]!r}. "
            "Download it again; of a file in parts, join the parts with `llama-gguf-split --merge`."
        )
    return model


def gguf_metadata(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the metadata of the file, and the names of its weights.

    Raises:
        MissingExtraError: The extra `gguf` is not installed.
        ModelUnsupportedError: The file is damaged.
    """
    if find_spec("gguf") is None or find_spec("accelerate") is None:
        raise MissingExtraError(
            f"{path.name!r} is a GGUF file, and the packages that read it are not installed: "
            "pip install 'qwen-agentkit[gguf]'."
        )
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        metadata, names = read_gguf_metadata(str(path))
    except (ValueError, struct.error, OSError) as error:
        raise unreadable(path, str(error)) from error
    return metadata, names


def gguf_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of the file.

    Raises:
        ModelUnsupportedError: The end of the file is missing, or transformers does not read its quantization.
    """
    from transformers.integrations.gguf.reader import GgufHeader

    try:
        header = GgufHeader.from_file(str(path))
    except (ValueError, struct.error, OSError) as error:
        raise UnreadQuantizationError(
            f"{path.name!r} has a quantization that transformers does not read ({error}). Take a file in "
            "Q8_0, Q6_K or Q4_K_M, or leave engine= out, so that llama.cpp runs it."
        ) from error
    end = max((weight.offset + weight.nbytes for weight in header.tensors), default=0)
    if header.data_start + end > path.stat().st_size:
        raise unreadable(path, "its end is missing")
    return {weight.name: weight.shape for weight in header.tensors}


class UnreadQuantizationError(ModelUnsupportedError):
    """A file has weights in a type that transformers does not read; llama.cpp may."""


def _header(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return the metadata of the file and the shapes of its weights."""
    return gguf_metadata(path)[0], gguf_shapes(path)


def _rope(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": metadata.get(f"{kind}.rope.freq_base", 1e6)}
    if metadata.get(f"{kind}.rope.scaling.type", "none") == "none":
        return rope
    return {
        "rope_type": metadata[f"{kind}.rope.scaling.type"],
        "rope_theta": rope["rope_theta"],
        "factor": metadata[f"{kind}.rope.scaling.factor"],
        "original_max_position_embeddings": metadata[f"{kind}.rope.scaling.original_context_length"],
    }


def unreadable(path: Path, reason: str) -> ModelUnsupportedError:
    """Return the error for a damaged file."""
    return ModelUnsupportedError(f"{str(path)!r} is not a readable GGUF file ({reason}). Download it again.")
