"""What a store holds: points. One layout for all back ends, readable by langchain-qdrant.

A point has an id (a UUID), a payload ``{"page_content", "metadata"}``, a dense vector named ``""`` and a
BM25 vector named ``"langchain-sparse"``. An id that is not a UUID is kept in the payload under ``"id"``.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.filters import Condition

__all__ = [
    "DENSE",
    "SPARSE",
    "Backend",
    "Hit",
    "Point",
    "SparseVector",
    "chunk_ids",
    "payload_of",
    "point_id",
]

DENSE = ""
SPARSE = "langchain-sparse"

SparseVector = tuple[list[int], list[float]]
"""Indices and values of the same length."""

_NAMESPACE = uuid.UUID("5b0f7d52-9f52-5d6c-8a9e-0d5f3c0b1a47")


@dataclass(frozen=True)
class Point:
    """What is written."""

    id: str
    dense: list[float]
    sparse: SparseVector
    payload: dict[str, Any]


@dataclass(frozen=True)
class Hit:
    """What is read; the score is of the query that found it, 0.0 where there was none."""

    id: str
    payload: dict[str, Any]
    score: float = 0.0
    vector: list[float] | None = None

    def document(self) -> Document:
        """Return the document with the id its caller gave it."""
        return Document(
            id=str(self.payload.get("id", self.id)),
            page_content=self.payload.get("page_content", ""),
            metadata=dict(self.payload.get("metadata") or {}),
        )


class Backend(Protocol):
    """One collection somewhere. Dimension and maker are None until the first write creates it."""

    @property
    def dimensions(self) -> int | None:
        """Length of the dense vectors."""

    @property
    def maker(self) -> dict[str, Any] | None:
        """Fingerprint of the embedder that made the collection; None for one made by other software."""

    def create(self, dimensions: int, maker: dict[str, Any]) -> None:
        """Make the collection; does nothing when it exists."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, replacing those of the same id."""

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point and keep its vectors."""

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""

    def delete_matching(self, conditions: Sequence[Condition]) -> None:
        """Delete the points for which all conditions hold."""

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        conditions: Sequence[Condition],
        with_vectors: bool = False,
    ) -> list[Hit]:
        """Return the nearest points, best first: cosine for a dense query, BM25 for a sparse one."""

    def scroll(self, conditions: Sequence[Condition]) -> Iterator[Hit]:
        """Yield every matching point."""

    def count(self, conditions: Sequence[Condition]) -> int:
        """Count the matching points."""

    def close(self) -> None:
        """Let go of files and connections."""


def point_id(given: str) -> str:
    """Map any id to the UUID a point can have; a UUID maps to itself."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, given))


def chunk_ids(texts: Sequence[str], metadatas: Sequence[dict[str, Any]]) -> list[str]:
    """Make ids that stay the same as long as source and text do.

    A text that stands several times in one source is numbered; a document without a source is told
    apart by all of its metadata.
    """
    seen: Counter[str] = Counter()
    ids = []
    for text, metadata in zip(texts, metadatas, strict=True):
        origin = metadata.get("source") or json.dumps(metadata, sort_keys=True, default=str)
        origin = str(origin).encode("utf-8", "backslashreplace").decode()  # it is refused when it is written
        key = f"{origin}\n{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
        ids.append(str(uuid.uuid5(_NAMESPACE, f"{key}\n{seen[key]}")))
        seen[key] += 1
    return ids


def payload_of(given: str, text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Build the payload of a document.

    Raises:
        InputError: The text is empty or the metadata is not JSON; the message names the document.
    """
    name = repr(metadata.get("source") or given)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"document {name} has no text ({text!r}): expected text; drop it before adding")
    try:
        text.encode()
        written = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        written.encode()
        plain = json.loads(written)
    except UnicodeEncodeError as error:
        raise InputError(
            f"document {name} holds broken Unicode ({error}): expected text; decode it again"
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(
            f"metadata of document {name} cannot be stored ({error}): expected JSON values; "
            f"write dates and the like as text"
        ) from error
    payload = {"page_content": text, "metadata": plain}
    return payload if point_id(given) == given else {**payload, "id": given}
