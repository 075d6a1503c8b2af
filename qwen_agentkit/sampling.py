"""How each family wants to be sampled: rows of data from the model cards. Knows numbers, loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["Recommended", "recommended"]


@dataclass(frozen=True)
class Recommended:
    """Sampling values of one family in one mode.

    Attributes:
        temperature: Divides the logits; 0 would be greedy.
        top_p: Share of the probability mass that is kept, 0..1.
        top_k: Tokens that are kept; 0 keeps all.
        min_p: Smallest probability kept, as a share of the largest, 0..1.
        presence_penalty: Taken from the logit of each token already written, -2..2.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float = 0.0
    presence_penalty: float = 0.0


# (model_type, thinking): the cards of Qwen3, its 2507 editions and Qwen2.5.
_ROWS = {
    ("qwen3", True): Recommended(0.6, 0.95, 20),
    ("qwen3", False): Recommended(0.7, 0.8, 20),
    ("qwen2", False): Recommended(0.7, 0.8, 20),
}


def recommended(
    model_type: str, *, thinking: bool, usual: bool, generation_config: Mapping[str, Any]
) -> Recommended:
    """Pick the values for one call.

    Args:
        model_type: As config.json has it, such as "qwen3_moe".
        thinking: Whether the model will think first.
        usual: Whether that is what the checkpoint does unasked, which generation_config.json speaks of.
        generation_config: Its values; those that are absent or None come from the table.
    """
    family = model_type.removesuffix("_moe")
    row = _ROWS.get((family, thinking), _ROWS["qwen3", thinking])
    if not usual:
        return row
    own = {field.name: generation_config.get(field.name) for field in fields(row)}
    return replace(row, **{name: value for name, value in own.items() if value is not None})
