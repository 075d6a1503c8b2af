"""One query over a collection: by vectors, by words, or by both with fused ranks; and what a score means.

Knows a back end and ranks. Knows no embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import sparse_query
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.filters import Condition
from qwen_agentkit.vectorstores.points import Hit

__all__ = ["Mode", "check_k", "check_query_text", "relevance", "search_hits"]

Mode = Literal["hybrid", "dense", "sparse"]

_LARGEST_K = 10**9


def search_hits(
    backend: Backend,
    mode: Mode,
    query: str,
    vector: list[float],
    k: int,
    conditions: Sequence[Condition],
    *,
    with_vectors: bool = False,
) -> list[Hit]:
    """Return the k best hits, best first, with the score of the mode.

    Args:
        backend: The collection.
        mode: "hybrid" fuses the ranks of both searches.
        query: The question; mode "dense" does not use it.
        vector: The vector of the question; mode "sparse" does not use it.
        k: The number of hits.
        conditions: The conditions that all hits meet.
        with_vectors: Whether the hits carry their dense vectors.
    """
    rankings = []
    limit = k if mode != "hybrid" else max(2 * k, 50)
    language = _detect_language(backend, query, conditions) if mode != "dense" else ""
    if mode != "sparse":
        rankings.append(backend.search(vector, limit, conditions, with_vectors))
    # A collection without a maker is langchain-qdrant's: its sparse vectors have other term ids.
    if mode != "dense" and backend.maker is not None:
        terms = sparse_query(query, language)
        rankings.append(backend.search(terms, limit, conditions, with_vectors))
    if mode != "hybrid":
        return [hit for ranking in rankings for hit in ranking]
    hits = {hit.id: hit for ranking in rankings for hit in ranking}
    scores = reciprocal_rank_fusion([[hit.id for hit in ranking] for ranking in rankings])
    return [replace(hits[id], score=score) for id, score in list(scores.items())[:k]]


def _detect_language(backend: Backend, query: str, conditions: Sequence[Condition]) -> str:
    """Detect the language of a question, among those of the documents first."""
    try:
        return detect_language(query, among=backend.languages(conditions))
    except StoreError:  # The search that follows meets the same error, unless only this was too much.
        return detect_language(query)


def relevance(query: Sequence[float], document: Sequence[float] | None) -> float:
    """Return the cosine of two vectors, 0 if it is negative or a vector is missing or zero."""
    one, other = np.asarray(query, dtype=np.float64), np.asarray(document or [], dtype=np.float64)
    if one.shape != other.shape:
        return 0.0
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return min(1.0, max(0.0, float(one @ other) / norms)) if norms else 0.0


def check_query_text(query: str) -> None:
    """Refuse an empty question.

    Raises:
        InputError: The question is not text, or is empty.
    """
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"The question is {query!r}; expected text. Ask something.")


def check_k(k: int) -> None:
    """Refuse a number of results that cannot be searched.

    Raises:
        InputError: It is not an integer, below 1 or beyond what a back end takes.
    """
    if not isinstance(k, int) or not 1 <= k <= _LARGEST_K:
        raise InputError(f"k is {k!r}; expected 1 or more, at most {_LARGEST_K}. Try k=4.")
