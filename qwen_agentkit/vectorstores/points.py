"""The layout of a stored document, the same in every back end and readable by langchain-qdrant.

A point has an id (a UUID), a payload ``{"page_content", "metadata"}``, a dense vector named ``""`` and a BM25
vector named ``"langchain-sparse"``. An id that is not a UUID is kept in the payload under ``"id"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.documents import point_id
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import sparse_document

__all__ = [
    "DENSE",
    "FIRST_STAGE",
    "LARGEST_INTEGER",
    "MOST_LANGUAGES",
    "POINTS_PER_PART",
    "SPARSE",
    "TENANT",
    "Hit",
    "Layout",
    "Point",
    "Quantization",
    "SparseVector",
    "find_problem",
    "in_parts",
    "make_payload",
    "make_point",
    "make_words",
]

DENSE = ""
SPARSE = "langchain-sparse"
FIRST_STAGE = "first-stage"
"""The beginning of the dense vector, for a first search; only in a collection whose layout says so."""
TENANT = "tenant"
"""Where a payload names the tenant of its point."""
LARGEST_INTEGER = 2**63 - 1
"""The largest integer that a back end stores and filters."""
MOST_LANGUAGES = 50
"""The most languages of a store that help to recognize the language of a question."""

POINTS_PER_PART = 1000
"""The most points that are read or written at once."""

_DEEPEST = 100
"""The most levels of metadata. The embedded store cannot read a payload of more than about 125 levels."""

SparseVector = tuple[list[int], list[float]]
"""Indices and as many values."""


Quantization = Literal["scalar", "binary"]
"""How many bits of each number of a vector stay in memory: 8 or 1."""

_CANDIDATES = {"scalar": 3, "binary": 10}
_CANDIDATES_OF_FIRST_STAGE = 10
_MOST_CANDIDATES = 100_000


@dataclass(frozen=True)
class Layout:
    """The vectors of a collection, fixed when it is created.

    Attributes:
        dimensions: The length of the dense vectors.
        quantization: How the vectors are kept in memory that are searched first; None keeps them as they are.
        first_stage: How many numbers of a vector are searched first; None takes all.
    """

    dimensions: int
    quantization: Quantization | None = None
    first_stage: int | None = None

    @property
    def searched(self) -> str:
        """The name of the vector that is searched first."""
        return FIRST_STAGE if self.first_stage else DENSE

    @property
    def oversampling(self) -> int:
        """How many times as many quantized vectors are found as are compared again, exactly."""
        return _CANDIDATES.get(self.quantization or "", 1)

    def candidates(self, limit: int) -> int:
        """Return how many hits of the first stage are compared again, by their whole vectors."""
        return max(limit, min(limit * _CANDIDATES_OF_FIRST_STAGE, _MOST_CANDIDATES))


@dataclass(frozen=True)
class Point:
    """A document as it is written."""

    id: str
    dense: NDArray[np.float32]
    sparse: SparseVector
    payload: dict[str, Any]


@dataclass(frozen=True)
class Hit:
    """A document as it is read. The score belongs to the query that found it; without one it is 0.0."""

    id: str
    payload: dict[str, Any]
    score: float = 0.0
    vector: list[float] | None = None

    def document(self) -> Document:
        """Return the document, with the id that its caller gave."""
        return Document(
            id=str(self.payload.get("id", self.id)),
            page_content=self.payload.get("page_content", ""),
            metadata=dict(self.payload.get("metadata") or {}),
        )


def in_parts(points: Iterable[Point]) -> Iterator[list[Point]]:
    """Yield points in lists of `POINTS_PER_PART`."""
    rest = iter(points)
    while part := list(islice(rest, POINTS_PER_PART)):
        yield part


def find_problem(point: Point, dimensions: int) -> str:
    """Return what is wrong with a point that was read; an empty text if nothing is."""
    text, metadata = point.payload.get("page_content"), point.payload.get("metadata")
    if not isinstance(text, str) or not text.strip():
        return "it has no text"
    if not isinstance(metadata, dict):
        return "it has no metadata"
    if not isinstance(point.payload.get(TENANT, ""), str):
        return "its tenant is no name"
    if len(point.dense) != dimensions or not np.isfinite(point.dense).all() or not point.dense.any():
        return "its vector is damaged"
    return ""


def make_payload(given: str, text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of a document.

    Args:
        given: The id of the document, any text.
        text: Its text.
        metadata: JSON values, at most 100 levels deep, integers of at most 64 bits.

    Raises:
        InputError: The text is empty, or the metadata cannot be stored; the message names the document.
    """
    name = repr(metadata.get("source") or given)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"Document {name} has no text ({text!r}); expected text. Leave it out.")
    try:
        text.encode()
        encoded = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        encoded.encode()
        plain = json.loads(encoded)
        _check_values(metadata)
    except UnicodeEncodeError as error:
        raise InputError(
            f"Document {name} holds broken Unicode ({error}); expected text. Decode it again."
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"The metadata of document {name} cannot be stored ({error}); expected JSON values of at most "
            f"{_DEEPEST} levels. Write dates and the like as text."
        ) from error
    payload = {"page_content": text, "metadata": plain}
    return payload if point_id(given) == given else {**payload, "id": given}


def make_point(given: str, dense: NDArray[np.float32], payload: dict[str, Any]) -> Point:
    """Return a document as a point, with its BM25 vector.

    Args:
        given: The id of the document, any text.
        dense: The vector of its text.
        payload: The result of `make_payload`.
    """
    return Point(point_id(given), dense, make_words(payload), payload)


def make_words(payload: dict[str, Any]) -> SparseVector:
    """Return the BM25 vector of a document, which depends on its text and its language."""
    text, language = payload["page_content"], payload["metadata"].get("language")
    return sparse_document(text, language if isinstance(language, str) else detect_language(text))


def _check_values(metadata: dict[str, Any]) -> None:
    """Refuse what a back end would store but not read again.

    Raises:
        ValueError: The metadata is too deep, or an integer too large.
    """
    level: list[Any] = [metadata]
    for _ in range(_DEEPEST):
        if not level:
            return
        for value in level:
            if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
                raise ValueError("a key is not text")  # JSON would make texts of keys, and equal ones of two
            if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
                raise ValueError("an integer has more than 64 bits")
        inner = (value.values() if isinstance(value, dict) else value for value in level if value)
        level = [item for items in inner if not isinstance(items, str | int | float) for item in items]
    if level:
        raise ValueError("it is nested too deep")
