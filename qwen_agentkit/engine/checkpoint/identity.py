"""What is known of a checkpoint before its weights are loaded. Reads its small files, no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.engine.checkpoint.adapters import Adapter, find_adapter
from qwen_agentkit.engine.checkpoint.dtypes import choose_dtype, keeps_fp16
from qwen_agentkit.engine.checkpoint.finding import find, revision_of, weight_files
from qwen_agentkit.engine.checkpoint.gguf_files import gguf_config, gguf_size, is_gguf
from qwen_agentkit.engine.model_config import PACKED_ARCHITECTURES, Config, read_config
from qwen_agentkit.engine.weights.quantize import check_quantization, int8_bits
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["Identity", "identify"]

# The largest factor by which the model cards say that the trained context can be extended.
_LARGEST_FACTOR = 4


@dataclass(frozen=True)
class Identity:
    """A checkpoint, and how `load` will load it.

    Attributes:
        folder: Folder of its files, or its GGUF file.
        name: Hub id or folder name; with an adapter, "model+adapter".
        device: Where the weights will be, such as "cpu".
        dtype: Number type of the weights in memory.
        size: Size of the weight files in bytes; 0 when there are none that can be loaded.
        config: The settings of config.json, with the context window asked for.
        adapter: LoRA adapter to merge into the weights.
        quantize: Type that the weights are quantized to, such as "int8"; None for no quantization.
    """

    folder: Path
    name: str
    device: str
    dtype: torch.dtype
    size: int
    config: Config
    adapter: Adapter | None = None
    quantize: str | None = None

    @cached_property
    def revision(self) -> str:
        """Commit on the hub or digest of a folder, then the adapter's and the quantization, joined by "+".

        Quantization differs between devices, so it reads "+int8" on a CPU, "+int7" on one whose products of
        8-bit numbers are exact for weights of 7 bits only, and "+cuda-int8" on a GPU.
        """
        own = revision_of(self.folder)
        adapted = f"{own}+{self.adapter.revision}" if self.adapter else own
        if self.quantize is None:
            return adapted
        kind = torch.device(self.device).type
        if kind != "cpu":
            return f"{adapted}+{kind}-{self.quantize}"
        return f"{adapted}+{f'int{int8_bits()}' if self.quantize == 'int8' else self.quantize}"

    @property
    def rounds_later(self) -> bool:
        """Whether weights are read in the number type of their files, and rounded layer by layer."""
        return self.quantize is not None or self.keeps_fp16

    @property
    def keeps_fp16(self) -> bool:
        """Whether the weights of linear layers are fp16 and everything else is computed in fp32."""
        return self.quantize is None and keeps_fp16(self.dtype, self.config, self.device)


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
    """Find a checkpoint and decide how it will be loaded. Loads no weights; see `load` for the arguments.

    Raises:
        ModelNotFoundError: The checkpoint is neither on disk nor downloadable.
        ModelUnsupportedError: There is no readable config.json, the engine does not run the architecture,
            the adapter is for another model, or the checkpoint cannot be quantized.
        InputError: `dtype` is unknown, `context_window` is too large, or this machine cannot run `quantize`.
    """
    folder = find(name, revision=revision)
    config = _configure(name, folder, chat, context_window)
    size = gguf_size(folder) if is_gguf(folder) else sum(p.stat().st_size for p in weight_files(folder))
    target = _choose_device(device)
    own = folder.name if folder.is_file() or Path(name).is_dir() else name
    found = find_adapter(adapter, own) if adapter else None
    if quantize is not None:
        if folder == nano_folder("nano-reranker"):
            raise ModelUnsupportedError(
                f"quantize={quantize!r}, but the weights of nano-reranker are exact numbers, which 8 and 4 "
                "bits do not hold: its scores would be wrong. Leave quantize out."
            )
        check_quantization(quantize, config, target, chat=chat)
        if torch.device(target).type == "cuda":
            dtype = _bfloat16(dtype, quantize)
    return Identity(
        folder=folder,
        name=f"{own}+{found.name}" if found else own,
        device=target,
        dtype=choose_dtype(dtype, config, target, size, chat=chat, quantized=quantize is not None),
        size=size,
        config=config,
        adapter=found,
        quantize=quantize,
    )


def _bfloat16(dtype: str | None, quantize: str) -> str:
    """Return the number type of models quantized on a GPU: the kernels take no other."""
    if dtype not in (None, "bfloat16"):
        raise InputError(
            f"quantize={quantize!r} on a GPU computes in bfloat16, not in dtype={dtype!r}. Leave dtype out."
        )
    return "bfloat16"


def _choose_device(device: str | None) -> str:
    """Return the device asked for, by default the best one; refuse a device that this machine lacks."""
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


def _configure(name: str, folder: Path, chat: bool, context_window: int | None) -> Config:
    """Read the configuration, check that the engine runs it, and set the context window in it."""
    config = gguf_config(folder) if is_gguf(folder) else read_config(folder, name, chat=chat)
    kinds = getattr(config, "layer_types", None)
    if config.model_type in PACKED_ARCHITECTURES and set(kinds or ()) - {"full_attention"}:
        raise ModelUnsupportedError(
            f"{name!r} uses sliding windows, which this engine does not compute. "
            "Set use_sliding_window to false in its config.json if its texts are shorter than the window."
        )
    if context_window is not None:
        _set_context(name, config.get_text_config(), context_window)
    return config


def _set_context(name: str, config: Config, window: int) -> None:
    """Limit the context to `window` tokens, or extend it to that as the model cards say (YaRN)."""
    if window > config.max_position_embeddings:
        rope = dict(config.rope_parameters)
        # Qwen3 lists 40,960: the 32,768 it was trained on for the answer, and room for a prompt.
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
