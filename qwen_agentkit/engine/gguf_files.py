"""Checkpoints in one GGUF file, read into the stock transformers model. Knows that format, no prompts.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Quantised weights are written out in the
number type of the load: such a file saves disk and download, not memory.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import normalizers
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from qwen_agentkit.errors import MissingExtraError, ModelUnsupportedError

if TYPE_CHECKING:
    from gguf import GGUFReader

__all__ = ["gguf_config", "gguf_model", "gguf_size", "gguf_tokenizer", "is_gguf"]

_ARCHITECTURES = ("qwen2", "qwen3")


def is_gguf(path: Path | str) -> bool:
    """Whether this names a GGUF file."""
    return str(path).lower().endswith(".gguf")


def gguf_config(path: Path) -> PretrainedConfig:
    """Read the configuration that the file holds.

    Raises:
        MissingExtraError: The extra `gguf` is not installed.
        ModelUnsupportedError: It is no GGUF file, no Qwen, or one that only llama.cpp can score with.
    """
    reader = _reader(path)
    field = reader.get_field("general.architecture")
    kind = field.contents() if field else None
    if kind not in _ARCHITECTURES:
        raise ModelUnsupportedError(
            f"{path.name!r} holds the architecture {kind!r}; of GGUF files this engine runs "
            f"{' and '.join(_ARCHITECTURES)}. Take such a file, or the safetensors checkpoint of the model."
        )
    if any(tensor.name.startswith("cls.") for tensor in reader.tensors):
        raise ModelUnsupportedError(
            f"{path.name!r} was converted for the ranking of llama.cpp and lacks the language model head that "
            "scores come from. Serve it with `llama-server --reranking` and pass base_url, or take the "
            "safetensors checkpoint."
        )
    config: PretrainedConfig = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    width = reader.get_field(f"{kind}.attention.key_length")
    if width is not None:  # transformers 5.23 leaves it at its default, which is right for most files
        config.head_dim = int(width.contents())
    return config


def gguf_size(path: Path) -> int:
    """Bytes of the weights written out in bf16, whatever they take in the file."""
    return sum(2 * int(tensor.n_elements) for tensor in _reader(path).tensors)


def gguf_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """Build the tokenizer, with the chat template, that the file holds.

    Raises:
        ModelUnsupportedError: It is not the tokenizer of a Qwen.
    """
    field = _reader(path).get_field("tokenizer.ggml.pre")
    if field is None or field.contents() != "qwen2":
        raise ModelUnsupportedError(
            f"{path.name!r} does not split texts as Qwen does, so its tokens would not be the trained ones. "
            "Convert it again with a newer llama.cpp, or take the safetensors checkpoint."
        )
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # Every Qwen normalises so; the format has no word for it, and transformers sets none.
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def gguf_model(kind: Any, path: Path, config: PretrainedConfig, **settings: Any) -> PreTrainedModel:
    """Load the weights with one of transformers' auto classes, as its `from_pretrained` takes `settings`.

    Raises:
        ModelUnsupportedError: Weights are missing in the file.
    """
    model: PreTrainedModel
    model, report = kind.from_pretrained(
        path.parent, gguf_file=path.name, config=config, output_loading_info=True, **settings
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelUnsupportedError(
            f"{path.name!r} lacks {len(missing)} of the weights of its model, such as {missing[0]!r}. Download "
            "it again; of a file in parts, join the parts with `llama-gguf-split --merge`."
        )
    return model


def _reader(path: Path) -> GGUFReader:
    if find_spec("gguf") is None or find_spec("accelerate") is None:
        raise MissingExtraError(
            f"{path.name!r} is a GGUF file, and what reads it is not installed: "
            "pip install 'qwen-agentkit[gguf]'."
        )
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise ModelUnsupportedError(
            f"{str(path)!r} is not a readable GGUF file ({error}). Download it again."
        ) from error
