"""Measures of ranks, citations and abstention. Knows rows of numbers, no models.

Ranks through ir-measures: R@10 (recall), RR@10 (reciprocal rank) and nDCG@10. Abstention as selective
prediction: coverage at an error is the largest share of the answerable questions that are answered while at
most that share of the answers is wrong (Geifman and El-Yaniv, 2017, https://arxiv.org/abs/1705.08500).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import MissingExtraError

__all__ = ["RANK_MEASURES", "Coverage", "coverage_at_error", "measure_abstention", "measure_ranks"]

RANK_MEASURES = ("R@10", "RR@10", "nDCG@10")


def measure_ranks(
    gold: Mapping[str, Sequence[str]], rankings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return the measures of each question, by measure and id.

    Args:
        gold: The passages that answer each question, at least one.
        rankings: The passages that were found for it, best first.

    Raises:
        MissingExtraError: The extra `eval` is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError(
            "Measuring ranks needs the package ir-measures; expected the extra `eval`. Type: "
            "pip install 'qwen-agentkit[eval]'"
        ) from error
    qrels = {id: dict.fromkeys(passages, 1) for id, passages in gold.items()}
    # Scores that fall with the rank, so that ties of the search keep its order.
    run = {
        id: {passage: float(-rank) for rank, passage in enumerate(rankings.get(id, ()))} or {"": 0.0}
        for id in gold
    }
    measures = [ir_measures.parse_measure(name) for name in RANK_MEASURES]
    found: dict[str, dict[str, float]] = {name: dict.fromkeys(gold, 0.0) for name in RANK_MEASURES}
    for value in ir_measures.iter_calc(measures, qrels, run) if gold else ():
        found[str(value.measure)][value.query_id] = float(value.value)
    return found


class Coverage(NamedTuple):
    """What can be answered at an error: the share of the answerable questions, and from which score on."""

    share: float
    threshold: float


def coverage_at_error(
    scores: NDArray[np.float64], right: NDArray[np.float64], answerable: NDArray[np.float64], error: float
) -> Coverage:
    """Return the coverage at an error, with its threshold; 0 and 1 if no threshold keeps the error.

    Args:
        scores: The best score of each question.
        right: 1 where answering is right, which it never is without an answer.
        answerable: 1 where the question has an answer.
        error: The largest share of answers that may be wrong, 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    answered = np.arange(1, len(scores) + 1)
    wrong = np.cumsum(1 - right[order]) / answered
    # A threshold separates different scores only.
    last = np.append(np.diff(scores[order]) != 0, True)
    allowed = np.flatnonzero((wrong <= error) & last)
    if not len(allowed) or not answerable.sum():
        return Coverage(0.0, 1.0)
    end = allowed[-1]
    return Coverage(float(answerable[order][: end + 1].sum() / answerable.sum()), float(scores[order][end]))


def measure_abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> dict[str, float]:
    """Return precision, recall and F1 of abstaining, which is to find the questions without an answer."""
    said, none = np.asarray(abstained, dtype=bool), ~np.asarray(answerable, dtype=bool)
    both = float((said & none).sum())
    precision = both / said.sum() if said.any() else 0.0
    recall = both / none.sum() if none.any() else 0.0
    total = precision + recall
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * precision * recall / total) if total else 0.0,
    }
