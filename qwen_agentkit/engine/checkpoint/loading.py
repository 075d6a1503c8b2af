"""Loading checkpoints, each once per process. Knows weights and tokenizers, not prompts."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers import logging as transformers_logging

from qwen_agentkit.engine.checkpoint.adapters import merge
from qwen_agentkit.engine.checkpoint.gguf_files import gguf_model, gguf_tokenizer, is_gguf
from qwen_agentkit.engine.checkpoint.identity import Identity, identify
from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.forward.decoder import pack_decoder
from qwen_agentkit.engine.weights.kernels import can_pack
from qwen_agentkit.engine.weights.linear import pack_linears
from qwen_agentkit.engine.weights.quantize import quantize_model
from qwen_agentkit.engine.weights.quantize_gpu import quantize_on_gpu
from qwen_agentkit.errors import ModelUnsupportedError

__all__ = ["Loaded", "load", "load_tokenizer"]

T = TypeVar("T")

# Loading less than this takes no time worth a progress bar.
_SMALL_BYTES = 200e6


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory, shared by everything in the process that asks for the same one.

    Attributes:
        model: the transformers model in evaluation mode, with or without its language model head.
        tokenizer: the checkpoint's tokenizer.
        name: hub id or folder name.
        revision: commit on the hub, or a digest of the files of a local folder, and the quantisation.
        packed: whether the packed forward runs it; else one sequence at a time, in transformers' code.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str
    revision: str
    packed: bool = True

    def compute(self, function: Callable[[], T]) -> T:
        """Run what uses the model: see `device_thread.run_on_device`."""
        return run_on_device(self.device, function)

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        return self.model.dtype

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def token_budget(self) -> int:
        """Tokens of one packed forward: activations stay in the CPU's cache, or fill a GPU."""
        return 512 * torch.get_num_threads() if self.device.type == "cpu" else 16384

    def token_id(self, token: str) -> int:
        """Id of `token`, which has to be one token of the vocabulary.

        Raises:
            ModelUnsupportedError: the vocabulary lacks it.
        """
        number = self.tokenizer.convert_tokens_to_ids(token)
        if not isinstance(number, int) or number == self.tokenizer.unk_token_id:
            raise ModelUnsupportedError(
                f"The vocabulary of {self.name!r} has no token {token!r}, so it is not a Qwen3 checkpoint "
                "of the expected kind. Use one of the names in qwen_agentkit.catalog.CHECKPOINTS."
            )
        return number

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of text of our own, in which special tokens count."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def encode_data(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts of others, in which special tokens are plain text."""
        encoded = self._reader.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in encoded]

    @cached_property
    def _reader(self) -> Tokenizer:
        """For texts of others; chats need none, and it takes 50 MB."""
        return _plain(self.tokenizer)


_loaded: WeakValueDictionary[tuple[object, ...], Loaded] = WeakValueDictionary()
_loading = threading.Lock()


def load(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    head: bool = True,
    chat: bool = False,
    context_window: int | None = None,
    adapter: str | None = None,
    quantize: str | None = None,
) -> Loaded:
    """Load a checkpoint, or return the one this process already holds.

    Args:
        name: hub id, local folder, GGUF file, or the name of a bundled nano checkpoint.
        revision: commit, tag or branch on the hub.
        device: such as "cpu" or "cuda:0"; by default CUDA, else Apple's MPS, else the CPU.
        dtype: such as "bfloat16"; by default the checkpoint's own on a GPU, and on a CPU the faster of
            bf16 and fp32 for its size and use.
        head: with the language model head; embedders need none, and some ship none.
        chat: for writing. Runs architectures, too, that the packed forward does not.
        context_window: longest sequence, in tokens. Up to the checkpoint's own it is a limit; beyond that,
            up to four times what it was trained on, positions are stretched (YaRN). The stretch is the same
            for every text, so short ones may be read a little worse.
        adapter: hub id or local folder of a LoRA adapter, merged into the weights.
        quantize: "int8", "int4" or, on GPUs that have it, "fp8" rounds the weights of linear layers while
            loading; for chat on a CPU also those of the embeddings and the head, to 8 bits.

    Raises:
        ModelNotFoundError: neither on disk nor downloadable.
        ModelUnsupportedError: no safetensors, an architecture this engine does not run, or an adapter that
            does not fit.
        MissingExtraError: what reads GGUF files or adapters, or rounds on GPUs, is not installed.
        InputError: an unknown `dtype`, a `context_window` out of reach, or a `quantize` that cannot run here.
    """
    identity = identify(
        name,
        revision=revision,
        device=device,
        dtype=dtype,
        chat=chat,
        context_window=context_window,
        adapter=adapter,
        quantize=quantize,
    )
    added = identity.adapter.folder.resolve() if identity.adapter else None
    kind = (identity.device, identity.dtype, quantize)
    key = (identity.folder.resolve(), *kind, head, chat, context_window, added)
    with _loading:
        held = _loaded.get(key)
        if held is None:
            work = partial(_load, identity, head=head, chat=chat)
            held = _loaded[key] = run_on_device(identity.device, work)
        return held


