"""One query over a collection: by vectors, by words, or by both with fused ranks; and what a score means.

Knows a back end, ranks and scores. Knows no embedder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.catalog import Fusion
from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import LARGEST_TERM, query_mass, sparse_query
from qwen_agentkit.vectorstores.backend import Backend
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition, Match, Not, all_of
from qwen_agentkit.vectorstores.points import Hit

__all__ = [
    "Legs",
    "Mode",
    "check_k",
    "check_query_text",
    "is_language",
    "refuse_unknown",
    "relevance",
    "search_hits",
    "search_legs",
]

Mode = Literal["hybrid", "dense", "sparse"]

_LARGEST_K = 10**9
_FOREIGN = 3
"""One of so many hits by meaning may be in another language than the question."""


def search_hits(
    backend: Backend,
    mode: Mode,
    query: str,
    vector: list[float],
    k: int,
    condition: Condition,
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
        condition: The condition that all hits meet.
        fusion: The weights of both searches; None fuses their ranks, half and half.
        with_vectors: Whether the hits carry their dense vectors.
    """
    # A collection without a maker is langchain-qdrant's: its sparse vectors have other term ids.
    if mode == "sparse":
        language = _detect_language(backend, query, condition)
        terms = sparse_query(query, language)
        return backend.search(terms, k, condition, with_vectors) if backend.maker is not None else []
    if mode == "dense" or backend.maker is None:
        return backend.search(vector, k, condition, with_vectors)
    limit = max(2 * k, 50)
    weighted = fusion is not None
    legs = search_legs(backend, query, vector, limit, condition, weighted=weighted, with_vectors=with_vectors)
    return legs.fuse(fusion)[:k]


@dataclass(frozen=True)
class Legs:
    """What both searches of a question found, before they are fused.

    Attributes:
        vector: The vector of the question.
        language: The language of the question.
        most: The BM25 score of a passage that held each word of the question many times, and alone.
        dense: Hits of the search by meaning; scores are cosines.
        words: Hits of the search by words; scores are BM25's.
    """

    vector: Sequence[float]
    language: str
    most: float
    dense: list[Hit]
    words: list[Hit]

    def fuse(self, fusion: Fusion | None) -> list[Hit]:
        """Return all hits with their fused scores, best first.

        With weights the score is the share of the question's words in the passage plus the weighted cosine,
        0 to 1; hits by words alone need their vectors. This is a convex combination with a theoretical
        maximum, which loses less than ranks do: Bruch, Gai and Ingber, 2023,
        https://doi.org/10.1145/3596512. Without weights, nothing is known of the embedder, and the ranks are
        fused half and half.
        """
        hits = {hit.id: hit for hit in [*self.words, *self.dense]}
        if fusion is None:
            rankings = [[hit.id for hit in self.dense], [hit.id for hit in self.words]]
            scores = reciprocal_rank_fusion(rankings)
            return [replace(hits[id], score=score) for id, score in scores.items()]
        shares, fused = self.shares(), []
        cosines = {hit.id: hit.score for hit in self.dense}
        others = [hit for hit in self.words if hit.id not in cosines]
        vectors = [hit.vector for hit in others]
        cosines |= zip((hit.id for hit in others), _relevances(self.vector, vectors), strict=True)
        for id, hit in hits.items():
            cosine = cosines[id]
            weight = fusion.same if is_language(hit, self.language) else fusion.other
            more = weight * max(0.0, cosine - fusion.floor)
            fused.append(replace(hit, score=min(1.0, shares.get(id, 0.0) + more)))
        return sorted(fused, key=lambda hit: -hit.score)

    def shares(self) -> dict[str, float]:
        """Return the share of the question's words that each hit by words holds, 0 to 1, by its id."""
        return {hit.id: min(1.0, hit.score / self.most) for hit in self.words}


