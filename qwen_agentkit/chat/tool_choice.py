"""Which tools a model may call, as callers of any chat model write it. Knows names, no schemas or models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["ToolChoice", "read_choice"]

ToolChoice = str | bool | dict[str, Any] | None
"""What callers write."""


def read_choice(choice: ToolChoice, names: Sequence[str]) -> str | None:
    """Bring a choice to "auto", "none", "any" or a tool's name; None if it says nothing.

    Args:
        choice: Such as "any", "required", True, a name, `{"function": {"name": ...}}` or `{"type": "any"}`.
        names: Of the tools.

    Raises:
        InputError: It is none of the tools.
    """
    if isinstance(choice, dict):
        choice = choice.get("function", choice).get("name") or choice.get("type")
    if not choice:
        return None
    if choice in (True, "any", "required") and names:
        return names[0] if len(names) == 1 else "any"
    if isinstance(choice, str) and choice in ("auto", "none", *names):
        return choice
    raise InputError(
        f"tool_choice={choice!r} is not among the tools ({', '.join(names) or 'there are none'}); "
        "expected one of them, or 'auto', 'any' or 'none'."
    )
