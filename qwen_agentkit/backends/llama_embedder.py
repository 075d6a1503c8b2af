"""Vectors of GGUF files by llama.cpp. Knows token ids and JSON, no instructions.

Texts become token ids here and end with the end-of-text token, where the vector is read: as by the packed
engine, whatever the file says of it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.backends.embed_tokens import embed_tokens
from qwen_agentkit.backends.interfaces import Progress, Reading
from qwen_agentkit.engine.llama.model import GgufFile, LlamaModel, load_llama
from qwen_agentkit.errors import ModelError
from qwen_agentkit.prompts import query_prompt

__all__ = ["LlamaEmbedder"]

# Texts of one call of llama.cpp.
_BATCH = 32


class LlamaEmbedder:
    """An `Embedder` of a GGUF file.

    Args:
        model: Path of the file.
        device: "cpu"; None for a GPU, too, where the binding was built for it.
    """

    def __init__(self, model: str, device: str | None) -> None:
        self._model, self._device = model, device

    @cached_property
    def _file(self) -> GgufFile:
        """What is known of the file before its weights are mapped."""
        return GgufFile(self._model)

    @cached_property
    def loaded(self) -> LlamaModel:
        """The file in llama.cpp."""
        return load_llama(self._model, "embedding", device=self._device)

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return self._file.name

    @property
    def revision(self) -> str:
        """See `Embedder`."""
        return self._file.revision

    @property
    def dimensions(self) -> int:
        """See `Embedder`."""
        return self._file.width

    @property
    def document_prompt(self) -> str:
        """See `Embedder`."""
        return ""

    def query_prompt(self, instruction: str | None) -> str:
        """See `Embedder`."""
        return query_prompt(instruction, None)

    def limit(self, max_length: int) -> int:
        """See `Embedder`."""
        return min(max_length, self._file.context - 1)  # llama.cpp keeps one place free

    def cache_key(self, reading: Reading) -> dict[str, str | int | bool]:
        """See `Embedder`."""
        return {
            "model": self.name,
            "revision": self.revision,
            "tokens": self.limit(reading.max_length) - 1,
            "deterministic": reading.deterministic,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`."""
        return [len(ids) for ids in self.loaded.encode_data(texts)]

    def embed(
        self, texts: Sequence[str], prompt: str, reading: Reading, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """See `Embedder`."""
        loaded, limit = self.loaded, self.limit(reading.max_length)
        whole, cut = embed_tokens(loaded, texts, prompt, limit, reading)
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(whole[index]))
        size = 1 if reading.deterministic else _BATCH
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            vectors[batch] = self._read([whole[index] for index in batch])
            progress(len(batch))
        return vectors, cut

    def _read(self, texts: Sequence[list[int]]) -> NDArray[np.float32]:
        """Return the vectors of texts as token ids, (len(texts), dimensions)."""
        body = {"input": texts, "encoding_format": "base64"}
        answer = self.loaded.ask("embeddings", max(map(len, texts)) + 1, body)
        rows = sorted(answer["data"], key=lambda row: row["index"])
        vectors = np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in rows])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise ModelError(
                f"{self.name!r} gave vectors that are not numbers. Download it again, or pass engine='torch'."
            )
        unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
        return unit
