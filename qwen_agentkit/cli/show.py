"""Prints results for a person. Knows the values of `commands` and the terminal, no models."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.table import Table

from qwen_agentkit.cli.terminal import console, isolate_lines, isolate_name, label_line, mark_cell, one_line
from qwen_agentkit.stack import NANO_NOTICE
from qwen_agentkit.text.languages import phrase

if TYPE_CHECKING:
    from qwen_agentkit.cli.commands import AskResult, SearchResult
    from qwen_agentkit.ingest import IngestReport
    from qwen_agentkit.ingest.watching import WatchReport

_NEAREST_SHOWN = 80
"""Characters of a passage that is shown for an abstention."""

__all__ = [
    "AnswerStream",
    "print_findings",
    "print_notice",
    "print_project",
    "print_ranking",
    "print_report",
    "print_results",
    "print_watch_report",
]


_HEADINGS = {"downloaded": "on disk", "weights_gb": "size gb"}
"""Short headings, with which the table of checkpoints fits 80 columns without a break inside a word."""

_EMPTY = "Nothing found: the store is empty."

_NAMED = 3
"""How many of the files that were passed over for one reason are named."""


def print_notice(preset: str) -> None:
    """Say that the bundled nano models answer, when they do."""
    if preset == "nano":
        console(stderr=True).print(NANO_NOTICE, style="yellow")


def print_report(found: IngestReport) -> None:
    """Print what an ingest did, and every file that it could not read."""
    out = console()
    out.print(
        f"{found.added} added, {found.skipped} unchanged, {found.removed} removed, "
        f"{len(found.failed)} failed in {found.seconds:.1f} s"
    )
    for failure in found.failed:
        console(stderr=True).print(
            f"failed: {isolate_name(failure['source'])}: {one_line(failure['reason'])}", style="red"
        )
    for warning in found.warnings:
        page = f", page {warning['page']}" if warning["page"] else ""
        text = f"warning: {isolate_name(warning['source'])}{page}: {one_line(warning['reason'])}"
        console(stderr=True).print(text, style="yellow")
    reasons: dict[str, list[str]] = {}
    for other in found.passed_over:
        reasons.setdefault(other["reason"], []).append(isolate_name(other["source"]))
    for reason, sources in reasons.items():
        more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
        text = f"passed over: {', '.join(sources[:_NAMED])}{more}: {reason}"
        console(stderr=True).print(text, style="yellow")


def print_watch_report(found: WatchReport) -> None:
    """Print what a run of `ingest --watch` did, and what keeps failing."""
    if found.report is not None:
        print_report(found.report)
    else:
        console(stderr=True).print(f"failed, will be tried again: {one_line(found.error)}", style="red")
    for failure in found.failing:
        if failure["tries"] > 1:
            line = f"keeps failing: {isolate_name(failure['source'])} ({failure['tries']} tries)"
            console(stderr=True).print(line, style="red")


def print_results(found: Sequence[SearchResult]) -> None:
    """Print passages with their scores and their rank before reranking."""
    out = console()
    if not found:
        out.print(_EMPTY)
    elif not any(result["relevant"] for result in found):
        out.print("Nothing is relevant. The nearest passages:", style="yellow")
    for place, result in enumerate(found, 1):
        out.print(
            f"{place}. {result['score']:.3f}  {isolate_name(result['source'])}  "
            f"(before reranking: {result['rank_before']})",
            style="bold",
        )
        out.print(isolate_lines(result["text"]))


class AnswerStream:
    """Prints thoughts and the answer as they stream; `close` prints what is known at the end."""

    _LABELS: ClassVar = {"reasoning": "Thinking: ", "answer": "Answer: "}

    def __init__(self) -> None:
        self._out = console()
        self._kind = ""
        self._answer = ""

    def __call__(self, kind: str, value: Any) -> None:
        """Print one event of `commands.ask`."""
        if kind not in self._LABELS:
            return
        if kind != self._kind:
            if self._kind:
                self._out.print()
            self._out.print(self._LABELS[kind], style="dim", end="")
            self._kind = kind
        if kind == "answer":
            self._answer += value
        self._out.print(value, style="dim" if kind == "reasoning" else "", end="")

    def close(self, result: AskResult) -> None:
        """End the stream. Print the checked answer if it differs, then its sources and timings."""
        if self._kind:
            self._out.print()
        if self._answer.strip() != result["answer"]:
            self._out.print(isolate_lines(result["answer"]), style="bold")
        _print_sources(result)
        if result["abstained"]:
            _print_nearest(result)


def _print_nearest(result: AskResult) -> None:
    """Print the passages that came nearest, and how to let them answer; else those without an answer."""
    out = console()
    for label, passages in (("nearest", result["nearest"]), ("read, no answer", result["documents"])):
        for passage in passages:
            start = " ".join(passage["text"].split())[:_NEAREST_SHOWN]
            score = "" if passage["score"] is None else f" {passage['score']:.2f}"
            out.print(label_line(f"  {label}: {isolate_name(passage['source'])}{score}: ", start))
    if not (result["nearest"] or result["documents"]):
        out.print(_EMPTY, style="yellow")
    if result["nearest"]:
        lower = math.floor(result["nearest"][0]["score"] * 100) / 100
        out.print(
            f"A passage needs a score of {result['threshold']:.2f} to answer. "
            f"To let the nearest one answer, add --min-score {lower}",
            style="dim",
        )


def _print_sources(result: AskResult) -> None:
    """Print the quote of each marker, and the time of each stage."""
    out = console()
    if result["citations"]:
        out.print(isolate_lines(phrase(result["language"], "sources")), style="dim")
    for citation in result["citations"]:
        source = isolate_name(citation["source"])
        out.print(label_line(f"  [{citation['marker']}] {source}: ", citation["quote"]))
    seconds = ", ".join(f"{stage} {value * 1000:.0f} ms" for stage, value in result["timings"].items())
    out.print(seconds, style="dim")


def print_ranking(found: Sequence[SearchResult], shown: int) -> None:
    """Print the first-stage order beside the reranked order, `shown` rows of each, with both scores."""
    table = Table(box=None, header_style="dim")
    for heading, width in (("first stage", 26), ("score", 6), ("order in use", 26), ("score", 5), ("was", 3)):
        table.add_column(heading, no_wrap=True, width=width)  # a long name is cut, a score never
    before = sorted(found, key=lambda result: result["rank_before"])
    for first, second in list(zip(before, found, strict=True))[:shown]:
        table.add_row(
            _shorten_source(first["source"]),
            "" if first["retrieval_score"] is None else f"{first['retrieval_score']:.4f}",
            _shorten_source(second["source"]),
            f"{second['score']:.3f}",
            str(second["rank_before"]),
        )
    console().print(table)


def _shorten_source(source: str) -> str:
    """Return the last folder and the file name, which fit a narrow table."""
    return mark_cell("/".join(source.split("/")[-2:]))


def print_project(folder: Path, files: Sequence[Path]) -> None:
    """Print the files of a new project, and what to type next."""
    out = console()
    for file in files:
        out.print(str(folder / file))
    out.print(
        f"cd {shlex.quote(str(folder))} && pip install -e '.[dev]' && pytest && langgraph dev", style="bold"
    )


def print_findings(found: Mapping[str, Any]) -> None:
    """Print what `doctor` found, each as a line or a table."""
    out = console()
    for name, value in found.items():
        if isinstance(value, list):
            out.print(f"{name}:", style="bold")
            out.print(_build_table(value))
        else:
            out.print(f"{name}: {value}")


def _build_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a column for each key of the rows. A missing value is an empty cell."""
    table = Table(box=None, header_style="dim", pad_edge=False, collapse_padding=True)
    headings = list(dict.fromkeys(name for row in reversed(rows) for name in row))
    for heading in headings:
        shown = _HEADINGS.get(heading, heading).replace("_", " ")
        table.add_column(shown, no_wrap=heading == "name", overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(heading, "")) for heading in headings))
    return table
