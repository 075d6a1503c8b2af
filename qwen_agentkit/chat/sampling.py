"""Which sampling values a call uses when the caller gives none. Knows the catalog, loads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from qwen_agentkit.catalog import FAMILIES, Family, SamplingValues, family_of

__all__ = ["recommended", "recommended_by_name", "usually_thinks"]


def recommended(
    model_type: str,
    *,
    thinking: bool,
    usual: bool,
    generation_config: Mapping[str, Any],
    replays: bool = False,
) -> SamplingValues:
    """Return the values for one call.

    They never make a model greedy while it thinks, whatever generation_config.json says: that is known to end
    in endless repetition.

    Args:
        model_type: As config.json has it, such as "qwen3_moe".
        thinking: Whether the model will think first.
        usual: Whether that is what the checkpoint does unasked, which generation_config.json speaks of.
        generation_config: Its values; those that are absent or None come from the catalog.
        replays: Whether the chat template can show old thoughts again, as from Qwen3.6 on.
    """
    values = _values(_family(model_type, replays), thinking)
    own = {field.name: generation_config.get(field.name) for field in fields(values)}
    given = {name: value for name, value in own.items() if value is not None}
    if not usual or (thinking and _is_greedy(given)):
        return values
    return replace(values, **given)


def recommended_by_name(model: str, thinking: bool | None) -> SamplingValues | None:
    """Return the values for a model of which only the name is known; None if it tells no family.

    Args:
        model: Such as "Qwen/Qwen3-8B" or "qwen3:8b".
        thinking: Whether it will think; None if nobody says, so that the name has to tell.
    """
    family = family_of(model)
    if family is None:
        return None
    usual = usually_thinks(model)
    able = family.thinking is not None and "instruct" not in model.lower()
    return _values(family, usual if thinking is None else thinking and able)


def usually_thinks(model: str) -> bool:
    """Whether a model of which only the name is known thinks unasked; False if the name tells no family."""
    family = family_of(model)
    if family is None or family.thinking is None or "instruct" in model.lower():
        return False
    sizes = "|".join(map(re.escape, family.quiet_sizes))
    return not (sizes and re.search(rf"[-:](?:{sizes})", model.lower()))


def _family(model_type: str, replays: bool) -> Family:
    """Return the family of an architecture; Qwen3.5 and Qwen3.6 share one and differ in their templates."""
    able = [family for family in FAMILIES if model_type in family.architectures] or [FAMILIES[-1]]
    return next((family for family in able if family.replays_thoughts == replays), able[0])


def _values(family: Family, thinking: bool) -> SamplingValues:
    """Return the values of a family; of one that never thinks, Qwen3's when it is made to."""
    if not thinking:
        return family.answering
    return family.thinking or FAMILIES[-1].thinking or family.answering


def _is_greedy(values: Mapping[str, Any]) -> bool:
    return values.get("temperature") == 0 or values.get("top_k") == 1 or values.get("top_p") == 0
