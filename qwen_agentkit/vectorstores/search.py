"""One query over a collection: by vectors, by words, or by both with fused ranks; and what a score means.

Knows a back end, ranks and scores. Knows no embedder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from qwen_agentkit.catalog import Fusion
from qwen_agentkit.errors import InputError
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import LARGEST_TERM, sparse_query
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.filters import Condition
from qwen_agentkit.vectorstores.points import Hit

__all__ = [
    "Mode",
    "check_k",
    "check_query_text",
    "fuse_ranks",
    "fuse_scores",
    "relevance",
    "search_hits",
]

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
    fusion: Fusion | None = None,
    with_vectors: bool = False,
) -> list[Hit]:
    """Return the k best hits, best first, with the score of the mode.

    Args:
        backend: The collection.
        mode: "hybrid" fuses both searches.
        query: The question; mode "dense" does not use it.
        vector: The vector of the question; mode "sparse" does not use it.
        k: The number of hits.
        conditions: The conditions that all hits meet.
        fusion: The weights of both searches; None fuses their ranks, half and half.
        with_vectors: Whether the hits carry their dense vectors.
    """
    # A collection without a maker is langchain-qdrant's: its sparse vectors have other term ids.
    if backend.maker is None and mode != "sparse":
        return backend.search(vector, k, conditions, with_vectors)
    if mode == "dense":
        return backend.search(vector, k, conditions, with_vectors)
    language = detect_language(query)
    terms = sparse_query(query, language)
    if mode == "sparse":
        return backend.search(terms, k, conditions, with_vectors) if backend.maker is not None else []
    limit = max(2 * k, 50)
    dense = backend.search(vector, limit, conditions, with_vectors or fusion is not None)
    sparse = backend.search(terms, limit, conditions, with_vectors or fusion is not None)
    if fusion is None:
        return fuse_ranks(dense, sparse)[:k]
    most = sum(terms[1]) * LARGEST_TERM * _largest_rarity(backend.count([]))
    return fuse_scores(dense, sparse, fusion, vector, language, most)[:k]


def fuse_ranks(dense: Sequence[Hit], sparse: Sequence[Hit]) -> list[Hit]:
    """Fuse two rankings half and half by reciprocal rank, for an embedder of which nothing is known."""
    hits = {hit.id: hit for hit in [*dense, *sparse]}
    scores = reciprocal_rank_fusion([[hit.id for hit in dense], [hit.id for hit in sparse]])
    return [replace(hits[id], score=score) for id, score in scores.items()]


def fuse_scores(
    dense: Sequence[Hit],
    sparse: Sequence[Hit],
    fusion: Fusion,
    vector: Sequence[float],
    language: str,
    most: float,
) -> list[Hit]:
    """Fuse two searches by their scores: the share of the question's words, plus the weighted cosine.

    This is a convex combination with a theoretical maximum, which loses less than ranks do: Bruch, Gai and
    Ingber, 2023, https://doi.org/10.1145/3596512.

    Args:
        dense: Hits with their vectors, from the search by meaning.
        sparse: Hits with their vectors, from the search by words, with BM25 scores.
        fusion: The weights.
        vector: The vector of the question.
        language: The language of the question.
        most: What a passage would score in BM25 that held each word of the question many times, and alone.
    """
    words = {hit.id: hit.score for hit in sparse}
    hits = {hit.id: hit for hit in [*sparse, *dense]}
    fused = []
    for id, hit in hits.items():
        share = min(1.0, words.get(id, 0.0) / most) if most else 0.0
        weight = fusion.same if _is_language(hit, language) else fusion.other
        cosine = max(0.0, relevance(vector, hit.vector) - fusion.floor)
        fused.append(replace(hit, score=min(1.0, share + weight * cosine)))
    return sorted(fused, key=lambda hit: -hit.score)


def _is_language(hit: Hit, language: str) -> bool:
    """Whether a passage is in a language, or does not say which it is in."""
    found = (hit.payload.get("metadata") or {}).get("language")
    return not isinstance(found, str) or found.split("-")[0] == language.split("-")[0]


def _largest_rarity(count: int) -> float:
    """The inverse document frequency of a word in one of `count` passages, as Qdrant computes it."""
    return math.log(1 + (count - 0.5) / 1.5) if count else 1.0


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
