"""Checks the vectors of an embedder, and that a collection holds vectors of one embedder only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.vectorstores.backend import Backend

__all__ = ["EmbedderGuard"]


class EmbedderGuard:
    """Checks what one embedder and one collection exchange."""

    def __init__(self, embedding: Embeddings, store: Backend) -> None:
        self._embedding = embedding
        self._store = store
        self._warned = False

    def embed(self, texts: Sequence[str]) -> Any:
        """Embed documents; the rows are whatever the embedder returns."""
        array = getattr(self._embedding, "embed_array", None)
        return array(list(texts)) if array else self._embedding.embed_documents(list(texts))

    def accept(
        self, rows: Any, texts: Sequence[str], payloads: Sequence[dict[str, Any]]
    ) -> NDArray[np.float32]:
        """Check the vectors of documents that are to be written, and create the collection if needed.

        Returns:
            The vectors, of shape (len(texts), dimensions).

        Raises:
            InputError: The embedder returned a wrong number of vectors, unequal lengths, NaN or infinity;
                the message names the first such document.
            StoreMismatchError: Another embedder, or other software, made the collection.
        """
        vectors = self._as_array(rows, len(texts))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            name = payloads[bad[0]]["metadata"].get("source") or texts[bad[0]][:60]
            raise InputError(
                f"The vector of document {name!r} holds NaN or infinity; expected numbers. Try "
                "dtype='float32', or leave the document out."
            )
        if self._store.dimensions is None:
            self._store.create(vectors.shape[1], _fingerprint(self._embedding, vectors.shape[1]))
        self.check_maker(vectors.shape[1])
        return vectors

    def check_maker(self, dimensions: int) -> None:
        """Check that vectors of this length may be added.

        Raises:
            StoreMismatchError: Another embedder, or other software, made the collection.
        """
        mine = _fingerprint(self._embedding, dimensions)
        if self._store.dimensions is None:
            return
        if self._store.dimensions != dimensions or self._store.maker != mine:
            raise StoreMismatchError(f"{self._describe_mismatch(mine)} Nothing was written.")

    def check_query(self, vector: Sequence[float]) -> None:
        """Refuse a query vector that cannot be compared; warn once if another embedder made the store."""
        if self._store.dimensions is None:
            return
        mine = _fingerprint(self._embedding, len(vector))
        if not np.isfinite(vector).all():
            raise InputError(
                f"The vector of the query holds NaN or infinity; expected numbers. Check {mine['model']!r}."
            )
        if self._store.dimensions != len(vector):
            raise StoreMismatchError(self._describe_mismatch(mine))
        if self._store.maker not in (None, mine) and not self._warned:
            self._warned = True
            warnings.warn(f"{self._describe_mismatch(mine)} Results may be poor.", stacklevel=4)

    def _as_array(self, rows: Any, count: int) -> NDArray[np.float32]:
        name = type(self._embedding).__name__
        try:
            vectors = np.asarray(rows, dtype=np.float32)
        except ValueError as error:
            raise InputError(
                f"{name} returned vectors of unequal lengths; expected one length. Check the embedder."
            ) from error
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
            raise InputError(
                f"{name} returned an array of shape {vectors.shape}; expected ({count}, dimensions). "
                "Check the embedder."
            )
        return vectors

    def _describe_mismatch(self, mine: dict[str, Any]) -> str:
        made = self._store.maker or f"other software, with {self._store.dimensions} dimensions,"
        return (
            f"The store was made by {made} and the embedder here is {mine}; expected the same. Open it with "
            "that embedder, or ingest into another store."
        )


def _fingerprint(embedding: Embeddings, dimensions: int) -> dict[str, Any]:
    """Identify an embedder by its ``fingerprint``, or by its class and its ``model`` or ``model_name``."""
    own = getattr(embedding, "fingerprint", None) or {}
    model = getattr(embedding, "model", None) or getattr(embedding, "model_name", None)
    name = type(embedding).__name__
    return {
        "model": own.get("model") or (f"{name}({model})" if isinstance(model, str) else name),
        "revision": own.get("revision"),
        "dimensions": dimensions,
    }
