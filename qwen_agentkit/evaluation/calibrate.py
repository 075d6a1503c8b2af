"""Fits the weights of fusion, the share of the reranker, and the threshold, on questions with gold.

Knows rows of scores; the weights are chosen from a small grid, so that hundreds of questions are enough.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.calibration import Calibration, mean_scores
from qwen_agentkit.catalog import Fusion
from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.bootstrap import Estimate, estimate_difference, estimate_statistic
from qwen_agentkit.evaluation.finders import StoreFinder
from qwen_agentkit.evaluation.measures import coverage_at_error, measure_abstention
from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.evaluation.run import matching_gold
from qwen_agentkit.vectorstores.points import Hit
from qwen_agentkit.vectorstores.search import Legs, is_language

__all__ = ["FEWEST", "Fit", "fit_calibration"]

FEWEST = 30
"""Answerable questions below which nothing is fitted: the interval of a share would be about ±.18 wide."""
_SAME = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2)
_OTHER = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
_SHARES = (0.1, 0.2, 0.3, 0.5, 1.0)
_FEWEST_OF_A_KIND = 10
"""Questions of one kind below which a weight is left as it is."""
_UNKNOWN = Fusion(0.3, 0.6, 0.0)
"""Where the search for weights begins, if nothing is known of the embedder."""
_DEPTH = 10
_BATCH = 64
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Fit:
    """A calibration and how good it is on the questions that it was fitted on.

    Attributes:
        calibration: What was fitted.
        mrr: MRR@10 with the fitted weights, minus that of the better search alone.
        rerank: MRR@10 with the best share of the reranker's score, minus MRR@10 without it.
        coverage: Share of the answerable questions that can be answered at the chosen error.
        f1: F1 of abstaining at the threshold.
        questions: Answerable questions used.
    """

    calibration: Calibration
    mrr: Estimate
    rerank: Estimate
    coverage: Estimate
    f1: Estimate
    questions: int


@dataclass(frozen=True)
class _Case:
    """One question, both searches, and the hits that answer it."""

    question: Question
    legs: Legs
    gold: frozenset[str]
    hits: dict[str, Hit]


def fit_calibration(
    questions: Sequence[Question],
    finder: StoreFinder,
    *,
    error: float = 0.05,
    progress: Progress | None = None,
) -> Fit:
    """Fit weights, the reranker's share and threshold on a store.

    The threshold is the lowest at which at most `error` of the answers are wrong, or where no threshold
    reaches that, or it would refuse more than half of the questions, the one with the best F1 of abstaining.
    Unanswerable questions are those that are marked, and each other one with its gold passages left out.

    Args:
        questions: Questions with passages or quotes.
        finder: The models and the store.
        error: The share of answers that may be wrong, 0 to 1.
        progress: Called with "calibrate", the number of questions done, and the total.

    Raises:
        InputError: There are too few answerable questions.
    """
    answerable = [question for question in questions if question.has_gold and not question.unanswerable]
    if len(answerable) < FEWEST:
        wide = 1.96 * (0.25 / max(1, len(answerable))) ** 0.5
        raise InputError(
            f"There are {len(answerable)} answerable questions with passages or quotes, from which a share "
            f"is known to ±{wide:.2f} only; expected {FEWEST} or more. Write more, or let "
            "`qwen-agentkit eval make` propose some."
        )
    cases = _search(questions, finder, progress)
    fusion = _fit_fusion(cases, finder.store.fusion)
    good = [case for case in cases if case.question in set(answerable)]
    fused = {case.question.id: case.legs.fuse(fusion)[: finder.candidates] for case in cases}
    best = max(([_reciprocal(leg(case), case) for case in good] for leg in (_dense, _words)), key=sum)
    before = [_reciprocal(fused[case.question.id], case) for case in good]
    judged = {case.question.id: _judge(case, fused[case.question.id], finder) for case in cases}
    reranked = {share: {id: _mix(fused[id], judged[id], share) for id in fused} for share in _SHARES}
    gains = {
        share: [_reciprocal(ranked[case.question.id], case) for case in good]
        for share, ranked in reranked.items()
    }
    share = max(gains, key=lambda share: sum(gains[share]))
    rerank = estimate_difference(gains[share], before)
    if rerank.value < 0:
        share = 0.0
    table = _decisions(cases, reranked[share] if share else fused)
    threshold = _fit_threshold(table, error)
    name = f"{len(good)} questions of one's own"
    models = finder.stack.embeddings.model, finder.stack.reranking_model.model
    calibration = Calibration(
        *models,
        fusion=replace(fusion, threshold=threshold, data=name),
        share=share,
        threshold=threshold,
        data=name,
        date=datetime.date.today().isoformat(),
    )
    return Fit(
        calibration,
        mrr=estimate_difference(before, best),
        rerank=rerank,
        coverage=estimate_statistic(
            table, lambda rows: coverage_at_error(rows[:, 0], rows[:, 1], rows[:, 2], error).share
        ),
        f1=estimate_statistic(table, lambda rows: _f1(rows, threshold)),
        questions=len(good),
    )


def _search(questions: Sequence[Question], finder: StoreFinder, progress: Progress | None) -> list[_Case]:
    cases: list[_Case] = []
    for start in range(0, len(questions), _BATCH):
        batch = questions[start : start + _BATCH]
        vectors = finder.stack.embeddings.embed_queries([question.question for question in batch])
        for question, vector in zip(batch, vectors, strict=True):
            legs = finder.store.search_legs(
                question.question, max(50, 2 * finder.candidates), vector=vector.tolist()
            )
            hits = {hit.id: hit for hit in [*legs.dense, *legs.words]}
            gold = {id for id, hit in hits.items() if matching_gold(question, hit.document()) is not None}
            cases.append(_Case(question, legs, frozenset(gold), hits))
        if progress:
            progress("calibrate", len(cases), len(questions))
    return cases


def _dense(case: _Case) -> list[Hit]:
    return case.legs.dense


def _words(case: _Case) -> list[Hit]:
    return case.legs.words


def _reciprocal(hits: Sequence[Hit], case: _Case) -> float:
    """The reciprocal rank of the first gold hit among the first ten; 0 without one."""
    for rank, hit in enumerate(hits[:_DEPTH], 1):
        if hit.id in case.gold:
            return 1 / rank
    return 0.0


def _fit_fusion(cases: Sequence[_Case], known: Fusion | None) -> Fusion:
    """Choose the weights with the best MRR, each on the questions that it decides; the smaller on a tie.

    A weight that too few questions decide stays as it is `known`. The floor is the median cosine of what the
    search by words found after its first ten, which mostly does not answer.
    """
    good = [case for case in cases if case.gold]
    cosines = [
        float(np.dot(case.legs.vector, hit.vector))
        for case in good
        for hit in case.legs.words[_DEPTH:]
        if hit.vector is not None and hit.id not in case.gold
    ]
    floor = max(0.0, round(float(np.median(cosines)), 3)) if cosines else 0.0
    own = [case for case in good if any(is_language(case.hits[id], case.legs.language) for id in case.gold)]
    foreign = [case for case in good if case not in own]
    best = replace(known or _UNKNOWN, floor=floor)
    if len(own) >= _FEWEST_OF_A_KIND:
        best = max((replace(best, same=weight) for weight in _SAME), key=lambda fusion: _mrr(own, fusion))
    if len(foreign) >= _FEWEST_OF_A_KIND:
        best = max(
            (replace(best, other=weight) for weight in _OTHER), key=lambda fusion: _mrr(foreign, fusion)
        )
    return best


def _mrr(cases: Sequence[_Case], fusion: Fusion) -> float:
    return float(np.mean([_reciprocal(case.legs.fuse(fusion), case) for case in cases]))


def _judge(case: _Case, hits: Sequence[Hit], finder: StoreFinder) -> list[float]:
    """The reranker's scores of the hits."""
    pairs = [(case.question.question, hit.document().page_content) for hit in hits]
    return finder.stack.reranking_model.score(pairs)