def _load(identity: Identity, *, head: bool, chat: bool) -> Loaded:
    if not identity.size:
        raise ModelUnsupportedError(
            f"{str(identity.folder)!r} holds no *.safetensors file; other weight formats can run code and "
            "are not loaded. Convert the checkpoint, or take the safetensors one from the hub."
        )
    with _quiet() if identity.size < _SMALL_BYTES else nullcontext():
        model = _from_files(identity, head)
    if identity.adapter:
        model = merge(model, identity.adapter)
    model, device = model.eval().requires_grad_(False), torch.device(identity.device)
    if identity.quantize and device.type == "cuda":
        quantize_on_gpu(model, identity.quantize, device)
    else:
        model.to(device)
    if identity.quantize and device.type == "cpu":
        # Rounded activations cost a vector little, but change the order of documents that score alike.
        fine = identity.quantize == "int4" or (head and not chat)
        quantize_model(model, identity.quantize, identity.dtype, with_tables=chat, fine=fine)
    elif identity.device == "cpu" and can_pack(identity.dtype):
        pack_linears(model if chat else model.base_model)  # a reranker reads two rows of its head
    if identity.packed:
        pack_decoder(model)
    loaded = Loaded(
        model=model,
        tokenizer=_tokenizer(identity.name, identity.folder),
        name=identity.name,
        revision=identity.revision,
        packed=identity.packed,
    )
    _give_back_memory()
    return loaded


def _give_back_memory() -> None:
    """Return to the system what loading needed, 50 to 150 MB that glibc would keep in the process."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _from_files(identity: Identity, head: bool) -> Any:
    kind = _model_class(identity.config, head)
    settings: dict[str, Any] = {
        "config": identity.config,
        # Of weights that are to be rounded, no converted copy is made.
        "dtype": "auto" if identity.quantize else identity.dtype,
    }
    if is_gguf(identity.folder):
        return gguf_model(kind, identity.folder, **settings)
    return kind.from_pretrained(identity.folder, use_safetensors=True, **settings)


def _model_class(config: PretrainedConfig, head: bool) -> Any:
    """Return the class that reads the head the checkpoint has; any other would fill it with noise."""
    if not head:
        return AutoModel
    classifies = any(name.endswith("ForSequenceClassification") for name in config.architectures or ())
    return AutoModelForSequenceClassification if classifies else AutoModelForCausalLM


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for what takes no time."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types


def load_tokenizer(identity: Identity) -> Tokenizer:
    """The tokenizer that reads texts of others, as `Loaded.encode_data` does, without the weights.

    Raises:
        ModelUnsupportedError: the checkpoint has none of the right kind.
    """
    return _plain(_tokenizer(identity.name, identity.folder))


def _plain(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy that reads "<|im_end|>" in a document as so many characters of text, never as a token."""
    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.encode_special_tokens = True
    return plain


def _tokenizer(name: str, folder: Path) -> PreTrainedTokenizerFast:
    tokenizer = gguf_tokenizer(folder) if is_gguf(folder) else AutoTokenizer.from_pretrained(folder)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelUnsupportedError(
            f"{name!r} has no tokenizer.json, which every Qwen3 checkpoint has. Download it again."
        )
    return tokenizer
