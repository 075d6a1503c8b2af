"""A hybrid chat model: `engine.generate` against transformers' `generate`, on the 0.8B shape in bf16."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import chat, shape
from tests.benchmarks.work import Effort


def measure(effort: Effort) -> dict[str, Any]:
    """The first token of a fourth turn, one answer, and eight at once."""
    bench = chat.Bench(effort, str(shape.hybrid(effort.size)))
    return chat.compare(bench, (chat.turns, chat.decode, chat.eight))
