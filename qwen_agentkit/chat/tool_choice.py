"""The tool choice, in all forms that callers of chat models write. Knows names, no schemas or models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["ToolChoice", "read_choice"]

ToolChoice = str | bool | dict[str, Any] | None
"""The forms of a tool choice that callers write."""


def read_choice(choice: ToolChoice, names: Sequence[str]) -> str | None:
    """Return a choice as "auto", "none", "any" or a tool's name; None if there is none.

    Args:
        choice: Such as "any", "required", True, a name, `{"function": {"name": ...}}` or `{"type": "any"}`.
        names: Names of the tools.

    Raises:
        InputError: The choice is not one of the tools.
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
