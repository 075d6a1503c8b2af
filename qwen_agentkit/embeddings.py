"""`QwenEmbeddings`: Qwen3-Embedding as LangChain embeddings. Knows texts and vectors, no store."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from langchain_core.embeddings import Embeddings
from langchain_core.stores import ByteStore
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from tqdm.auto import tqdm

from qwen_agentkit.catalog import PRESETS, preset_checkpoint
from qwen_agentkit.embedding_cache import CachedVector, VectorCache, open_store
from qwen_agentkit.engine.checkpoint.identity import Identity, identify
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.checkpoint.tokens import encode
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward, token_batches
from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ModelError,
    ModelUnsupportedError,
    ServerUnsupportedError,
)
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, END_OF_TEXT, embedding_query
from qwen_agentkit.server.address import shown_address
from qwen_agentkit.server.embeddings import EmbeddingServer
from qwen_agentkit.server.http import Server
from qwen_agentkit.text.readable import named, readable, slices

__all__ = ["QwenEmbeddings"]

# Texts tokenised and looked up at once: bounds memory, and is enough to fill every batch.
_SLICE = 1024

_OTHERWISE = (
    "Embed with it through `langchain_huggingface.HuggingFaceEmbeddings(model_name=...)`, which fits "
    "wherever QwenEmbeddings does."
)


class QwenEmbeddings(BaseModel, Embeddings):
    """Qwen3-Embedding, in this process, or with `base_url` behind an OpenAI-compatible server.

    Documents are read as they are and queries with the instruction, byte for byte as the checkpoints
    were trained; the vector is the last hidden state of a final ``<|endoftext|>``, of length one.
    Weights load at the first call and are shared by everything in the process that uses them.

    Example:
        >>> embeddings = QwenEmbeddings(model="nano")
        >>> len(embeddings.embed_query("When does the library open?"))
        512
    """

    # pydantic would show what was passed, and a key with it.
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    model: str = "Qwen/Qwen3-Embedding-0.6B"
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What a query is for, in English whatever the language of the texts; "" for none."""

    dimensions: int | None = Field(default=None, gt=0)
    """Length of the vectors: the first so many numbers, scaled to length one (MRL). None: all."""

    max_length: int = Field(default=8192, gt=1)
    """Tokens read of a text, with the final one."""

    truncate: bool = True
    """Cut longer documents, with a warning that names them; False refuses them. Queries are never cut."""

    cache: str | Path | ByteStore | None = None
    """Folder or LangChain byte store of vectors computed before; a text found there loads no weights.

    Entries are kept apart by checkpoint, revision, number type, `max_length` and all that is read. They
    hold every dimension in fp16, 2 KB a text at 1024, and any `dimensions` is cut from them. With a cache
    all vectors are rounded so, found or new: their cosine to unrounded ones is above 0.999999."""

    deterministic: bool = False
    """Give a text the same bits whatever else is in the call, by reading one text at a time.

    Batches change the last bits of a sum (about 1e-7 in fp32, more in bf16). Costs speed where texts
    are short: nano-embedding in fp32 on a CPU took 1.7 times as long for 18 tokens, no longer for 215."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    adapter: str | None = None
    """LoRA adapter for this model: hub id, or a folder as peft saves it. Merged when the weights load, so it
    costs no speed; a model with one and the model without are loaded apart. Needs the extra `lora`."""

    quantize: Literal["int8", "fp8"] | None = None
    """Compute the linear layers in 8 bits, weights and activations: half the memory, a little less exact, and
    faster on CPUs with VNNI (1.3 times where bf16 products are fast, more where they are slow). "int8", or
    "fp8" on NVIDIA GPUs that multiply it; GPUs need the extra `torchao`, and round only weights in "int8".
    Vectors are labelled, so that stores and caches do not mix them with others."""

    base_url: str | None = None
    """Address of a server, such as "http://localhost:8000/v1", that has the model under the name `model`.

    The instruction, smaller dimensions and the cache are done here, so they work with any server. How texts
    are cut and in which number type they are read is the server's own. `revision` only labels the vectors:
    a store that was filled in this process wants the revision that it remembers."""

    api_key: SecretStr | None = None
    """With `base_url`: sent as a bearer token."""

    timeout: float | None = Field(default=None, gt=0)
    """With `base_url`: seconds of silence after which a request is given up. None: 600."""

    max_retries: int | None = Field(default=None, ge=0)
    """With `base_url`: times a request is sent again to a server that is busy or down. None: 2."""

    show_progress: bool = False
    """Draw a progress bar while embedding documents."""

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, "embedding") if model in PRESETS else model

    @model_validator(mode="after")
    def _check_place(self) -> QwenEmbeddings:
        if self.base_url is not None:
            names = ("device", "dtype", "adapter", "quantize", "max_length", "truncate", "deterministic")
            for name in names:
                if name in self.model_fields_set:
                    raise InputError(
                        f"{name}={getattr(self, name)!r} says how texts are read, which the server at "
                        f"{shown_address(self.base_url)} does by itself. Leave it out, or leave base_url out."
                    )
        return self

    @cached_property
    def _server(self) -> EmbeddingServer | None:
        if self.base_url is None:
            return None
        api_key = self.api_key.get_secret_value() if self.api_key else None
        server = Server(self.base_url, api_key=api_key, timeout=self.timeout, max_retries=self.max_retries)
        return EmbeddingServer(server, self.model)

    @cached_property
    def _identity(self) -> Identity:
        identity = identify(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            adapter=self.adapter,
            quantize=self.quantize,
        )
        _check_reading(identity)
        return identity

    @cached_property
    def _loaded(self) -> Loaded:
        return load(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            head=False,
            adapter=self.adapter,
            quantize=self.quantize,
        )

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """What a store has to remember of the maker of its vectors. Loads no weights.

        A server tells no revision: what it says it serves, and the length of its whole vectors, stand there.
        """
        if self._server:
            served = self.revision or f"server: {self._server.served}, {self._server.dimensions}"
            return {"model": self.model, "revision": served, "dimensions": self._dimensions()}
        return {
            "model": self._identity.name,
            "revision": self._identity.revision,
            "dimensions": self._dimensions(),
        }

    def with_instruction(self, instruction: str) -> QwenEmbeddings:
        """A copy with another instruction for queries, sharing the weights and the cache."""
        return self.model_copy(update={"instruction": instruction})

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the final one.

        Raises:
            ServerUnsupportedError: With `base_url`, since there is no tokenizer in this process.
        """
        if self.base_url is not None:
            raise ServerUnsupportedError(
                f"The server at {shown_address(self.base_url)} is not asked for tokens. Count them with the "
                f"checkpoint, QwenEmbeddings(model={self.model!r}).count_tokens(texts), or by characters."
            )
        return [len(ids) for ids in self._loaded.encode_data(readable(texts, stacklevel=3))]

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of documents as one array, (len(texts), dimensions), each row of length one.

        Equal texts are computed once. Beside the array, memory does not grow with the number of texts.
        An empty text has a vector too, that of the final token alone.

        Raises:
            InputError: a text is no string, or the checkpoint has fewer dimensions than asked for.
            InputTooLongError: a text is too long, and `truncate` is False.
            ModelError: the checkpoint gave vectors that are not numbers.
        """
        return self._embed(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, as LangChain's interface wants them: eight times the memory of the array."""
        vectors: list[list[float]] = self._embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Vector of a query, read with the instruction.

        Raises:
            InputTooLongError: the query does not fit: half a question has another answer.
        """
        [query] = readable([text], stacklevel=3)
        try:
            vector: list[float] = self._embed([self._as_query(query)], query=True)[0].tolist()
        except InputTooLongError as error:
            if self._server:
                raise
            raise InputTooLongError(
                f"The query {text[:60]!r}... has too many tokens with its instruction; at most "
                f"{self._limit} fit. Ask a shorter question, or raise max_length."
            ) from error
        return vector

    def _as_query(self, text: str) -> str:
        """What is read for a query."""
        return embedding_query(self.instruction, self._query_gap + text) if self.instruction else text

    @property
    def _limit(self) -> int:
        """Tokens read of a text, without the final one."""
        return min(self.max_length, int(self._identity.config.max_position_embeddings)) - 1

    @property
    def _full_dimensions(self) -> int:
        if self._server:
            return self._server.dimensions
        return int(self._identity.config.hidden_size)

    @cached_property
    def _query_gap(self) -> str:
        """What stands between "Query:" and a query: nothing for Qwen3, a space for gte-Qwen2 by its file."""
        if self._server:
            return " " if "gte-qwen2" in self.model.lower() else ""
        prompts = _small_json(self._identity.folder / "config_sentence_transformers.json").get("prompts", {})
        return " " if str(prompts.get("query", "")).endswith("\nQuery: ") else ""

    def _dimensions(self) -> int:
        full = self._full_dimensions
        if self.dimensions and self.dimensions > full:
            raise InputError(
                f"dimensions={self.dimensions} is more than the {full} of {self.model!r}; "
                f"choose {full} or fewer."
            )
        return self.dimensions or full

    def _embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        texts = readable(texts)
        vectors = np.empty((len(texts), self._dimensions()), dtype=np.float32)
        first: dict[str, int] = {}
        sources = [first.setdefault(text, index) for index, text in enumerate(texts)]
        long: list[int] = []
        # A bar takes longer to make, even one that is not shown, than a short text to tokenise.
        progress = tqdm(total=len(first), unit="text") if self.show_progress else nullcontext()
        with progress as bar:
            for part in slices(list(first.values()), _SLICE):
                full, cut = self._vectors([texts[index] for index in part], query, bar)
                vectors[part] = _shortened(full, vectors.shape[1])
                long += [index for index, was_cut in zip(part, cut, strict=True) if was_cut]
        if long:
            warnings.warn(
                f"{len(long)} of {len(first)} texts are longer than max_length={self._limit + 1} tokens: the "
                f"ends are not embedded of {named(long, texts)}. Split them, or raise max_length.",
                stacklevel=3,
            )
        again = [index for index, source in enumerate(sources) if index != source]
        vectors[again] = vectors[[sources[index] for index in again]]
        return vectors

    def _vectors(
        self, texts: Sequence[str], query: bool, bar: tqdm | None
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """Vectors of different texts, (len(texts), full dimensions), and which texts were cut."""
        cache = self._cache()
        found = cache.read(texts) if cache else [None] * len(texts)
        missing = [index for index, entry in enumerate(found) if entry is None]
        cut = [entry is not None and entry.cut for entry in found]
        new = [texts[index] for index in missing]
        ids = encode(self._loaded, new, self._limit) if new and not self._server else [[] for _ in new]
        for index, tokens in zip(missing, ids, strict=True):
            cut[index] = bool(tokens) and len(tokens) > self._limit
        if any(cut) and (query or not self.truncate):
            text = texts[cut.index(True)]
            raise InputTooLongError(
                f"The text {text[:60]!r}... is longer than the {self._limit} tokens that fit. "
                "Split it, raise max_length, or set truncate=True to leave its end out."
            )
        vectors = np.empty((len(texts), self._full_dimensions), dtype=np.float32)
        if self._server:
            vectors[missing] = self._server.embed(new)
            _advance(bar, len(new))
        else:
            vectors[missing] = self._compute(ids, query, bar)
        if cache:
            rounded = vectors[missing].astype(np.float16)
            rows = zip(missing, rounded, strict=True)
            cache.write({texts[index]: CachedVector(row, cut[index]) for index, row in rows})
            vectors[missing] = rounded
        for index, entry in enumerate(found):
            if entry is not None:
                vectors[index] = entry.vector
        _advance(bar, len(texts) - len(missing))
        return vectors, cut

    def _compute(self, ids: Sequence[list[int]], query: bool, bar: tqdm | None) -> NDArray[np.float32]:
        """Vectors of token ids, (len(ids), full dimensions), each row of length one."""
        vectors = np.empty((len(ids), self._full_dimensions), dtype=np.float32)
        if not ids:
            return vectors
        loaded, limit = self._loaded, self._limit
        end = loaded.token_id(END_OF_TEXT)
        read = self._after_instruction if query and self.instruction else Segment
        segments = [read([*tokens[:limit], end]) for tokens in ids]
        # A budget of one token gives every text a forward of its own.
        budget = 1 if self.deterministic else loaded.token_budget
        for batch in token_batches([len(segment.tokens) for segment in segments], budget):
            rows = [segments[i] for i in batch]
            vectors[batch] = loaded.compute(partial(_directions, loaded, rows))
            if not np.isfinite(vectors[batch]).all():
                raise ModelError(
                    f"{self.model!r} gave vectors that are not numbers in {loaded.dtype}; try "
                    "dtype='float32', and if that gives the same, download its weights again."
                )
            _advance(bar, len(batch))
        return vectors

    def _after_instruction(self, tokens: list[int]) -> Segment:
        """The part of a query's tokens that is its own; those of the instruction were run before."""
        head, cache = self._instruction_read()
        if tokens[: len(head)] != head:
            return Segment(tokens)
        return Segment(tokens[len(head) :], cache, keep=False)

    @cached_property
    def _instructions(self) -> dict[str, tuple[list[int], KVCache]]:
        """Tokens of instructions, and their keys and values."""
        return {}

    def _instruction_read(self) -> tuple[list[int], KVCache]:
        """The instruction's entry, made at the first query."""
        if self.instruction not in self._instructions:
            loaded = self._loaded
            # The colon at the end may be one token with what a query begins with.
            tokens = loaded.encode_data([embedding_query(self.instruction, "")])[0][:-1]
            cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
            loaded.compute(partial(forward, loaded.model, [Segment(tokens, cache)]))
            self._instructions[self.instruction] = tokens, cache
        return self._instructions[self.instruction]

    def _cache(self) -> VectorCache | None:
        if self.cache is None:
            return None
        embedder: dict[str, str | int | bool]
        if self._server:
            # Two servers may read a model in two number types, and one may serve another under its name.
            embedder = {"model": self.model, "revision": self.revision or "", "server": str(self.base_url)}
            embedder["served"] = self._server.served
            return VectorCache(open_store(self.cache), embedder, self._full_dimensions)
        embedder = {
            "model": self._identity.name,
            "revision": self._identity.revision,
            "dtype": str(self._identity.dtype),
            "tokens": self._limit,
            "deterministic": self.deterministic,
        }
        return VectorCache(open_store(self.cache), embedder, self._full_dimensions)


