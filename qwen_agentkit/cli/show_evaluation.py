"""Prints measures for a person. Knows summaries, comparisons and the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from qwen_agentkit.cli.terminal import console, label_line
from qwen_agentkit.evaluation.bootstrap import Estimate
from qwen_agentkit.evaluation.calibrate import Fit
from qwen_agentkit.evaluation.compare import Comparison
from qwen_agentkit.evaluation.measures import RANK_MEASURES
from qwen_agentkit.evaluation.summary import Summary
from qwen_agentkit.evaluation.tool_calls import ToolReport

__all__ = ["print_comparison", "print_crowding", "print_fit", "print_summary", "print_tool_calls"]

_HEADS = {"R@10": "recall@10", "RR@10": "MRR@10", "nDCG@10": "nDCG@10"}
_ABSTENTION = ("precision", "recall", "f1", "coverage")
_SHOWN = 5


def print_summary(summary: Summary, folder: Path) -> None:
    """Print the tables, what does harm, and where the rows are."""
    out = console()
    table = _table("pair", "stage", "n", *_HEADS.values())
    for pair, stages in summary.ranks.items():
        for stage, found in stages.items():
            cells = [_estimate(found[name]) for name in RANK_MEASURES]
            table.add_row(pair, stage, str(found["R@10"].size), *cells)
    out.print(table)
    if summary.abstention:
        table = _table("abstention", "precision", "recall", "F1", "coverage at 5 %")
        for language, row in summary.abstention.items():
            table.add_row(language, *(_estimate(row[name]) for name in _ABSTENTION))
        out.print(table)
    if summary.answers:
        table = _table("answers", "mean", "questions")
        for name, one in summary.answers.items():
            table.add_row(name.replace("_", " "), _estimate(one), str(one.size))
        out.print(table)
    for line in [*summary.harm, *summary.notes]:
        out.print(line, style="yellow")
    if summary.worst:
        out.print(f"worst pair: {summary.worst}")
    for asked in summary.worst_questions[:_SHOWN]:
        out.print(label_line(f"  {asked['pair']} {asked['id']}: ", asked["question"]))
    out.print(f"{summary.seconds * 1000:.1f} ms a search; rows in {folder}", style="dim")


def print_comparison(found: Comparison) -> None:
    """Print which settings differ, where the orders begin to differ, and the measures that really do."""
    out = console()
    for name, (one, other) in found.settings.items():
        out.print(f"setting {name}: {one} -> {other}")
    for stage in found.only:
        out.print(f"only one run has the stage {stage}")
    for line in found.first:
        out.print(line)
    real = [one for one in found.differences if one.real]
    table = _table("pair", "stage", "measure", "change")
    for one in sorted(real, key=lambda one: -abs(one.change.value)):
        table.add_row(one.pair, one.stage, _HEADS[one.measure], _estimate(one.change, signed=True))
    if real:
        out.print(table)
    else:
        out.print("No measure differs beyond its interval.")
    out.print(f"{found.questions} questions in both runs, {found.left_out} left out", style="dim")


def print_crowding(found: dict[str, dict[str, Estimate]]) -> None:
    """Print how often a foreign answer is found, by language of the question."""
    table = _table("asked in", *next(iter(found.values())))
    for language, stages in found.items():
        table.add_row(language, *(_estimate(one) for one in stages.values()))
    console().print(
        "Share of questions whose answer in another language is among the first ten passages, or the "
        "candidates. One search: without the one among passages in other languages."
    )
    console().print(table)


def print_tool_calls(found: ToolReport) -> None:
    """Print the share of right answers by category, and the first faults."""
    out = console()
    table = _table("tool calls", "right", "cases")
    for category, one in found.right.items():
        table.add_row(category, _estimate(one), str(one.size))
    out.print(table)
    for name, fault in list(found.faults.items())[:_SHOWN]:
        out.print(label_line(f"  {name}: ", fault))
    if len(found.faults) > _SHOWN:
        out.print(f"  and {len(found.faults) - _SHOWN} more; --json lists all", style="dim")


def print_fit(fit: Fit, file: Path | None) -> None:
    """Print what was fitted, how good it is, and where it is kept."""
    out = console()
    out.print(fit.calibration.describe())
    table = _table("on the same questions", "value")
    table.add_row("MRR@10 of the fused search over the better one", _estimate(fit.mrr, signed=True))
    table.add_row("MRR@10 of the reranker over the fused search", _estimate(fit.rerank, signed=True))
    table.add_row("answerable questions answered at the chosen error", _estimate(fit.coverage))
    table.add_row("F1 of abstaining", _estimate(fit.f1))
    out.print(table)
    if file is not None:
        out.print(f"kept in {file}")
        return
    made, fusion = fit.calibration, fit.calibration.fusion
    if fusion is not None:
        weights = f"{fusion.same:g}, {fusion.other:g}, {fusion.threshold:g}, {fusion.floor:g}"
        out.print(f'row of FUSIONS:    "{made.embedder}": Fusion({weights}, data=...)')
    row = f"Threshold({made.threshold:g}, {made.share:g}, data=...)"
    out.print(f'row of THRESHOLDS: "{made.reranker}": {row}')


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for head in heads:
        table.add_column(head)
    return table


def _estimate(one: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    low, high = (f"{bound:{sign}.2f}".replace("0.", ".") for bound in (one.low, one.high))
    return f"{one.value:{sign}.3f} [{low}, {high}]"
