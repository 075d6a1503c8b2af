"""The tool choice, in all forms that callers of chat models write. Knows names, no schemas or models."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from qwen_agentkit.chat.tools import Tool
from qwen_agentkit.errors import InputError

__all__ = ["ToolChoice", "forbids_parallel", "read_choice"]

ToolChoice = str | bool | Tool | None
"""The forms of a tool choice that callers write."""

_WORDS = ("auto", "none", "any", "required")


def read_choice(choice: ToolChoice, names: Sequence[str]) -> str | None:
    """Return a choice as "auto", "none", "any" or a tool's name; None if there is none.

    Args:
        choice: Such as "any", "required", True, a name, `{"function": {"name": ...}}`, `{"type": "any"}` or
            one of the tools itself.
        names: Names of the tools.

    Raises:
        InputError: The choice is not one of the tools.
    """
    named = _name_of(choice)
    if named in _WORDS and named in names:
        raise InputError(
            f"A tool cannot be chosen by the name {named!r}, which is a choice itself. Rename it."
        )
    choice = named or (choice.get("type") if isinstance(choice, dict) else choice)
    if not choice:
        return None
    if choice in (True, "any", "required") and names:
        return names[0] if len(names) == 1 else "any"
    if isinstance(choice, str) and choice in ("auto", "none", *names):
        return choice
    raise InputError(
        f"tool_choice={reprlib.repr(choice)} is not among the tools ({', '.join(names) or 'there are none'})"
        "; expected one of them, or 'auto', 'any' or 'none'."
    )


def forbids_parallel(choice: ToolChoice) -> bool:
    """Whether a choice in Anthropic's form allows one call at most."""
    return isinstance(choice, dict) and bool(choice.get("disable_parallel_tool_use"))


def _name_of(choice: ToolChoice) -> str | None:
    """Return the name of the tool that a choice is or holds; None if it is a word or a text."""
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else function or choice.get("name")
        return name if isinstance(name, str) else None
    name = getattr(choice, "name", None) or getattr(choice, "__name__", None)
    return name if isinstance(name, str) else None