def _mix(hits: Sequence[Hit], judged: Sequence[float], share: float) -> list[Hit]:
    """The hits by the mean of the search's score and the reranker's, as `SearchOrder` has it."""
    scores = mean_scores([hit.score for hit in hits], judged, share)
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def _decisions(cases: Sequence[_Case], ranked: dict[str, list[Hit]]) -> NDArray[np.float64]:
    """Score, right and answerable of each decision, in columns; see `summary.abstention_table`."""
    rows = []
    for case in cases:
        hits = ranked[case.question.id]
        others = [hit for hit in hits if hit.id not in case.gold]
        if case.question.unanswerable:
            rows.append((hits[0].score if hits else 0.0, 0.0, 0.0))
        elif case.question.has_gold:
            right = bool(hits) and hits[0].id in case.gold
            rows.append((hits[0].score if hits else 0.0, float(right), 1.0))
            rows.append((others[0].score if others else 0.0, 0.0, 0.0))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _fit_threshold(table: NDArray[np.float64], error: float) -> float:
    """The lowest threshold that keeps the error, if it answers half of the questions, else the best F1's."""
    covered = coverage_at_error(table[:, 0], table[:, 1], table[:, 2], error)
    if covered.share >= 0.5:
        return round(min(1.0, covered.threshold), 3)
    candidates = np.unique(np.round(table[:, 0], 2))
    return float(min(1.0, max(candidates, key=lambda threshold: _f1(table, threshold))))


def _f1(table: NDArray[np.float64], threshold: float) -> float:
    return measure_abstention((table[:, 0] < threshold).tolist(), (table[:, 2] > 0).tolist())["f1"]
