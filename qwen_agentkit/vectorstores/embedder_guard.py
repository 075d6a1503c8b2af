"""The embedder of a collection: vectors that can be trusted, and no mixing of two embedders in one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.vectorstores.points import Backend

__all__ = ["Guard"]


class Guard:
    """Stands between one embedder and one collection."""

    def __init__(self, embedding: Embeddings, store: Backend) -> None:
        self._embedding = embedding
        self._store = store
        self._warned = False

    def embed(self, texts: Sequence[str], payloads: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Embed documents for writing, as one array (len(texts), dim), and make the collection if needed.

        Raises:
            InputError: The embedder gave another number of vectors, unequal lengths, NaN or infinity;
                the message names the first such document.
            StoreMismatchError: Another embedder, or unknown software, made the collection.
        """
        vectors = self._vectors(texts)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            name = payloads[bad[0]]["metadata"].get("source") or texts[bad[0]][:60]
            raise InputError(
                f"the vector of document {name!r} holds NaN or infinity, expected numbers; "
                f"try dtype='float32', or leave the document out"
            )
        if self._store.dimensions is None:
            self._store.create(vectors.shape[1], _fingerprint(self._embedding, vectors.shape[1]))
        self.check_maker(vectors.shape[1])
        return vectors

    def check_maker(self, dimensions: int) -> None:
        """Refuse to add vectors of this length to a collection of another embedder.

        Raises:
            StoreMismatchError: Another embedder, or unknown software, made the collection.
        """
        mine = _fingerprint(self._embedding, dimensions)
        if self._store.dimensions is None:
            return
        if self._store.dimensions != dimensions or self._store.maker != mine:
            raise StoreMismatchError(self._difference(mine) + "; nothing was written")

    def check_query(self, vector: Sequence[float]) -> None:
        """Refuse a query vector that cannot be compared, warn once of one that means something else."""
        if self._store.dimensions is None:
            return
        mine = _fingerprint(self._embedding, len(vector))
        if not np.isfinite(vector).all():
            raise InputError(
                f"the query's vector holds NaN or infinity, expected numbers; check {mine['model']!r}"
            )
        if self._store.dimensions != len(vector):
            raise StoreMismatchError(self._difference(mine))
        if self._store.maker not in (None, mine) and not self._warned:
            self._warned = True
            warnings.warn(f"{self._difference(mine)}; results may be poor", stacklevel=5)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        array = getattr(self._embedding, "embed_array", None)
        rows = array(list(texts)) if array else self._embedding.embed_documents(list(texts))
        name = type(self._embedding).__name__
        try:
            vectors = np.asarray(rows, dtype=np.float32)
        except ValueError as error:
            raise InputError(
                f"{name} gave vectors of unequal lengths, expected one length for all"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise InputError(f"{name} gave an array of shape {vectors.shape}, expected ({len(texts)}, dim)")
        return vectors

    def _difference(self, mine: dict[str, Any]) -> str:
        made = self._store.maker or f"other software, with {self._store.dimensions} dimensions,"
        return (
            f"the store was made by {made} and the embedder here is {mine}, expected the same; "
            f"open it with that embedder, or ingest into another store"
        )


def _fingerprint(embedding: Embeddings, dimensions: int) -> dict[str, Any]:
    """Name an embedder: its own ``fingerprint``, else its class and its ``model`` or ``model_name``."""
    own = getattr(embedding, "fingerprint", None) or {}
    model = getattr(embedding, "model", None) or getattr(embedding, "model_name", None)
    name = type(embedding).__name__
    return {
        "model": own.get("model") or (f"{name}({model})" if isinstance(model, str) else name),
        "revision": own.get("revision"),
        "dimensions": dimensions,
    }
