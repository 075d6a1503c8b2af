"""`QwenEmbeddings`: embedding models as LangChain embeddings. Knows texts and vectors, no store."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.stores import ByteStore
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from tqdm.auto import tqdm

from qwen_agentkit.backends.choosing import SENTENCE_TRANSFORMERS, embedder_backend
from qwen_agentkit.backends.engine_embedder import EngineEmbedder
from qwen_agentkit.backends.interfaces import Embedder, Progress, Reading, refuse_cut_texts
from qwen_agentkit.backends.settings import ModelSettings
from qwen_agentkit.catalog import Role
from qwen_agentkit.embedding_cache import CachedVector, VectorCache, open_store
from qwen_agentkit.engine.checkpoint.finding import find
from qwen_agentkit.errors import InputError, InputTooLongError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from qwen_agentkit.text.readable import named, readable, slices

__all__ = ["QwenEmbeddings"]

# Texts tokenized and looked up at once: bounds memory, and is enough to fill every batch.
_SLICE = 1024


class QwenEmbeddings(ModelSettings, Embeddings):
    """An embedding model, in this process, or with `base_url` behind an OpenAI-compatible server.

    Qwen3-Embedding and its fine-tunes run on this package's packed engine: documents are read as they are
    and queries with the instruction, byte for byte as the checkpoints were trained. Any other embedder, and
    any folder in sentence-transformers' own format, runs through sentence-transformers with the prompts,
    pooling and layers that its folder names. All vectors have length one. Weights load at the first call and
    are shared by everything in the process that uses them.

    Example:
        >>> embeddings = QwenEmbeddings(model="nano")
        >>> len(embeddings.embed_query("When does the library open?"))
        512
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    role: ClassVar[Role] = "embedding"
    local_settings: ClassVar[tuple[str, ...]] = (
        *("device", "dtype", "engine", "adapter", "quantize", "max_length", "truncate", "deterministic"),
    )

    model: str = "Qwen/Qwen3-Embedding-0.6B"
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What a query is for, in English whatever the language of the texts; "" for no prompt. Left out, queries
    are read with the prompt that the checkpoint's own files name, if they name one."""

    dimensions: int | None = Field(default=None, gt=0)
    """Length of the vectors: the first so many numbers, scaled to length one (MRL). None: all."""

    max_length: int = Field(default=8192, gt=1)
    """Most tokens read of a text, special tokens included; no more than the checkpoint reads."""

    truncate: bool = True
    """Cut longer documents, with a warning that names them; False refuses them. Queries are never cut."""

    cache: str | Path | ByteStore | None = None
    """Folder or LangChain byte store of vectors computed before; a text found there loads no weights.

    Entries are kept apart by checkpoint, revision, number type, `max_length` and all that is read. They
    hold every dimension in fp16, 2 KB a text at 1024, and any `dimensions` is cut from them. With a cache
    all vectors are rounded so, found or new: their cosine to unrounded ones is above 0.999999."""

    deterministic: bool = False
    """Give a text the same bits whatever else is in the call, by computing one text at a time.

    Batches change the last bits of a sum (about 1e-7 in fp32, more in bf16). Costs speed where texts
    are short: nano-embedding in fp32 on a CPU took 1.7 times as long for 18 tokens, no longer for 215."""

    quantize: Literal["int8", "fp8"] | None = None
    """Compute the linear layers in 8 bits, weights and activations: half the memory, a little less exact, and
    faster on CPUs with VNNI (1.3 times where bf16 products are fast, more where they are slow). "int8", or
    "fp8" on NVIDIA GPUs that multiply it; GPUs need the extra `torchao`, and round only weights in "int8".
    Vectors are labeled, so that stores and caches do not mix them with others."""

    base_url: str | None = None
    """Address of a server, such as "http://localhost:8000/v1", that has the model under the name `model`.

    The instruction, smaller dimensions and the cache are done here, so they work with any server. How texts
    are cut and in which number type they are computed is up to the server. `revision` only labels the
    vectors: a store that was filled in this process wants the revision that it remembers."""

    show_progress: bool = False
    """Draw a progress bar while embedding documents."""

    @cached_property
    def _backend(self) -> Embedder:
        """What computes the vectors."""
        if self.base_url is not None:
            from qwen_agentkit.backends.server_models import ServerEmbedder  # needs an HTTP client

            return ServerEmbedder(self._server(), self.base_url, self.model, self.revision)
        if self._runs_in_llama:
            from qwen_agentkit.backends.llama_embedder import LlamaEmbedder  # needs an extra

            return LlamaEmbedder(self.model, self.device)
        if embedder_backend(find(self.model, revision=self.revision)) == SENTENCE_TRANSFORMERS:
            from qwen_agentkit.backends.sentence_models import SentenceEmbedder  # slow to import

            return SentenceEmbedder(self.model, **self._weights())
        return EngineEmbedder(self.model, **self._weights())

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """What a store has to remember of the model that made its vectors. Loads no weights.

        A server tells no revision: its entry names what it says it serves and the length of its vectors.
        """
        return {
            "model": self._backend.name,
            "revision": self._backend.revision,
            "dimensions": self._dimensions(),
        }

    def with_instruction(self, instruction: str) -> QwenEmbeddings:
        """Return a copy with another instruction for queries, which shares the weights and the cache."""
        return self.model_copy(update={"instruction": instruction})

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens.

        Raises:
            ServerUnsupportedError: With `base_url`, since there is no tokenizer in this process.
        """
        plain = readable(texts, stacklevel=3)
        with self._use():
            return self._backend.count_tokens(plain)

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of documents as one array, (len(texts), dimensions), each row of length one.

        Equal texts are computed once. Beside the array, memory does not grow with the number of texts.
        An empty text has a vector too, that of its special tokens alone.

        Raises:
            InputError: A text is no string, or the checkpoint has fewer dimensions than asked for.
            InputTooLongError: A text is too long, and `truncate` is False.
            ModelError: The checkpoint gave vectors that are not numbers.
        """
        return self._embed(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return vectors of documents as lists, in LangChain's form: eight times the memory of the array."""
        vectors: list[list[float]] = self._embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query, read with the instruction.

        Raises:
            InputError: The checkpoint reads no instruction, and one was given.
            InputTooLongError: The query does not fit: half a question has another answer.
        """
        [query] = readable([text], stacklevel=3)
        try:
            vector: list[float] = self._embed([query], query=True)[0].tolist()
        except InputTooLongError as error:
            if self.base_url is not None:
                raise
            raise InputTooLongError(
                f"The query {text[:60]!r}... has too many tokens with its instruction; at most "
                f"{self._backend.limit(self.max_length)} fit. Ask a shorter question, or raise max_length."
            ) from error
        return vector

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of queries as one array, (len(texts), dimensions); errors as in `embed_query`."""
        return self._embed(texts, query=True)

    @property
    def query_prompt(self) -> str:
        """What is read before a query."""
        return self._prompt(query=True)

    def _prompt(self, *, query: bool) -> str:
        """Return what is read before a text."""
        if not query:
            return self._backend.document_prompt
        given = "instruction" in self.model_fields_set
        return self._backend.query_prompt(self.instruction if given else None)

    def _dimensions(self) -> int:
        full = self._backend.dimensions
        if self.dimensions and self.dimensions > full:
            raise InputError(
                f"dimensions={self.dimensions} is more than the {full} of {self.model!r}; "
                f"choose {full} or fewer."
            )
        return self.dimensions or full

    def _embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        texts = readable(texts)
        with self._use():
            return self._embed_loaded(texts, query=query)

    def _embed_loaded(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), self._dimensions()), dtype=np.float32)
        first: dict[str, int] = {}
        sources = [first.setdefault(text, index) for index, text in enumerate(texts)]
        long: list[int] = []
        # A bar takes longer to make, even one that is not shown, than a short text to tokenize.
        with tqdm(total=len(first), unit="text") if self.show_progress else nullcontext() as bar:
            progress = bar.update if bar is not None else _ignore
            for part in slices(list(first.values()), _SLICE):
                full, cut = self._vectors([texts[index] for index in part], query, progress)
                vectors[part] = _shorten(full, vectors.shape[1])
                long += [index for index, was_cut in zip(part, cut, strict=True) if was_cut]
        if long:
            warnings.warn(
                f"{len(long)} of {len(first)} texts are longer than "
                f"max_length={self._backend.limit(self.max_length)} tokens: the ends are not embedded of "
                f"{named(long, texts)}. Split them, or raise max_length if the model reads more.",
                stacklevel=4,
            )
        again = [index for index, source in enumerate(sources) if index != source]
        vectors[again] = vectors[[sources[index] for index in again]]
        return vectors

    def _vectors(
        self, texts: Sequence[str], query: bool, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """Return whole vectors of different texts, (len(texts), all dimensions), and which texts were cut."""
        backend, prompt = self._backend, self._prompt(query=query)
        reading = Reading(self.max_length, self.truncate and not query, self.deterministic, query)
        cache = self._open_cache(reading)
        found = cache.read([prompt + text for text in texts]) if cache else [None] * len(texts)
        cut = [entry is not None and entry.cut for entry in found]
        if any(cut) and not reading.may_cut:
            refuse_cut_texts(texts, cut, backend.limit(self.max_length))
        vectors = np.empty((len(texts), backend.dimensions), dtype=np.float32)
        missing = []
        for index, entry in enumerate(found):
            if entry is None:
                missing.append(index)
            else:
                vectors[index] = entry.vector
        progress(len(texts) - len(missing))
        if missing:
            new = [texts[index] for index in missing]
            computed, was_cut = backend.embed(new, prompt, reading, progress)
            for index, one in zip(missing, was_cut, strict=True):
                cut[index] = one
            if cache:
                rounded = computed.astype(np.float16)
                entries = map(CachedVector, rounded, was_cut)
                cache.write({prompt + text: entry for text, entry in zip(new, entries, strict=True)})
                computed = rounded.astype(np.float32)
            vectors[missing] = computed
        return vectors, cut

    def _open_cache(self, reading: Reading) -> VectorCache | None:
        if self.cache is None:
            return None
        backend = self._backend
        return VectorCache(open_store(self.cache), backend.cache_key(reading), backend.dimensions)


def _ignore(count: int) -> None:
    """Report progress to nobody."""


def _shorten(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the first `dimensions` numbers of each row, scaled to length one."""
    short = vectors[:, :dimensions]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    unit: NDArray[np.float32] = short / np.maximum(lengths, np.float32(1e-12))
    return unit
