"""What is added to a store, before its vectors are known: texts, ids and payloads. Knows no embedder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.ids import check_unique, make_ids
from qwen_agentkit.vectorstores.points import Point, make_payload, make_point
from qwen_agentkit.vectorstores.search import check_k

__all__ = ["NewTexts", "prepare_texts"]

_NUMBERS_PER_WRITE = 1 << 19
"""Vector components written at a time: about 8 MB as JSON, where servers accept 32 MB."""


@dataclass(frozen=True)
class NewTexts:
    """Checked texts with their ids and payloads, and the most of them that are written at a time."""

    texts: list[str]
    ids: list[str]
    payloads: list[dict[str, Any]]
    batch_size: int | None

    def parts(self, vectors: NDArray[np.float32]) -> Iterator[slice]:
        """Yield which rows are written together."""
        rows = max(1, _NUMBERS_PER_WRITE // vectors.shape[1])
        rows = min(rows, self.batch_size or rows)
        yield from (slice(start, start + rows) for start in range(0, len(self.ids), rows))

    def make_points(self, vectors: NDArray[np.float32], part: slice) -> list[Point]:
        """Return the points of some rows, with their word vectors."""
        rows = zip(self.ids[part], vectors[part], self.payloads[part], strict=True)
        return [make_point(*row) for row in rows]


def prepare_texts(
    backend: Backend,
    texts: Iterable[str],
    metadatas: Sequence[dict[str, Any]] | None,
    ids: Sequence[str | None] | None,
    batch_size: int | None,
) -> NewTexts:
    """Check what is to be added, and make the ids that are missing.

    Arguments and errors are those of `QwenVectorStore.add_texts`.
    """
    if batch_size is not None:
        check_k(batch_size, "batch_size")
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputError(f"texts is {texts!r:.60}; expected a list of texts. Write [text].")
    if not isinstance(metadatas, list | tuple | None):
        raise InputError(
            f"metadatas is {metadatas!r:.60}; expected a list of dictionaries, one per text. Write [{{...}}]."
        )
    if not isinstance(ids, list | tuple | None):
        raise InputError(f"ids is {ids!r:.60}; expected a list of ids, one per text. Write [id].")
    texts = list(texts)
    metadatas = metadatas or [{} for _ in texts]
    ids = ids or [None] * len(texts)
    if not len(texts) == len(metadatas) == len(ids):
        raise InputError(
            f"Got {len(texts)} texts, {len(metadatas)} metadatas, {len(ids)} ids; expected equal numbers."
        )
    for text, metadata in zip(texts, metadatas, strict=True):
        if not isinstance(text, str) or not isinstance(metadata, dict):
            raise InputError(
                f"A document has the text {text!r:.60} and the metadata {metadata!r:.60}; expected text and "
                "a dictionary."
            )
    made = [""] * len(texts) if all(ids) else make_ids(texts, metadatas, backend)
    given = [id or own for id, own in zip(ids, made, strict=True)]
    check_unique(given)
    payloads = [make_payload(*item) for item in zip(given, texts, metadatas, strict=True)]
    return NewTexts(texts, given, payloads, batch_size)
