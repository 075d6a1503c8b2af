"""What the rows of a run say: measures by language pair and stage, abstention, failures. No output.

A language pair is written "ar→en": the language of the question, then that of the passages that answer it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.evaluation.bootstrap import (
    Estimate,
    estimate_difference,
    estimate_mean,
    estimate_statistic,
)
from qwen_agentkit.evaluation.measures import (
    RANK_MEASURES,
    coverage_at_error,
    measure_abstention,
    measure_ranks,
)
from qwen_agentkit.evaluation.run import Row

__all__ = ["ALL", "ERROR", "Summary", "abstention_table", "language_pair", "summarize"]

ALL = "all"
"""The pair of all questions together."""
ERROR = 0.05
"""Share of wrong answers at which coverage is told."""
_BASES = {"fused": ("words", "dense"), "reranked": ("fused", "retrieved")}
"""Stages that must not lower the order of others, and of which."""
_WORST = 10


@dataclass
class Summary:
    """The measures of a run.

    Attributes:
        ranks: Estimates by pair, stage and measure.
        harm: Sentences on stages that lower the order of one before, beyond the interval.
        abstention: Precision, recall and F1 of abstaining, and coverage at 5 % error, by language.
        answers: Measures of the answers, if the run has them.
        worst: The pair with the lowest MRR of the last stage; "" without pairs.
        worst_questions: The ids and words of questions whose passages were not found.
        notes: What the numbers leave out.
        failed: Questions whose model failed.
        seconds: Mean seconds of a search.
        settings: Of the run.
    """

    ranks: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    harm: list[str] = field(default_factory=list)
    abstention: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    answers: dict[str, Estimate] = field(default_factory=dict)
    worst: str = ""
    worst_questions: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)


def language_pair(row: Row) -> str:
    """Return the pair of a row, such as "ar→en"."""
    return f"{row['language']}→{row['document_language'] or '?'}"


def summarize(rows: Sequence[Row], settings: Mapping[str, Any]) -> Summary:
    """Return the measures of a run.

    Raises:
        MissingExtraError: The extra `eval` is not installed.
    """
    good = [row for row in rows if "stages" in row]
    ranked = [row for row in good if row["gold"] and not row["unanswerable"]]
    summary = Summary(settings=dict(settings), notes=_notes(rows, good, ranked))
    summary.failed = sum("error" in row for row in rows)
    if good:
        summary.seconds = float(np.mean([row["seconds"] for row in good]))
    values = stage_values(ranked)
    pairs: dict[str, list[str]] = {}
    for row in ranked:
        pairs.setdefault(language_pair(row), []).append(row["id"])
    groups = {
        **({ALL: [row["id"] for row in ranked]} if len(pairs) > 1 else {}),
        **dict(sorted(pairs.items())),
    }
    for pair, ids in groups.items():
        summary.ranks[pair] = {
            stage: {name: estimate_mean([found[name][id] for id in ids]) for name in RANK_MEASURES}
            for stage, found in values.items()
        }
        summary.harm += _find_harm(pair, ids, values)
    if pairs and values:
        last = list(values)[-1]
        summary.worst = min(pairs, key=lambda pair: summary.ranks[pair][last]["RR@10"].value)
        ranks = values[last]["RR@10"]
        summary.worst_questions = [
            {"id": row["id"], "pair": language_pair(row), "question": row["question"]}
            for row in sorted(ranked, key=lambda row: ranks[row["id"]])[:_WORST]
            if ranks[row["id"]] < 1
        ]
    summary.abstention = _summarize_abstention(good, float(settings.get("threshold", 0.0)))
    summary.answers = _summarize_answers(good)
    return summary


def stage_values(ranked: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the measure of every question, by stage, measure and id."""
    gold = {row["id"]: row["gold"] for row in ranked}
    stages = list(dict.fromkeys(stage for row in ranked for stage in row["stages"]))
    return {
        stage: measure_ranks(gold, {row["id"]: row["stages"].get(stage, []) for row in ranked})
        for stage in stages
    }


def abstention_table(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return score, right and answerable of each decision, in columns.

    Each question with gold counts twice: as it is, and with its gold passages left out, which makes an
    unanswerable one. A question of which only the answer is known has no decision.
    """
    table = []
    for row in rows:
        if row["unanswerable"]:
            table.append((row["top"], 0.0, 0.0))
        elif row["gold"]:
            table.append((row["top"], float(row["right"]), 1.0))
            table.append((row["without_gold"], 0.0, 0.0))
    return np.array(table, dtype=np.float64).reshape(-1, 3)


def _summarize_abstention(rows: Sequence[Row], threshold: float) -> dict[str, dict[str, Estimate]]:
    languages = sorted({row["language"] for row in rows})
    groups = {ALL: list(rows)} if len(languages) > 1 else {}
    groups |= {language: [row for row in rows if row["language"] == language] for language in languages}
    found = {}
    for language, group in groups.items():
        table = abstention_table(group)
        if not len(table) or not (table[:, 2] == 0).any():
            continue
        found[language] = {
            name: estimate_statistic(table, _abstention_statistic(name, threshold))
            for name in ("precision", "recall", "f1", "coverage")
        }
    return found


def _abstention_statistic(name: str, threshold: float) -> Any:
    def compute(table: NDArray[np.float64]) -> float:
        if name == "coverage":
            return coverage_at_error(table[:, 0], table[:, 1], table[:, 2], ERROR).share
        return measure_abstention((table[:, 0] < threshold).tolist(), (table[:, 2] > 0).tolist())[name]

    return compute


def _summarize_answers(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Return the mean of each measure of the answers, over the rows that have it."""
    answers = [row["answer"] for row in rows if "answer" in row]
    names = sorted({name for answer in answers for name, value in answer.items() if _is_number(value)})
    return {
        name: estimate_mean([float(answer[name]) for answer in answers if _is_number(answer.get(name))])
        for name in names
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _find_harm(pair: str, ids: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Say which stages lower the order of a stage before them, by MRR, beyond the interval."""
    found = []
    for stage, bases in _BASES.items():
        for base in bases:
            if stage not in values or base not in values:
                continue
            change = estimate_difference(
                [values[stage]["RR@10"][id] for id in ids], [values[base]["RR@10"][id] for id in ids]
            )
            if change.high < 0:
                found.append(
                    f"{pair}: {stage} lowers the order of {base}: MRR {change.value:+.3f} "
                    f"[{change.low:+.3f}, {change.high:+.3f}]. It is better left out."
                )
    return found


def _notes(rows: Sequence[Row], good: Sequence[Row], ranked: Sequence[Row]) -> list[str]:
    notes = []
    failed = [row for row in rows if "error" in row]
    if failed:
        notes.append(
            f"{len(failed)} of {len(rows)} questions failed, the first ({failed[0]['id']}) with "
            f"{failed[0]['error'][:200]}"
        )
    for language in sorted({row["language"] for row in rows} - {row["language"] for row in ranked}):
        notes.append(f"{language}: no answerable question with known passages, so no ranks")
    proposed = sum(bool(row.get("proposed")) for row in good)
    if proposed:
        notes.append(f"{proposed} questions were proposed by a program and confirmed by nobody")
    return notes
