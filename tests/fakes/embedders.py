"""Small real embedders and documents for tests: deterministic, no model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from qwen_agentkit.text.sparse import sparse_query


class BagOfWords(Embeddings):
    """Words hashed into a unit vector: texts that share words are near. Remembers what it was given."""

    def __init__(self, dimensions: int = 64, model: str = "bag-of-words") -> None:
        self.dimensions = dimensions
        self.model = model
        self.embedded: list[str] = []

    @property
    def fingerprint(self) -> dict[str, str]:
        return {"model": self.model, "revision": "1"}

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for index, weight in zip(*sparse_query(text, "en"), strict=True):
                vectors[row, zlib.crc32(str(index).encode()) % self.dimensions] += weight
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed_array(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.embed_array([text])[0].tolist()
        self.embedded.pop()
        return vector


class Broken(BagOfWords):
    """Gives NaN for texts that hold the word "broken"."""

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = super().embed_array(texts)
        vectors[["broken" in text for text in texts]] = np.nan
        return vectors


def count_words(texts: Sequence[str]) -> list[int]:
    """Stand in for a tokenizer: a word is a token, and so is each character of an unspaced script."""
    return [sum(len(word) if word[0] >= "\u2e80" else 1 for word in text.split()) for text in texts]