def search_legs(
    backend: Backend,
    query: str,
    vector: list[float],
    limit: int,
    condition: Condition,
    *,
    weighted: bool = True,
    with_vectors: bool = False,
) -> Legs:
    """Search by meaning and by words; arguments as in `search_hits`.

    Only with `weighted` can the legs be fused with weights, which takes vectors of the hits by words and the
    number of passages.
    Where passages in the language of the question leave no place to others, the best of the others follow,
    and a weight brings up the one that answers.
    """
    stored = _stored_languages(backend, condition)
    language = detect_language(query, among=stored)
    terms = sparse_query(query, language)
    rarity = _largest_rarity(backend.count(EVERYTHING) if weighted else 0)
    most = query_mass(query, language) * LARGEST_TERM * rarity
    dense = backend.search(vector, limit, condition, with_vectors)
    own = tuple(code for code in stored if code.split("-")[0] == language.split("-")[0])
    crowded = sum(not is_language(hit, language) for hit in dense) < limit // _FOREIGN
    if weighted and crowded and 0 < len(own) < len(stored) and len(dense) == limit:
        foreign = all_of(condition, Not(Match(("metadata", "language"), own)))
        known = {hit.id for hit in dense}
        more = backend.search(vector, limit // _FOREIGN, foreign, with_vectors)
        dense = [*dense, *(hit for hit in more if hit.id not in known)]
    # The search by meaning knows its cosines; many vectors take longer to hand over than to search.
    words = backend.search(terms, limit, condition, with_vectors or weighted)
    return Legs(vector, language, most or 1.0, dense, words)


def is_language(hit: Hit, language: str) -> bool:
    """Whether a passage is in a language, or does not say which it is in."""
    found = (hit.payload.get("metadata") or {}).get("language")
    return not isinstance(found, str) or found.split("-")[0] == language.split("-")[0]


def _largest_rarity(count: int) -> float:
    """The inverse document frequency of a word in one of `count` passages, as Qdrant computes it."""
    return math.log(1 + (count - 0.5) / 1.5) if count else 1.0


def _detect_language(backend: Backend, query: str, condition: Condition) -> str:
    """Detect the language of a question, among those of the documents first."""
    return detect_language(query, among=_stored_languages(backend, condition))


def _stored_languages(backend: Backend, condition: Condition) -> list[str]:
    """Return the languages of the documents, the most frequent first; none if the store cannot tell."""
    try:
        return backend.languages(condition)
    except StoreError:  # The search that follows meets the same error, unless only this was too much.
        return []


def relevance(query: Sequence[float] | NDArray[np.float64], document: Sequence[float] | None) -> float:
    """Return the cosine of two vectors, 0 if it is negative or a vector is missing or zero."""
    one, other = np.asarray(query, dtype=np.float64), np.asarray(document or [], dtype=np.float64)
    if one.shape != other.shape:
        return 0.0
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return min(1.0, max(0.0, float(one @ other) / norms)) if norms else 0.0


def _relevances(query: Sequence[float], documents: Sequence[list[float] | None]) -> list[float]:
    """Return the `relevance` of each vector; all are multiplied at once."""
    if any(document is None or len(document) != len(query) for document in documents):
        return [relevance(query, document) for document in documents]
    question, matrix = np.asarray(query, dtype=np.float64), np.asarray(documents, dtype=np.float64)
    if not len(documents):
        return []
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix)) * np.linalg.norm(question)
    cosines = np.divide(matrix @ question, norms, out=np.zeros_like(norms), where=norms > 0)
    found: list[float] = cosines.clip(0.0, 1.0).tolist()
    return found


def check_query_text(query: str) -> None:
    """Refuse an empty question.

    Raises:
        InputError: The question is not text, or is empty.
    """
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"The question is {query!r}; expected text. Ask something.")


def check_k(k: int, name: str = "k") -> None:
    """Refuse a number of results that cannot be searched.

    Raises:
        InputError: It is not an integer, below 1 or beyond what a back end takes.
    """
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _LARGEST_K:
        raise InputError(f"{name} is {k!r}; expected 1 or more, at most {_LARGEST_K}. Try {name}=4.")


def refuse_unknown(kwargs: Mapping[str, Any]) -> None:
    """Refuse other arguments: LangChain's signatures accept any, and a misspelled filter finds everything.

    Raises:
        InputError: There is one.
    """
    if kwargs:
        raise InputError(f"The argument {next(iter(kwargs))!r} is unknown. See help(QwenVectorStore).")
