"""Two runs over the same questions: what is really different, and at which stage it begins.

Knows rows and intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.bootstrap import Estimate, estimate_difference
from qwen_agentkit.evaluation.measures import RANK_MEASURES
from qwen_agentkit.evaluation.run import Row, read_run
from qwen_agentkit.evaluation.summary import ALL, language_pair, stage_values

__all__ = ["Comparison", "Difference", "compare_runs"]


@dataclass(frozen=True)
class Difference:
    """How far one measure of one stage differs, for one language pair: the second run minus the first.

    Attributes:
        pair: Languages of question and passage.
        stage: Of the search.
        measure: Name of the measure.
        change: The mean difference with its paired interval.
        moved: Share of the questions whose order of passages is another.
    """

    pair: str
    stage: str
    measure: str
    change: Estimate
    moved: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        settings: Settings that differ, each with both values.
        differences: Every measure of every stage and pair.
        first: A sentence for each pair that says at which stage its orders begin to differ.
        only: Stages that one run has alone.
        questions: Questions that both have.
        left_out: Questions that one run has alone, or that failed in one.
    """

    settings: dict[str, tuple[Any, Any]]
    differences: list[Difference]
    first: list[str]
    only: list[str]
    questions: int
    left_out: int


def compare_runs(one: Path, other: Path) -> Comparison:
    """Compare two runs question by question.

    Raises:
        InputError: A folder holds no run, or the runs have no question in common.
    """
    (rows, settings), (other_rows, other_settings) = read_run(one), read_run(other)
    before = {row["id"]: row for row in rows if "stages" in row}
    after = {row["id"]: row for row in other_rows if "stages" in row}
    both = [id for id in before if id in after]
    if not both:
        raise InputError(
            f"{str(one)!r} and {str(other)!r} have no question in common; expected two runs over one file of "
            "questions. Check the paths."
        )
    names = sorted({*settings, *other_settings})
    stages = [name for name in before[both[0]]["stages"] if name in after[both[0]]["stages"]]
    every = {*before[both[0]]["stages"], *after[both[0]]["stages"]}
    differences = _find_differences([before[id] for id in both], [after[id] for id in both], stages)
    return Comparison(
        settings={
            name: (settings.get(name), other_settings.get(name))
            for name in names
            if settings.get(name) != other_settings.get(name)
        },
        differences=differences,
        first=_find_first(differences, stages),
        only=sorted(every - set(stages)),
        questions=len(both),
        left_out=len({row["id"] for row in [*rows, *other_rows]}) - len(both),
    )


def _find_differences(before: list[Row], after: list[Row], stages: Sequence[str]) -> list[Difference]:
    ranked = [(old, new) for old, new in zip(before, after, strict=True) if old["gold"]]
    old_values = stage_values([old for old, _ in ranked])
    new_values = stage_values([new for _, new in ranked])
    pairs: dict[str, list[tuple[Row, Row]]] = {ALL: ranked}
    for rows in ranked:
        pairs.setdefault(language_pair(rows[0]), []).append(rows)
    if len(pairs) == 2:
        del pairs[ALL]
    found = []
    for pair, group in pairs.items():
        for stage in stages:
            moved = sum(old["stages"][stage] != new["stages"][stage] for old, new in group) / max(
                1, len(group)
            )
            for measure in RANK_MEASURES:
                change = estimate_difference(
                    [new_values[stage][measure][new["id"]] for _, new in group],
                    [old_values[stage][measure][old["id"]] for old, _ in group],
                )
                found.append(Difference(pair, stage, measure, change, moved))
    return found


def _find_first(differences: Sequence[Difference], stages: Sequence[str]) -> list[str]:
    """Say for each pair at which stage its orders begin to differ; dense and words begin on their own."""
    found = []
    for pair in dict.fromkeys(one.pair for one in differences):
        mine = {one.stage: one for one in differences if one.pair == pair and one.measure == "RR@10"}
        moved = [stage for stage in stages if mine[stage].moved > 0]
        roots = [stage for stage in moved if stage in ("dense", "words")] or moved[:1]
        for stage in roots:
            one = mine[stage]
            found.append(
                f"{pair}: begins at {stage}, where {one.moved:.0%} of the orders differ; MRR "
                f"{one.change.value:+.3f} [{one.change.low:+.3f}, {one.change.high:+.3f}]"
                + ("" if one.real else ", which may be chance")
            )
    return found
