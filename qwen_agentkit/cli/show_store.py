"""Prints documents and the state of a store for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from qwen_agentkit.cli.terminal import console, isolate_lines, mark_cell, one_line
from qwen_agentkit.vectorstores.repair import StoreReport

__all__ = ["print_line", "print_passages", "print_plan", "print_rows", "print_store_report", "print_values"]


def print_line(text: str) -> None:
    """Print one line."""
    console().print(one_line(text))


def print_rows(rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """Print a table with a column for each key."""
    if not rows:
        print_line(nothing)
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, overflow="fold", no_wrap=bool(number))
    for row in rows:
        table.add_row(*(mark_cell(str(value)) for value in row.values()))
    console().print(table)


def print_passages(passages: Sequence[Mapping[str, Any]]) -> None:
    """Print passages, each under its number and heading."""
    out = console()
    for number, passage in enumerate(passages, 1):
        section = one_line(str(passage["metadata"].get("section") or ""))
        out.print(f"{number}. {section}".rstrip(), style="bold")
        out.print(isolate_lines(passage["text"]))


def print_values(values: Mapping[str, Any]) -> None:
    """Print a line for each value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        print_line(f"{name}: {value}")


def print_plan(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print each value with its unit and formula."""
    for row in rows:
        value = "unknown" if row["value"] is None else f"{row['value']:,.6g} {row['unit']}".strip()
        print_line(f"{row['name']}: {value} = {row['formula']}")


def print_store_report(report: StoreReport) -> None:
    """Print what a check or a repair found."""
    print_line(f"{report.points} passages, {len(report.problems)} problems")
    for problem in report.problems:
        print_line(f"problem: {problem['id']}: {problem['problem']}".replace(": :", ":"))
    for source in report.incomplete:
        print_line(f"not finished: {source}")
    for name in report.leftovers:
        print_line(f"left behind by a process that was killed: {name}")
