"""Finding and loading checkpoints, each once per process. Knows folders and the hub, not prompts."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from weakref import WeakValueDictionary

import httpx
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers import logging as transformers_logging

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.engine.packed import ATTENTION
from qwen_agentkit.errors import InputError, ModelNotFoundError, ModelUnsupportedError

__all__ = ["Loaded", "find", "load"]

# Architectures whose only sequence mixing is full causal attention: what the packed forward computes.
_PACKED_ARCHITECTURES = ("qwen3", "qwen3_moe", "qwen2", "qwen2_moe")

_DTYPES = ("bfloat16", "float16", "float32")

# Under this size of weights a forward is bound by overhead, not arithmetic: fp32 is as fast, and exact.
_SMALL_BYTES = 200e6

# Over this size fp32, which takes twice the memory, is not chosen for its speed.
_LARGE_BYTES = 4e9

_FILES = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.json"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory, shared by everything in the process that asks for the same one.

    Attributes:
        model: the transformers model in evaluation mode, with or without its language model head.
        tokenizer: the checkpoint's tokenizer.
        name: hub id or folder name.
        revision: commit on the hub, or a digest of the files of a local folder.
        lock: hold it while computing, so that calls from several threads do not share the cores.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str
    revision: str
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        # A copy that reads "<|im_end|>" in a document as seven characters of text, never as a token.
        plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        plain.encode_special_tokens = True
        object.__setattr__(self, "_plain", plain)

    @property
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
        return int(self.model.config.max_position_embeddings)

    @property
    def token_budget(self) -> int:
        """Tokens of one packed forward: activations stay in the CPU's cache, or fill a GPU."""
        return 2048 if self.device.type == "cpu" else 16384

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
        plain: Tokenizer = object.__getattribute__(self, "_plain")
        return [e.ids for e in plain.encode_batch_fast(list(texts), add_special_tokens=False)]


_loaded: WeakValueDictionary[tuple[str, ...], Loaded] = WeakValueDictionary()
_loading = threading.Lock()


def load(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    head: bool = True,
) -> Loaded:
    """Load a checkpoint, or return the one this process already holds.

    Args:
        name: hub id, local folder, or the name of a bundled nano checkpoint.
        revision: commit, tag or branch on the hub.
        device: such as "cpu" or "cuda:0"; by default CUDA, else Apple's MPS, else the CPU.
        dtype: such as "bfloat16"; by default the checkpoint's own on a GPU, and on a CPU the faster of
            bf16 and fp32 for its size.
        head: with the language model head; embedders need none, and some ship none.

    Raises:
        ModelNotFoundError: neither on disk nor downloadable.
        ModelUnsupportedError: no safetensors, or an architecture this engine does not run.
        InputError: an unknown `dtype`.
    """
    folder = find(name, revision=revision)
    where = device or _default_device()
    if dtype not in (None, *_DTYPES):
        raise InputError(f"Unknown dtype {dtype!r}; expected one of {', '.join(_DTYPES)}.")
    with _loading:
        key = (str(folder.resolve()), where, dtype or "", "head" if head else "")
        held = _loaded.get(key)
        if held is None:
            held = _loaded[key] = _load(name, folder, where, dtype, head)
        return held


def find(name: str, *, revision: str | None = None) -> Path:
    """Folder of a checkpoint on this disk, downloading it from the Hugging Face hub when it is on none.

    Raises:
        ModelNotFoundError: neither on disk nor downloadable.
    """
    bundled = nano_folder(name)
    folder = bundled or Path(name).expanduser()
    if folder.is_dir():
        return folder
    if bundled or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelNotFoundError(
            f"No checkpoint at {name!r}: there is no such folder, and a hub id looks like "
            "'Qwen/Qwen3-Embedding-0.6B'. To run without any download, use --preset nano."
        )
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return _download(name, revision)
    except HFValidationError as error:
        raise ModelNotFoundError(f"{name!r} is not a hub id: {error}") from error


def _download(name: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError, RuntimeError) as error:
        # RuntimeError: what a closed network raises in sandboxes, and a client closed by a failed try.
        at = f" at revision {revision!r}" if revision else ""
        raise ModelNotFoundError(
            f"Checkpoint {name!r}{at} is not on this disk and could not be downloaded "
            f"({type(error).__name__}). Check the name and the network, or pass a local folder as model, "
            "or use the bundled models: --preset nano."
        ) from error


def _default_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _load(name: str, folder: Path, device: str, dtype: str | None, head: bool) -> Loaded:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelUnsupportedError(
            f"{str(folder)!r} holds no *.safetensors file; other weight formats can run code and are not "
            "loaded. Convert the checkpoint, or take the safetensors one from the hub."
        )
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelUnsupportedError(f"{str(folder)!r} has no readable config.json: {error}") from error
    _check_architecture(name, config)
    size = sum(path.stat().st_size for path in weights)
    with _quiet() if size < _SMALL_BYTES else nullcontext():
        model = (AutoModelForCausalLM if head else AutoModel).from_pretrained(
            folder,
            config=config,
            dtype=_dtype(dtype, config, device, size),
            attn_implementation=ATTENTION,
            use_safetensors=True,
        )
    return Loaded(
        model=model.eval().requires_grad_(False).to(torch.device(device)),
        tokenizer=_tokenizer(name, folder),
        name=folder.name if Path(name).is_dir() else name,
        revision=_revision(folder, weights),
    )


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


def _tokenizer(name: str, folder: Path) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelUnsupportedError(
            f"{name!r} has no tokenizer.json, which every Qwen3 checkpoint has. Download it again."
        )
    return tokenizer


def _check_architecture(name: str, config: PretrainedConfig) -> None:
    if config.model_type not in _PACKED_ARCHITECTURES:
        raise ModelUnsupportedError(
            f"{name!r} has the architecture {config.model_type!r}; this engine runs "
            f"{', '.join(_PACKED_ARCHITECTURES)}. Any other LangChain model class fits beside this package."
        )
    if set(getattr(config, "layer_types", ())) - {"full_attention"}:
        raise ModelUnsupportedError(
            f"{name!r} uses sliding windows, which this engine does not compute. "
            "Set use_sliding_window to false in its config.json if its texts are shorter than the window."
        )


def _dtype(wanted: str | None, config: PretrainedConfig, device: str, size: int) -> torch.dtype:
    if wanted is not None:
        chosen: torch.dtype = getattr(torch, wanted)
        return chosen
    stored = getattr(config, "dtype", None) or torch.bfloat16
    if device != "cpu":
        return stored
    if size < _SMALL_BYTES:
        return torch.float32
    return stored if size > _LARGE_BYTES or _bf16_is_fast() else torch.float32


@cache
def _bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 matrices at least as fast as fp32 ones; takes a tenth of a second.

    Measured, because CPUs that have the instructions were seen to be slower with them.
    """
    seconds = {}
    for dtype in (torch.bfloat16, torch.float32):
        left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[torch.bfloat16] <= seconds[torch.float32]


def _revision(folder: Path, weights: Sequence[Path]) -> str:
    """The commit of a hub snapshot, else a digest of the configuration and samples of the weights."""
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weights:
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with path.open("rb") as file:
            # Sixteen blocks tell two trainings apart without reading gigabytes at every start.
            for block in range(16):
                file.seek(size * block // 16)
                digest.update(file.read(65536))
    return digest.hexdigest()[:16]
