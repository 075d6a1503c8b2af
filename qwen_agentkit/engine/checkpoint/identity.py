"""What is known of a checkpoint before its weights are loaded. Knows its small files, no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from transformers import AutoConfig, PretrainedConfig

from qwen_agentkit.engine.checkpoint.adapters import Adapter, find_adapter
from qwen_agentkit.engine.checkpoint.dtypes import choose_dtype
from qwen_agentkit.engine.checkpoint.finding import find, revision_of, weight_files
from qwen_agentkit.engine.checkpoint.gguf_files import gguf_config, gguf_size, is_gguf
from qwen_agentkit.engine.weights.quantize import check_quantization
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["Identity", "identify"]

# Architectures whose only sequence mixing is full causal attention: what the packed forward computes.
_PACKED_ARCHITECTURES = ("qwen3", "qwen3_moe", "qwen2", "qwen2_moe")

# Architectures that mix linear or sparse attention in, which only transformers' own code computes. Those
# without "_text" also read images; of them the text model alone is loaded.
_HYBRID_ARCHITECTURES = (
    *("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"),
    *("qwen4_exp", "qwen4_exp_text"),
)

# The longest stretch of the native context that the model cards tested.
_LARGEST_FACTOR = 4


@dataclass(frozen=True)
class Identity:
    """A checkpoint as `load` loads it.

    Attributes:
        folder: where its files are, or its one GGUF file.
        name: hub id or folder name, with that of its adapter behind a plus sign.
        device: where its weights will be, such as "cpu".
        dtype: number type they will have.
        size: of the files of its weights, in bytes; 0 when there are none that can be loaded.
        config: its config.json, with the context window in it.
        adapter: LoRA adapter to merge into it.
        quantize: what its weights are rounded to, such as "int8"; None for what they are.
    """

    folder: Path
    name: str
    device: str
    dtype: torch.dtype
    size: int
    config: PretrainedConfig
    adapter: Adapter | None = None
    quantize: str | None = None

    @cached_property
    def revision(self) -> str:
        """Commit on the hub or digest of a folder, and its adapter's; "+int8" where quantised.

        GPUs round other things than CPUs: there it is "+cuda-int8".
        """
        own = revision_of(self.folder)
        adapted = f"{own}+{self.adapter.revision}" if self.adapter else own
        kind = torch.device(self.device).type
        rounded = self.quantize if kind == "cpu" else f"{kind}-{self.quantize}"
        return f"{adapted}+{rounded}" if self.quantize else adapted

    @property
    def packed(self) -> bool:
        """Whether the packed forward runs this architecture; else one sequence at a time, in stock code."""
        return self.config.model_type in _PACKED_ARCHITECTURES


def identify(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    chat: bool = False,
    context_window: int | None = None,
    adapter: str | None = None,
    quantize: str | None = None,
) -> Identity:
    """Find a checkpoint and say how it will be loaded; takes what `load` takes, and loads no weights.

    Raises:
        ModelNotFoundError: neither on disk nor downloadable.
        ModelUnsupportedError: no readable config.json, an architecture this engine does not run, an adapter
            for another model, or a checkpoint that is not quantised here.
        InputError: an unknown `dtype`, a `context_window` out of reach, or a `quantize` that cannot run here.
    """
    folder = find(name, revision=revision)
    config = _config(name, folder, chat, context_window)
    size = gguf_size(folder) if is_gguf(folder) else sum(p.stat().st_size for p in weight_files(folder))
    where = _place(device)
    own = folder.name if folder.is_file() or Path(name).is_dir() else name
    found = find_adapter(adapter, own) if adapter else None
    if quantize is not None:
        check_quantization(quantize, config, where)
        if torch.device(where).type == "cuda":
            dtype = _bfloat16(dtype, quantize)
    return Identity(
        folder=folder,
        name=f"{own}+{found.name}" if found else own,
        device=where,
        dtype=choose_dtype(dtype, config, where, size, chat=chat),
        size=size,
        config=config,
        adapter=found,
        quantize=quantize,
    )


def _bfloat16(dtype: str | None, quantize: str) -> str:
    """The number type of what is quantised on a GPU, whose kernels take no other."""
    if dtype not in (None, "bfloat16"):
        raise InputError(
            f"quantize={quantize!r} on a GPU computes in bfloat16, not in dtype={dtype!r}. Leave dtype out."
        )
    return "bfloat16"


def _place(device: str | None) -> str:
    """The device asked for, by default the best there is; refused if it is not here."""
    if device is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"Unknown device={device!r}; expected one such as 'cpu', 'cuda', 'cuda:1' or 'mps'. Leave it out "
            "for the best there is."
        ) from error
    if wanted.type == "cpu":
        return "cpu"
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    there = counts.get(wanted.type)
    if there is not None and (wanted.index or 0) >= there:
        raise InputError(
            f"device={device!r}, but torch finds {there or 'no'} {wanted.type} device(s) here. Pass "
            "device='cpu', or leave it out for the best there is."
        )
    return device


def _config(name: str, folder: Path, chat: bool, context_window: int | None) -> PretrainedConfig:
    """Read the configuration, check that it can be run, and set the context window in it."""
    try:
        config: PretrainedConfig = (
            gguf_config(folder) if is_gguf(folder) else AutoConfig.from_pretrained(folder)
        )
    except (OSError, ValueError) as error:
        raise ModelUnsupportedError(f"{str(folder)!r} has no readable config.json: {error}") from error
    _check_architecture(name, config, chat)
    if context_window is not None:
        _set_context(name, config.get_text_config(), context_window)
    return config


def _check_architecture(name: str, config: PretrainedConfig, chat: bool) -> None:
    kind = config.model_type
    runs: tuple[str, ...] = _PACKED_ARCHITECTURES
    if kind in _HYBRID_ARCHITECTURES:
        if chat:
            return
        raise ModelUnsupportedError(
            f"{name!r} has the hybrid architecture {kind!r}, which only ChatQwen runs; embedding and "
            f"reranking run {', '.join(runs)}. Choose such a checkpoint, like the preset '0.6b'."
        )
    if kind not in runs:
        runs = (*runs, *_HYBRID_ARCHITECTURES) if chat else runs
        eyes = ", which reads images and has no text model of its own" if _reads_images(config) else ""
        raise ModelUnsupportedError(
            f"{name!r} has the architecture {kind!r}{eyes}; this engine runs {', '.join(runs)}. "
            "Any other LangChain model class fits beside this package."
        )
    if set(getattr(config, "layer_types", ())) - {"full_attention"}:
        raise ModelUnsupportedError(
            f"{name!r} uses sliding windows, which this engine does not compute. "
            "Set use_sliding_window to false in its config.json if its texts are shorter than the window."
        )


def _reads_images(config: PretrainedConfig) -> bool:
    return config.get_text_config() is not config


def _set_context(name: str, config: PretrainedConfig, window: int) -> None:
    """Limit the context, or stretch the positions to it as the model cards say (YaRN)."""
    if window > config.max_position_embeddings:
        rope = dict(config.rope_parameters)
        # Qwen3 lists 40,960: the 32,768 it was trained on, and room for the prompt of a longest answer.
        native = rope.get("original_max_position_embeddings") or _power_of_two(config.max_position_embeddings)
        if window > _LARGEST_FACTOR * native:
            raise InputError(
                f"context_window={window} is more than {_LARGEST_FACTOR} times the {native} tokens that "
                f"{name!r} was trained on; its makers tested no more. "
                f"Choose {_LARGEST_FACTOR * native} or fewer."
            )
        config.rope_parameters = {
            **rope,
            "rope_type": "yarn",
            "factor": window / native,
            "original_max_position_embeddings": native,
        }
    config.max_position_embeddings = window


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not above the number."""
    return 1 << (number.bit_length() - 1)
