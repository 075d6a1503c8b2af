"""The settings of a model, read from config.json. Knows that file and its defaults, no weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from qwen_agentkit.errors import ModelUnsupportedError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = [
    "HYBRID_ARCHITECTURES",
    "PACKED_ARCHITECTURES",
    "Config",
    "Experts",
    "Model",
    "ModelConfig",
    "has_experts",
    "read_config",
    "read_json",
]

# Architectures whose only sequence mixing is full causal attention, in this package's own modules.
PACKED_ARCHITECTURES = ("qwen3", "qwen3_moe", "qwen2", "qwen2_moe")

# Architectures that mix linear or sparse attention in, in transformers' modules. Those without "_text" also
# read images; of them the text model alone is loaded.
HYBRID_ARCHITECTURES = (
    *("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"),
    *("qwen4_exp", "qwen4_exp_text"),
)

# Ways to compute positions that `forward.rotary` knows.
_ROPE_TYPES = ("default", "yarn")

# The base of the positions' frequencies where config.json gives none, as transformers has it.
_ROPE_THETA = 10000.0


@dataclass(frozen=True)
class Experts:
    """The mixture of experts of a model.

    Attributes:
        count: Experts of a layer.
        per_token: Experts that read each token.
        width: Rows of the inner matrices of one expert.
        shared_width: Rows of the expert that reads every token; None where there is none.
        normalize: Whether the weights of a token's experts are scaled to a sum of one.
        step: Every so many layers have experts.
        dense_layers: Numbers of further layers that have none.
    """

    count: int
    per_token: int
    width: int
    shared_width: int | None
    normalize: bool
    step: int = 1
    dense_layers: tuple[int, ...] = ()

    def in_layer(self, number: int) -> bool:
        """Return whether the layer of this number, from 0, has experts."""
        return number not in self.dense_layers and self.count > 0 and (number + 1) % self.step == 0


@dataclass
class ModelConfig:
    """The settings of a model of `PACKED_ARCHITECTURES`, under the names of config.json.

    Attributes:
        model_type: Architecture, such as "qwen3".
        rope_parameters: How positions are computed: "rope_type", "rope_theta" and what the type needs.
        dtype: Number type of the weights in the files; None where config.json does not tell.
        layer_types: Kind of attention of each layer, such as "full_attention".
        architectures: Names of the classes that the checkpoint was saved from.
        num_labels: Rows of the head of a classifier.
        is_causal: False for embedders that read a text in both directions, which this engine does not run.
        qkv_bias: Whether queries, keys and values have a bias.
        o_bias: Whether the output of the attention has a bias.
        experts: The mixture of experts; None for a dense model.
    """

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    tie_word_embeddings: bool
    rope_parameters: dict[str, Any]
    dtype: torch.dtype | None
    layer_types: list[str]
    architectures: tuple[str, ...]
    num_labels: int
    is_causal: bool
    qkv_bias: bool
    o_bias: bool
    eos_token_id: int | list[int] | None = None
    experts: Experts | None = field(default=None)

    def get_text_config(self) -> ModelConfig:
        """Return this; configurations of transformers have one of this name inside where they read images."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the settings by name; peft asks for them."""
        return asdict(self)


Config: TypeAlias = "ModelConfig | PretrainedConfig"

# A `forward.modules.QwenModel`, or a model of transformers, which has the same attributes.
Model: TypeAlias = Any


def has_experts(config: Config) -> bool:
    """Return whether a model is a mixture of experts."""
    return "moe" in config.model_type or bool(getattr(config.get_text_config(), "num_experts", None))


def read_config(folder: Path, name: str, *, chat: bool) -> Config:
    """Read config.json.

    Args:
        folder: Where it is.
        name: Name of the checkpoint, for errors.
        chat: Whether the model will write; embedding and reranking run no hybrid architecture.

    Returns:
        A `ModelConfig` where this package's own modules compute the model, else the configuration of
        transformers: hybrid architectures, weights quantized by others, unusual positions or activations.

    Raises:
        ModelUnsupportedError: There is no readable config.json, or this engine does not run the architecture.
    """
    path = folder / "config.json"
    try:
        values = read_json(path)
        kind = values["model_type"]
        _check_architecture(name, values, chat=chat)
        if kind in PACKED_ARCHITECTURES and _is_plain(values):
            return _parse(kind, values)
    except FileNotFoundError as error:
        raise ModelUnsupportedError(
            f"{str(folder)!r} has no config.json. Expected the folder of a checkpoint; download it again."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, str(error)) from error
    except KeyError as error:
        raise _unreadable(path, f"it lacks {error}") from error
    from transformers import AutoConfig  # takes seconds to import, and most checkpoints do without

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    return config


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return values


