"""What `QwenEmbeddings` and `QwenReranker` ask of whatever computes for them. Knows no models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import InputTooLongError

__all__ = ["Embedder", "Progress", "Reading", "Reranker", "refuse_cut_texts"]

Progress = Callable[[int], None]
"""Called with the number of texts that were just computed."""


@dataclass(frozen=True)
class Reading:
    """How the texts of one call are read.

    Attributes:
        max_length: Most tokens of a text, special tokens included.
        may_cut: Whether longer texts are cut; otherwise they are an error.
        deterministic: Whether each text is computed alone.
        query: Whether the texts are queries.
    """

    max_length: int
    may_cut: bool
    deterministic: bool
    query: bool = False


class Embedder(Protocol):
    """Computes vectors of texts with one model. Weights are loaded at the first call that needs them."""

    @property
    def name(self) -> str:
        """Name of the model, as stores remember it."""

    @property
    def revision(self) -> str:
        """Version of the model, as stores remember it."""

    @property
    def dimensions(self) -> int:
        """Length of the whole vectors."""

    @property
    def document_prompt(self) -> str:
        """Text that is put before every document."""

    def query_prompt(self, instruction: str | None) -> str:
        """Return the text that is put before every query.

        Args:
            instruction: The caller's; None for the checkpoint's own.
        """

    def limit(self, max_length: int) -> int:
        """Return the most tokens of a text that are read, special tokens and prompt included."""

    def cache_key(self, reading: Reading) -> dict[str, str | int | bool]:
        """Return everything besides the text that decides about a vector."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""

    def embed(
        self, texts: Sequence[str], prompt: str, reading: Reading, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """Compute the vectors of different texts.

        Returns:
            The vectors, (len(texts), dimensions), each row of length one, and which texts were cut.

        Raises:
            InputTooLongError: A text is too long and may not be cut.
            ModelError: The vectors are not numbers.
        """


class Reranker(Protocol):
    """Computes scores of documents with one model. Weights are loaded at the first call."""

    def limit(self, max_length: int) -> int:
        """Return the most tokens of a query and a document that are read, all others included."""

    def score(
        self, pairs: Sequence[tuple[str, str]], instruction: str | None, reading: Reading
    ) -> tuple[list[float], list[int]]:
        """Compute the score in 0..1 of each pair of query and document; the pairs are different.

        Args:
            pairs: Queries and documents.
            instruction: What makes a document relevant; None for the checkpoint's own.
            reading: How the texts are read. Queries are never cut.

        Returns:
            The scores, and the indices of the pairs whose document was cut.

        Raises:
            InputTooLongError: A query leaves no room for a document, or a document may not be cut.
            ModelError: The scores are not numbers.
        """


def refuse_cut_texts(texts: Sequence[str], cut: Sequence[bool], limit: int) -> None:
    """Raise an error that names the first text that would be cut.

    Raises:
        InputTooLongError: There is one.
    """
    if any(cut):
        text = texts[cut.index(True)]
        raise InputTooLongError(
            f"The text {text[:60]!r}... is longer than the {limit} tokens that fit. "
            "Split it, raise max_length, or set truncate=True to leave its end out."
        )
