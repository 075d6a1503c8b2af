"""How each family wants to be sampled: rows of data from the model cards. Knows numbers, loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["Recommended", "recommended", "recommended_by_name"]


@dataclass(frozen=True)
class Recommended:
    """Sampling values of one family in one mode.

    Attributes:
        temperature: Divides the logits; 0 would be greedy.
        top_p: Share of the probability mass that is kept, 0..1.
        top_k: Tokens that are kept; 0 keeps all.
        min_p: Smallest probability kept, as a share of the largest, 0..1.
        presence_penalty: Taken from the logit of each token already written, -2..2.
        repetition_penalty: By which the logits of tokens of the prompt and the answer are made less likely;
            1 changes nothing.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0


# (family, thinking). What the model cards at https://huggingface.co/Qwen recommend: those of Qwen2.5, of
# Qwen3 and its 2507 editions, which Next and Coder follow, of Qwen3.5, and of Qwen3.6, which Qwen3.8 follows.
# Where a card gives several rows, the one for general text.
_ROWS = {
    ("qwen2", False): Recommended(0.7, 0.8, 20, repetition_penalty=1.05),
    ("qwen3", True): Recommended(0.6, 0.95, 20),
    ("qwen3", False): Recommended(0.7, 0.8, 20),
    ("qwen3_5", True): Recommended(1.0, 0.95, 20, presence_penalty=1.5),
    ("qwen3_5", False): Recommended(0.7, 0.8, 20, presence_penalty=1.5),
    ("qwen3_6", True): Recommended(1.0, 0.95, 20),
    ("qwen3_6", False): Recommended(0.7, 0.8, 20, presence_penalty=1.5),
}


def recommended(
    model_type: str,
    *,
    thinking: bool,
    usual: bool,
    generation_config: Mapping[str, Any],
    replays: bool = False,
) -> Recommended:
    """Pick the values for one call.

    They never make a model greedy while it thinks, whatever generation_config.json says: that is known to end
    in endless repetition.

    Args:
        model_type: As config.json has it, such as "qwen3_moe".
        thinking: Whether the model will think first.
        usual: Whether that is what the checkpoint does unasked, which generation_config.json speaks of.
        generation_config: Its values; those that are absent or None come from the table.
        replays: Whether the chat template can show old thoughts again, as from Qwen3.6 on.
    """
    row = _ROWS.get((_family(model_type, replays), thinking), _ROWS["qwen3", thinking])
    own = {field.name: generation_config.get(field.name) for field in fields(row)}
    given = {name: value for name, value in own.items() if value is not None}
    if not usual or (thinking and _is_greedy(given)):
        return row
    return replace(row, **given)


# Family, edition of Qwen3.x and the rest, as in "Qwen/Qwen3.6-27B", "qwen3:8b" or "qwen3-30b-a3b-instruct".
_NAME = re.compile(r"qwen-?(2|3)(?:\.(\d))?(.*)", re.IGNORECASE)


def recommended_by_name(model: str, thinking: bool | None) -> Recommended | None:
    """Pick the values for a model of which only the name is known; None if it tells too little.

    Args:
        model: Such as "Qwen/Qwen3-8B" or "qwen3:8b".
        thinking: Whether it will think; None if nobody says, so that the name has to tell.
    """
    found = _NAME.search(model)
    if not found:
        return None
    number, edition, rest = found[1], found[2], found[3].lower()
    family = "qwen2" if number == "2" else {None: "qwen3", "5": "qwen3_5"}.get(edition, "qwen3_6")
    if number == "2" or "instruct" in rest or "coder" in rest:
        thinking = False
    elif thinking is None:
        small = edition == "5" and re.match(r"[-:](0\.8|2)b", rest)  # these two do not think unasked
        thinking = not small
    return _ROWS[family, thinking]


def _family(model_type: str, replays: bool) -> str:
    """Name the family; the architecture of 3.5 was kept for 3.6 and 3.8."""
    family = model_type.removesuffix("_text").removesuffix("_moe")
    if family in ("qwen3_5", "qwen4_exp"):
        return "qwen3_6" if replays else "qwen3_5"
    return family


def _is_greedy(values: Mapping[str, Any]) -> bool:
    return values.get("temperature") == 0 or values.get("top_k") == 1 or values.get("top_p") == 0
