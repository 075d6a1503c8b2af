"""Loading models of sentence-transformers, each once per process. Knows files and weights, no texts.

Slow to import: import it only for such a model. Weights are read from safetensors files alone, code of a
checkpoint is never run, and only `find` downloads.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer

from qwen_agentkit.backends.choosing import pooling_modes, read_json
from qwen_agentkit.backends.interfaces import Reading
from qwen_agentkit.engine.checkpoint.finding import find, revision_of, weight_files
from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.errors import InputError, ModelUnsupportedError

__all__ = ["LoadedModel", "Source", "load_model", "saved_dimensions"]

T = TypeVar("T")

# Tokens of one batch, padding included, by the type of the device.
_BUDGETS, _USUAL_BUDGET = {"cpu": 4096}, 32768

# Stands for no limit on the length of texts.
_UNLIMITED = 10**9

_DTYPES = ("bfloat16", "float16", "float32")


class Source:
    """Where a model is, and how it is to be loaded."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None,
        device: str | None,
        dtype: str | None,
        adapter: str | None,
        quantize: str | None,
    ) -> None:
        for setting, value in (("adapter", adapter), ("quantize", quantize)):
            if value is not None:
                raise InputError(
                    f"{setting}={value!r} cannot be used with {model!r}, which sentence-transformers runs; "
                    "only models that run on the packed engine take it. Leave it out."
                )
        if dtype is not None and dtype not in _DTYPES:
            raise InputError(f"Unknown dtype {dtype!r}; expected one of {', '.join(_DTYPES)}.")
        self.folder = find(model, revision=revision)
        self.name = self.folder.name if Path(model).is_dir() else model
        self.device = _device(device)
        # Encoders are small, and bf16 is slow on many CPUs.
        self.dtype = dtype or ("float32" if self.device == "cpu" else None)

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a digest of all modules of a folder, and what runs it."""
        if self.folder.parent.name == "snapshots":
            return f"{self.folder.name}+sentence-transformers"
        modules = read_json(self.folder / "modules.json", [])
        parts = [self.folder, *(self.folder / str(module["path"]) for module in modules if module["path"])]
        digest = hashlib.sha256("".join(map(revision_of, parts)).encode())
        for file in sorted(self.folder.glob("*.json")):
            digest.update(file.read_bytes())
        return f"{digest.hexdigest()[:16]}+sentence-transformers"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of sentence-transformers in memory, shared in the process.

    Attributes:
        model: The model in evaluation mode.
        longest: Most tokens that it reads, special tokens included.
        tokenizer: Reads special tokens in texts as plain text, and cuts nothing.
        device: Where the weights are.
    """

    model: Any
    longest: int
    tokenizer: Tokenizer
    device: str

    def compute(self, function: Callable[[], T]) -> T:
        """Run `function`, which uses the model, in the thread of its device."""
        return run_on_device(self.device, function)

    def limit(self, max_length: int) -> int:
        """Return the most tokens that are read of a text; tables of word vectors have no limit."""
        if isinstance(self.model.tokenizer, Tokenizer):
            return self.longest
        return min(max_length, self.longest)

    def set_limit(self, limit: int) -> None:
        """Let the model cut texts at `limit` tokens; call it in the thread of the device."""
        if not isinstance(self.model.tokenizer, Tokenizer):
            self.model.max_seq_length = limit

    def encode(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """Return the token ids of each text."""
        encoded = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=special)
        return [one.ids for one in encoded]

    def batches(self, lengths: Sequence[int], reading: Reading) -> list[list[int]]:
        """Return indices of texts of similar length that are computed together."""
        if reading.deterministic:
            return [[index] for index in range(len(lengths))]
        budget = _BUDGETS.get(torch.device(self.device).type, _USUAL_BUDGET)
        batches: list[list[int]] = []
        # The longest first: every batch is padded to its first text.
        for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches


_models: WeakValueDictionary[tuple[object, ...], LoadedModel] = WeakValueDictionary()
_loading = threading.Lock()


def load_model(kind: type[SentenceTransformer] | type[CrossEncoder], source: Source) -> LoadedModel:
    """Load a model, or return the one that this process already holds."""
    key = (kind, source.folder.resolve(), source.device, source.dtype)
    with _loading:
        loaded = _models.get(key)
        if loaded is None:
            _check_weights(source)
            loaded = _models[key] = run_on_device(source.device, partial(_read_model, kind, source))
        return loaded


def _read_model(kind: type[SentenceTransformer] | type[CrossEncoder], source: Source) -> LoadedModel:
    try:
        model: Any = kind(
            str(source.folder),
            device=source.device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": source.dtype or "auto"},
        ).eval()
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnsupportedError(
            f"sentence-transformers cannot load {source.name!r}: {error} Expected a folder in its format, "
            "with safetensors weights and no code of its own."
        ) from error
    return LoadedModel(
        model=model,
        longest=min(model.max_seq_length or _UNLIMITED, _UNLIMITED),
        tokenizer=_plain_tokenizer(model, source.name),
        device=source.device,
    )


def _plain_tokenizer(model: Any, name: str) -> Tokenizer:
    """Return a tokenizer that cuts nothing, and let it and the model read special tokens in texts as text."""
    own = model.tokenizer
    backend = getattr(own, "backend_tokenizer", own)
    if not isinstance(backend, Tokenizer):
        raise ModelUnsupportedError(
            f"{name!r} has no tokenizer.json. Save its tokenizer again with transformers 5 or later."
        )
    special = getattr(own, "all_special_tokens", [])
    if own is backend:
        own.encode_special_tokens = True
    elif not any(token in prompt for prompt in model.prompts.values() for token in special):
        own.split_special_tokens = True
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_truncation()
    plain.no_padding()
    plain.encode_special_tokens = True
    return plain


def _check_weights(source: Source) -> None:
    """Refuse weights in formats that can run code.

    Raises:
        ModelUnsupportedError: A part of the model has only such weights.
    """
    for file in sorted(source.folder.rglob("pytorch_model*.bin")):
        if not weight_files(file.parent):
            raise ModelUnsupportedError(
                f"{str(file)!r} can run code and is not loaded, and no *.safetensors file stands beside it. "
                "Save the model again with a newer version of sentence-transformers."
            )


def saved_dimensions(folder: Path) -> int | None:
    """Return the length of the vectors as the files of a folder say; None if only the model can."""
    for module in reversed(read_json(folder / "modules.json", [])):
        kind = str(module["type"]).rpartition(".")[2]
        config = read_json(folder / str(module["path"]) / "config.json", {})
        if kind == "Dense":
            return int(config["out_features"])
        if kind == "Pooling":
            width = config.get("embedding_dimension") or config.get("word_embedding_dimension")
            return width * len(pooling_modes(config)) if width else None
        if kind not in ("Normalize", "Dropout", "LayerNorm"):
            return None
    return None


def _device(device: str | None) -> str:
    """Return the device asked for, by default the best there is."""
    if device is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device={device!r} is not there: {error}. Pass device='cpu', or leave it out for the best "
            "there is."
        ) from error
    return device
