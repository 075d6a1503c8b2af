"""Loads checkpoints, each once per process. Knows weights and tokenizers, no prompts."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from tokenizers import Tokenizer as Backend

from qwen_agentkit.engine.checkpoint.adapters import merge
from qwen_agentkit.engine.checkpoint.gguf_files import gguf_tokenizer, is_gguf
from qwen_agentkit.engine.checkpoint.identity import Identity, identify
from qwen_agentkit.engine.checkpoint.models import build_model
from qwen_agentkit.engine.checkpoint.residence import MEMORY, chosen_budget, make_room
from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer, read_tokenizer
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.engine.device_memory import total_memory
from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.forward.decoder import pack_decoder
from qwen_agentkit.engine.forward.joining import JoinedForward
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.model_config import Model, read_json
from qwen_agentkit.engine.weights.fp16 import keep_in_fp16
from qwen_agentkit.engine.weights.kernels import can_pack
from qwen_agentkit.engine.weights.linear import pack_linears
from qwen_agentkit.engine.weights.quantize import quantize_model
from qwen_agentkit.engine.weights.quantize_gpu import quantize_on_gpu
from qwen_agentkit.errors import ModelUnsupportedError, OutOfMemoryError

__all__ = [
    "Loaded",
    "count_weights",
    "give_back_memory",
    "load",
    "load_tokenizer",
    "make_room_for",
    "memory_budget",
    "memory_in_use",
]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Loaded(Vocabulary):
    """A checkpoint in memory, shared by everything in the process that asks for the same one.

    Attributes:
        model: The model in evaluation mode, with or without its language model head.
        tokenizer: The checkpoint's tokenizer.
        name: Hub id or folder name.
        revision: Commit on the hub, or a digest of the files of a local folder, and the quantization.
        generation: Settings of generation_config.json, such as "temperature" and "eos_token_id".
    """

    model: Model
    tokenizer: Tokenizer
    name: str
    revision: str
    generation: Mapping[str, Any] = field(default_factory=dict)

    def compute(self, function: Callable[[], T]) -> T:
        """Run a function that uses the model in the thread of its device."""
        return run_on_device(self.device, function)

    @cached_property
    def joined(self) -> JoinedForward:
        """The forward for calls of many threads, which are computed together."""
        return JoinedForward(self.model, self.device)

    @cached_property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def model_type(self) -> str:
        """Its architecture, as config.json has it."""
        return str(self.model.config.model_type)

    @cached_property
    def state_bytes(self) -> int:
        """Bytes of what a hybrid remembers of a sequence beside keys and values; 0 for other models."""
        cache = KVCache(self.model.config, self.dtype, self.device)
        if cache.is_cuttable:
            return 0
        # Read once: what is kept differs between architectures, and their layers know.
        self.compute(lambda: forward(self.model, [Segment([0], cache)]))
        return cache.state_bytes

    @property
    def token_budget(self) -> int:
        """Most tokens of one packed forward: activations stay in the cache of a CPU, or fill a GPU."""
        return 512 * torch.get_num_threads() if self.device.type == "cpu" else 16384


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
        name: Hub id, local folder, GGUF file, or the name of a bundled nano checkpoint.
        revision: Commit, tag or branch on the hub.
        device: Such as "cpu" or "cuda:0"; by default CUDA, else Apple's MPS, else the CPU.
        dtype: Such as "bfloat16"; by default the checkpoint's own on a GPU, and on a CPU the fastest type
            for its size and use. On a CPU with AVX2, "float16" is the type of the weights; everything
            else is computed in fp32.
        head: Whether to load the language model head; embedders need none, and some checkpoints have none.
        chat: Whether the model will write; then hybrid architectures are accepted, too.
        context_window: Longest sequence, in tokens. Up to the checkpoint's own context it is a limit. Beyond
            that, up to four times the trained context, positions are extended by YaRN, for every text alike,
            so short texts may be read a little worse.
        adapter: Hub id or local folder of a LoRA adapter to merge into the weights.
        quantize: "int8", "int4" or, on GPUs that have it, "fp8" quantizes the linear layers while loading;
            for chat on a CPU also the embeddings and the head, to 8 bits.

    Raises:
        ModelNotFoundError: The checkpoint is neither on disk nor downloadable.
        ModelUnsupportedError: There are no safetensors, the engine does not run the architecture, or the
            adapter does not fit.
        MissingExtraError: A package is missing for GGUF files, adapters, or quantization on GPUs.
        InputError: `dtype` is unknown, `context_window` is too large, or this machine cannot run `quantize`.
        OutOfMemoryError: The memory that the environment allows for weights is in use.
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
            wanted = _expected_bytes(identity)
            make_room_for(identity.name, identity.device, wanted)
            work = partial(_load, identity, head=head, chat=chat)
            held = _loaded[key] = run_on_device(identity.device, work)
            count_weights(held, str(held.device), wanted)
        return held


def memory_in_use(device: str) -> int:
    """Return the bytes of the weights on a device, as `load` expected them."""
    return sum(size for place, size in list(_weights.values()) if place == device)


def memory_budget(device: str) -> int:
    """Return the bytes of weights that may be on a device: as the environment says, else all its memory.

    Raises:
        InputError: The environment says something else than a number of gigabytes.
    """
    return chosen_budget() or total_memory(torch.device(device))


def count_weights(model: Vocabulary, device: str, size: int) -> None:
    """Count the bytes of a model on a device for as long as it lives."""
    _weights[model] = device, size


_weights: WeakKeyDictionary[Vocabulary, tuple[str, int]] = WeakKeyDictionary()

# Bytes of a weight that is rounded, with its share of the scales.
_ROUNDED = {"int8": 1.1, "fp8": 1.1, "int4": 0.65}


def _expected_bytes(identity: Identity) -> int:
    """Return about how many bytes the weights take in memory; their files hold two bytes for each."""
    width = _ROUNDED.get(identity.quantize or "", identity.dtype.itemsize)
    return int(identity.size / 2 * width)


def make_room_for(name: str, device: str, wanted: int) -> None:
    """Let go of idle models until so many bytes fit the budget.

    Raises:
        OutOfMemoryError: They do not fit beside those in use, and the environment sets the budget.
    """
    fits = partial(_fits, device, wanted)
    if make_room(fits) or chosen_budget() is None:
        return
    raise OutOfMemoryError(
        f"{name!r} takes about {wanted / 1e9:.2g} GB, and {memory_in_use(device) / 1e9:.2g} of the "
        f"{memory_budget(device) / 1e9:.2g} GB of {MEMORY} are in use. Unload a model, or raise it."
    )


def _fits(device: str, wanted: int) -> bool:
    return memory_in_use(device) + wanted <= memory_budget(device)


def _load(identity: Identity, *, head: bool, chat: bool) -> Loaded:
    if not identity.size:
        raise ModelUnsupportedError(
            f"{str(identity.folder)!r} holds no *.safetensors file; other weight formats can run code and "
            "are not loaded. Convert the checkpoint, or take the safetensors one from the hub."
        )
    model = build_model(identity, head=head, chat=chat)
    if identity.adapter:
        model = merge(model, identity.adapter)
    model, device = model.eval().requires_grad_(False), torch.device(identity.device)
    if identity.quantize and device.type == "cuda":
        quantize_on_gpu(model, identity.quantize, device)
    else:
        model.to(device)
    if identity.quantize and device.type == "cpu":
        # Quantized activations hardly change a vector, but the order of documents with close scores.
        fine = identity.quantize == "int4" or (head and not chat)
        quantize_model(model, identity.quantize, identity.dtype, with_tables=chat, fine=fine)
    elif identity.keeps_fp16:
        keep_in_fp16(model, with_head=chat)  # a reranker reads two rows of its head
    elif identity.device == "cpu" and can_pack(identity.dtype):
        pack_linears(model if chat else model.base_model)
    pack_decoder(model)
    tokenizer = _read_tokenizer(identity)
    if not head:  # an embedder reads texts of users alone, and a copy for those would take 50 MB more
        tokenizer.backend_tokenizer.encode_special_tokens = True
    loaded = Loaded(
        model=model,
        tokenizer=tokenizer,
        name=identity.name,
        revision=identity.revision,
        generation=_generation(identity),
    )
    give_back_memory()
    return loaded


def _generation(identity: Identity) -> dict[str, Any]:
    """Return the settings of generation_config.json; without one, what config.json says of the end."""
    path = identity.folder / "generation_config.json"
    if not path.is_file():
        return {"eos_token_id": getattr(identity.config.get_text_config(), "eos_token_id", None)}
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise ModelUnsupportedError(
            f"{str(path)!r} cannot be read ({error}). Download the checkpoint again."
        ) from error


def give_back_memory() -> None:
    """Return the memory that loading used to the system: 50 to 150 MB that glibc would keep."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def load_tokenizer(identity: Identity) -> Backend:
    """Return the tokenizer that `Loaded.encode_data` uses, without loading the weights.

    Raises:
        ModelUnsupportedError: The checkpoint has no tokenizer of the right kind.
    """
    return _read_tokenizer(identity).as_plain_reader()


def _read_tokenizer(identity: Identity) -> Tokenizer:
    folder = identity.folder
    return gguf_tokenizer(folder) if is_gguf(folder) else read_tokenizer(folder, identity.name)