def _is_plain(values: Mapping[str, Any]) -> bool:
    """Return whether this package's own modules compute a model of these settings."""
    return (
        values.get("quantization_config") is None
        and values.get("hidden_act", "silu") == "silu"
        and _rope_parameters(values)["rope_type"] in _ROPE_TYPES
        and values.get("partial_rotary_factor") in (None, 1)
    )


def _parse(kind: str, values: Mapping[str, Any]) -> ModelConfig:
    heads, hidden = values["num_attention_heads"], values["hidden_size"]
    bias = bool(values.get("attention_bias", False))
    return ModelConfig(
        model_type=kind,
        vocab_size=values["vocab_size"],
        hidden_size=hidden,
        intermediate_size=values["intermediate_size"],
        num_hidden_layers=values["num_hidden_layers"],
        num_attention_heads=heads,
        num_key_value_heads=values.get("num_key_value_heads") or heads,
        head_dim=values.get("head_dim") or (128 if kind == "qwen3" else hidden // heads),
        max_position_embeddings=values.get("max_position_embeddings", 32768),
        rms_norm_eps=values.get("rms_norm_eps", 1e-6),
        tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
        rope_parameters=_rope_parameters(values),
        dtype=_dtype(values.get("dtype") or values.get("torch_dtype")),
        layer_types=values.get("layer_types") or _layer_types(kind, values),
        architectures=tuple(values.get("architectures") or ()),
        num_labels=len(values.get("id2label") or ()) or values.get("num_labels", 2),
        is_causal=bool(values.get("is_causal", True)),
        qkv_bias=bias if kind.startswith("qwen3") else bool(values.get("qkv_bias", True)),
        o_bias=bias and kind.startswith("qwen3"),
        eos_token_id=values.get("eos_token_id"),
        experts=_experts(kind, values) if kind.endswith("_moe") else None,
    )


def _rope_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how positions are computed, in the words of transformers 5; older files have older words."""
    rope = {**(values.get("rope_parameters") or {}), **(values.get("rope_scaling") or {})}
    rope.setdefault("rope_type", rope.get("type", "default"))
    rope.setdefault("rope_theta", values.get("rope_theta", _ROPE_THETA))
    if rope["rope_type"] == "yarn":
        native = values.get("max_position_embeddings", 32768)
        rope.setdefault("original_max_position_embeddings", native)
    return rope


def _layer_types(kind: str, values: Mapping[str, Any]) -> list[str]:
    """Return the kind of attention of each layer where the file gives the rule that transformers applies."""
    count = values["num_hidden_layers"]
    slides = bool(values.get("use_sliding_window", False)) and values.get("sliding_window", 4096) is not None
    first = values.get("max_window_layers", 28)
    sliding = {
        "qwen2": range(first, count),
        "qwen3": range(first, count),
        "qwen2_moe": range(0, min(first, count), 2),
        "qwen3_moe": range(count),
    }[kind]
    return ["sliding_attention" if slides and n in sliding else "full_attention" for n in range(count)]


def _experts(kind: str, values: Mapping[str, Any]) -> Experts:
    """Return the mixture of experts; what a file leaves out is as in transformers."""
    old = kind == "qwen2_moe"
    count = values.get("num_experts") or values.get("num_local_experts") or (60 if old else 128)
    return Experts(
        count=count,
        per_token=values.get("num_experts_per_tok", 4 if old else 8),
        width=values.get("moe_intermediate_size", 1408 if old else 768),
        shared_width=values.get("shared_expert_intermediate_size", 5632) if old else None,
        normalize=bool(values.get("norm_topk_prob", False)),
        step=values.get("decoder_sparse_step", 1),
        dense_layers=tuple(values.get("mlp_only_layers") or ()),
    )


def _dtype(name: str | None) -> torch.dtype | None:
    found = getattr(torch, str(name), None)
    return found if isinstance(found, torch.dtype) else None


def _check_architecture(name: str, values: Mapping[str, Any], *, chat: bool) -> None:
    kind = values["model_type"]
    runs = (*PACKED_ARCHITECTURES, *(HYBRID_ARCHITECTURES if chat else ()))
    if kind in runs:
        return
    if kind in HYBRID_ARCHITECTURES:
        raise ModelUnsupportedError(
            f"{name!r} has the hybrid architecture {kind!r}, which only ChatQwen runs; embedding and "
            f"reranking run {', '.join(runs)}. Choose such a checkpoint, like the preset '0.6b'."
        )
    reads_images = "vision_config" in values or "text_config" in values
    images = ", which reads images and has no text model of its own" if reads_images else ""
    raise ModelUnsupportedError(
        f"{name!r} has the architecture {kind!r}{images}; this engine runs {', '.join(runs)}. "
        "Any other LangChain model class fits beside this package."
    )


def _unreadable(path: Path, reason: str) -> ModelUnsupportedError:
    return ModelUnsupportedError(
        f"{str(path)!r} is not a readable config.json ({reason}). Download the checkpoint again."
    )
