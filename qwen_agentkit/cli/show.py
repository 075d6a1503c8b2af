"""How results look to a person. Knows the values of `commands.py` and the terminal, no models."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.table import Table

from qwen_agentkit.cli.terminal import console, directed, line
from qwen_agentkit.stack import NANO_NOTICE
from qwen_agentkit.text.languages import phrase

if TYPE_CHECKING:
    from qwen_agentkit.cli.commands import AskResult, SearchResult
    from qwen_agentkit.ingest import IngestReport

__all__ = ["AnswerStream", "findings", "notice", "project", "ranking", "report", "results"]


def notice(preset: str) -> None:
    """What kind of models answer, when they are the bundled ones."""
    if preset == "nano":
        console(stderr=True).print(NANO_NOTICE, style="yellow")


def report(found: IngestReport) -> None:
    """What an ingest did, and every file it could not read."""
    out = console()
    out.print(
        f"{found.added} added, {found.skipped} unchanged, {found.removed} removed, "
        f"{len(found.failed)} failed in {found.seconds:.1f} s"
    )
    for failure in found.failed:
        console(stderr=True).print(f"failed: {failure['source']}: {failure['reason']}", style="red")


def results(found: Sequence[SearchResult]) -> None:
    """Passages with their scores and their place before reranking."""
    out = console()
    if not found:
        out.print("Nothing found: the store holds no passage.")
    for place, result in enumerate(found, 1):
        out.print(
            f"{place}. {result['score']:.3f}  {result['source']}  (was {result['rank_before']})", style="bold"
        )
        out.print(directed(result["text"]))


class AnswerStream:
    """Shows thoughts and words as they come; `close` adds what is known only at the end."""

    _LABELS: ClassVar = {"reasoning": "Thinking: ", "answer": "Answer: "}

    def __init__(self) -> None:
        self._out = console()
        self._kind = ""
        self._answer = ""

    def __call__(self, kind: str, value: Any) -> None:
        """Take one event of `commands.ask`."""
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
        """End the stream; print the checked answer unless it stands there, its sources and timings."""
        if self._kind:
            self._out.print()
        if self._answer.strip() != result["answer"]:
            self._out.print(directed(result["answer"]), style="bold")
        _sources(result)


def _sources(result: AskResult) -> None:
    """The quotes that the markers point at, and the seconds of each stage."""
    out = console()
    if result["citations"]:
        out.print(directed(phrase(result["language"], "sources")), style="dim")
    for citation in result["citations"]:
        out.print(line(f"  [{citation['marker']}] {citation['source']}: ", citation["quote"]))
    seconds = ", ".join(f"{stage} {value * 1000:.0f} ms" for stage, value in result["timings"].items())
    out.print(seconds, style="dim")


def ranking(found: Sequence[SearchResult], shown: int) -> None:
    """First-stage order beside reranked order, the first `shown` of each, with both scores."""
    table = Table(box=None, header_style="dim")
    for heading, width in (("first stage", 26), ("score", 6), ("reranked", 26), ("score", 5), ("was", 3)):
        table.add_column(heading, no_wrap=True, width=width)  # a long name gives way, never a score
    before = sorted(found, key=lambda result: result["rank_before"])
    for first, second in list(zip(before, found, strict=True))[:shown]:
        table.add_row(
            _short(first["source"]),
            "" if first["retrieval_score"] is None else f"{first['retrieval_score']:.4f}",
            _short(second["source"]),
            f"{second['score']:.3f}",
            str(second["rank_before"]),
        )
    console().print(table)


def _short(source: str) -> str:
    """The last folder and the name: what tells files apart in a narrow table."""
    return "/".join(source.split("/")[-2:])


def project(folder: Path, files: Sequence[Path]) -> None:
    """The files of a new project, and what to type next."""
    out = console()
    for file in files:
        out.print(str(folder / file))
    out.print(
        f"cd {shlex.quote(str(folder))} && pip install -e '.[dev]' && pytest && langgraph dev", style="bold"
    )


def findings(found: Mapping[str, Any]) -> None:
    """What `doctor` found, a line or a table each."""
    out = console()
    for name, value in found.items():
        if isinstance(value, list):
            out.print(f"{name}:", style="bold")
            out.print(_table(value))
        else:
            out.print(f"{name}: {value}")


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows under the names of their values; those that a row lacks are left empty."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    headings = list(dict.fromkeys(name for row in reversed(rows) for name in row))
    for heading in headings:
        table.add_column(heading.replace("_", " "), no_wrap=heading == "name", overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(heading, "")) for heading in headings))
    return table
