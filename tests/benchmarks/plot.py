"""Draws how many times slower the peers are, a group of bars for each case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def bars(results: dict[str, Any], file: Path) -> None:
    """Write a PNG of the cases of one subcommand; memory is drawn in megabytes.

    Args:
        results: what its `measure` returned.
        file: where to.
    """
    groups, label = _groups(results["cases"])
    figure = Figure(figsize=(8, 1.5 + 0.32 * sum(map(len, groups.values()))), layout="constrained")
    axes = figure.subplots()
    names, values, row = [], [], 0
    ticks: list[int] = []
    for case, found in groups.items():
        for name, value in found.items():
            names.append(f"{case}: {name}")
            values.append(value)
            ticks.append(row)
            row += 1
        row += 1  # a gap between cases
    drawn = axes.barh(ticks, values)
    axes.bar_label(drawn, fmt="{:.4g}", padding=2)
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.axvline(1, linewidth=0.8, color="black", visible=label != "megabytes")
    axes.set_xlabel(label)
    figure.savefig(file, dpi=150)


def _groups(cases: dict[str, Any]) -> tuple[dict[str, dict[str, float]], str]:
    if any("times_slower_than_ours" in found for found in cases.values()):
        return {
            case: found["times_slower_than_ours"] for case, found in cases.items()
        }, "times slower than ours"
    sizes = {name: found["megabytes"] for name, found in cases.items() if "megabytes" in found}
    return {"beside the weights": sizes}, "megabytes"