def _advance(bar: tqdm | None, texts: int) -> None:
    if bar is not None:
        bar.update(texts)


def _directions(loaded: Loaded, segments: Sequence[Segment]) -> NDArray[np.float32]:
    """Hidden state of the last token of each segment, scaled to length one."""
    hidden = forward(loaded.model, segments).float()
    rows: NDArray[np.float32] = torch.nn.functional.normalize(hidden, dim=-1).cpu().numpy()
    return rows


def _shortened(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first `dimensions` numbers of each row, scaled to length one."""
    short = vectors[:, :dimensions]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    unit: NDArray[np.float32] = short / np.maximum(lengths, np.float32(1e-12))
    return unit


def _check_reading(identity: Identity) -> None:
    """Refuse a checkpoint whose own files say that its vectors are read in another way.

    Raises:
        ModelUnsupportedError: it does; its vectors would be wrong without any other sign.
    """
    reason = None
    if not getattr(identity.config, "is_causal", True):
        reason = "attends in both directions"
    for module in _small_json(identity.folder / "modules.json", default=[]):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _small_json(identity.folder / str(module.get("path", "")) / "config.json")
            if _modes(pooling) != ["lasttoken"]:
                reason = "does not pool the last token"
        elif kind not in ("Transformer", "Normalize"):
            reason = f"has a {kind} layer on top"
    if reason:
        raise ModelUnsupportedError(
            f"{identity.name!r} {reason}, which QwenEmbeddings does not compute. {_OTHERWISE}"
        )


def _modes(pooling: dict[str, Any]) -> list[str]:
    """Pooling modes of a sentence-transformers file: newer ones name it, older ones have a switch a mode."""
    if "pooling_mode" in pooling:
        named_mode = pooling["pooling_mode"]
        return [named_mode] if isinstance(named_mode, str) else list(named_mode)
    start = "pooling_mode_"
    return [key.removeprefix(start) for key, on in pooling.items() if key.startswith(start) and on]


def _small_json(path: Path, default: Any = None) -> Any:
    """Content of a file that a checkpoint may lack, else `default` or an empty dictionary."""
    if not path.is_file():
        return {} if default is None else default
    return json.loads(path.read_text(encoding="utf-8"))
