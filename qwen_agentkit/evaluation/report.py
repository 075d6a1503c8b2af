"""A summary as one JSON object and as one HTML page. The page loads nothing; all text in it is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from qwen_agentkit.errors import MissingExtraError
from qwen_agentkit.evaluation.bootstrap import Estimate
from qwen_agentkit.evaluation.summary import ALL, Summary

__all__ = ["render_html", "to_json"]

_MEASURE = "RR@10"


def to_json(value: Any) -> Any:
    """Return dataclasses and estimates as JSON values; an estimate has value, low, high and size."""
    if isinstance(value, Estimate):
        return {name: round(number, 4) for name, number in value._asdict().items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(name): to_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return value


def render_html(summary: Summary) -> str:
    """Return the report as a page with a heatmap of MRR for each stage.

    Raises:
        MissingExtraError: The extra `eval` is not installed.
    """
    template = (files("qwen_agentkit") / "data" / "evaluation.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(summary=summary, heatmap=_draw_heatmaps(summary))


def _draw_heatmaps(summary: Summary) -> str:
    """Return a PNG in base64: question languages down, passage languages across; "" without pairs."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Heatmaps need the package matplotlib; expected the extra `eval`. Type: "
            "pip install 'qwen-agentkit[eval]'"
        ) from error
    pairs = [pair for pair in summary.ranks if pair != ALL]
    if not pairs:
        return ""
    asked = sorted({pair.split("→")[0] for pair in pairs})
    found = sorted({pair.split("→")[1] for pair in pairs})
    stages = list(summary.ranks[pairs[0]])
    figure = Figure(figsize=(1.5 + len(stages) * (1.2 + 0.45 * len(found)), 1.2 + 0.4 * len(asked)), dpi=110)
    for place, stage in enumerate(stages, 1):
        axes = figure.add_subplot(1, len(stages), place)
        cells = [
            [_cell(summary, f"{one}→{other}", stage) for other in found]  # a missing pair stays white
            for one in asked
        ]
        axes.imshow(cells, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_title(stage)
        axes.set_xticks(range(len(found)), found)
        axes.set_yticks(range(len(asked)), asked)
        for row, line in enumerate(cells):
            for column, value in enumerate(line):
                if value == value:  # not missing
                    color = "white" if value < 0.6 else "black"
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=7)
    figure.tight_layout()
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return base64.b64encode(image.getvalue()).decode()


def _cell(summary: Summary, pair: str, stage: str) -> float:
    return summary.ranks[pair][stage][_MEASURE].value if pair in summary.ranks else float("nan")
