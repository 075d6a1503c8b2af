"""Checks the vectors of an embedder, and that a collection holds vectors of one embedder only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.points import Layout, Quantization

__all__ = ["EmbedderGuard"]


class EmbedderGuard:
    """Checks what one embedder and one collection exchange."""

    def __init__(
        self,
        embedding: Embeddings,
        store: Backend,
        quantization: Quantization | None = None,
        first_stage: int | None = None,
    ) -> None:
        self._embedding = embedding
        self._store = store
        self._wanted = {"quantization": quantization, "first_stage": first_stage}
        self._warned = False
        self.check_layout()

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
            InputError: The embedder returned a wrong number of vectors, unequal lengths, NaN, infinity or
                zeros; the message names the first such document.
            StoreMismatchError: Another embedder, or other software, made the collection.
        """
        vectors = self._as_array(rows, len(texts))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            lengths = np.einsum("ij,ij->i", vectors, vectors)  # of squares, as cosines need them
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(bad):
            name = payloads[bad[0]]["metadata"].get("source") or texts[bad[0]][:60]
            raise InputError(
                f"The vector of document {name!r} holds NaN or infinity, or is zero; expected numbers with a "
                "direction. Try dtype='float32', or leave the document out."
            )
        dimensions = vectors.shape[1]
        if self._store.layout is None:
            layout = self._layout(dimensions)
            self._store.create(layout, _fingerprint(self._embedding, dimensions))
        self.check_maker(dimensions)
        self.check_layout()
        return vectors

    def check_maker(self, dimensions: int) -> None:
        """Check that vectors of this length may be added.

        Raises:
            StoreMismatchError: Another embedder, or other software, made the collection.
        """
        mine = _fingerprint(self._embedding, dimensions)
        layout = self._store.layout
        if layout is None:
            return
        if layout.dimensions != dimensions or self._store.maker != mine:
            raise StoreMismatchError(f"{self._describe_mismatch(mine)} Nothing was written.")

    def check_layout(self) -> None:
        """Refuse a collection whose vectors are kept in another way than this store was told.

        Raises:
            StoreMismatchError: They are.
        """
        layout = self._store.layout
        for name, wanted in self._wanted.items():
            if layout is not None and wanted is not None and getattr(layout, name) != wanted:
                raise StoreMismatchError(
                    f"The store was made with {name}={getattr(layout, name)!r}; expected {wanted!r}. Leave "
                    "the argument out to use it as it is, or ingest into another store."
                )

    def _layout(self, dimensions: int) -> Layout:
        layout = Layout(dimensions, **self._wanted)  # type: ignore[arg-type]  # each value has its key's type
        if layout.first_stage is not None and not 0 < layout.first_stage < dimensions:
            raise InputError(
                f"first_stage is {layout.first_stage!r}; expected 1 to {dimensions - 1}, less than the "
                "vectors have. Leave it out."
            )
        return layout

    def check_query(self, vector: Sequence[float]) -> None:
        """Refuse a query vector that cannot be compared; warn once if another embedder made the store."""
        layout = self._store.layout
        if layout is None:
            return
        mine = _fingerprint(self._embedding, len(vector) if isinstance(vector, Sized) else 0)
        try:
            with np.errstate(over="ignore"):
                numbers = np.asarray(vector, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The vector of the query is {vector!r:.60}; expected a list of numbers."
            ) from error
        if not np.isfinite(numbers).all():
            raise InputError(
                f"The vector of the query holds NaN or infinity; expected numbers. Check {mine['model']!r}."
            )
        if numbers.shape != (layout.dimensions,):
            raise StoreMismatchError(self._describe_mismatch(mine))
        if self._store.maker not in (None, mine) and not self._warned:
            self._warned = True
            warnings.warn(f"{self._describe_mismatch(mine)} Results may be poor.", stacklevel=4)

    def _as_array(self, rows: Any, count: int) -> NDArray[np.float32]:
        name = type(self._embedding).__name__
        try:
            vectors = np.ascontiguousarray(rows, dtype=np.float32)
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
        layout = self._store.layout
        made = self._store.maker or f"other software, with {layout and layout.dimensions} dimensions,"
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
