"""The words and signs between the two ends of a range, in a normalized text."""

from __future__ import annotations

import re

from qwen_agentkit.text.folding import normalize_text

__all__ = ["is_range"]

_SIGNS = "-~–—−〜～…"
_WORDS = (
    "to until till through thru bis au à a al hasta até ao às ad alle tot t/m t.o.m. til do až до по "
    "den -e dek kadar ila الى حتي حتى تا ل עד ל से लेकर থেকে par 至 到 から まで 부터 에서 ถึง จนถึง "
    "đến tới hingga sampai hadi mpaka έως μέχρι ως ig până la līdz iki kuni asti hanggang سے ते "
    "देखि થી ਤੋਂ முதல் నుండి "
    "നിന്ന് മുതൽ ដល់ ຫາ до do fins até ate"
)
_BETWEEN = frozenset(
    map(normalize_text, [*_WORDS.split(), "tot en met", "hingga ke", "bis zum", "up to"])
) | frozenset(_SIGNS)
# What may stand at the end of the first half and before the second: "9 am to 5 pm", 9時から, "9 Uhr bis".
_AROUND = re.compile(
    r"\b(?:[ap]\.?m\.?|o'clock|uhr|h|hrs?|heures?|horas?|ore|uur|час(?:ов|а)?|the|el|los|las|le|les"
    r"|den|die|am)\b"
    r"|[点點時时시]|[ \u200f\u200e.'’]|صباحا|مساء|ظهرا|بعد الظهر"
)


def is_range(gap: str) -> bool:
    """Tell whether what stands between two numbers or names makes them the ends of a range."""
    return len(gap) <= 24 and (gap.strip() in _BETWEEN or _AROUND.sub("", gap) in _BETWEEN)
