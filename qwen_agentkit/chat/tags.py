"""The tags that Qwen models write around thoughts and tool calls. Knows their words, reads nothing."""

from __future__ import annotations

__all__ = [
    "CLOSE_CALL",
    "CLOSE_FUNCTION",
    "CLOSE_PARAMETER",
    "CLOSE_THINK",
    "CLOSING_WORDS",
    "OPEN_CALL",
    "OPEN_FUNCTION",
    "OPEN_PARAMETER",
    "OPEN_THINK",
    "TAG_NAMES",
    "json_call",
    "think_block",
]

OPEN_THINK, CLOSE_THINK = "<think>", "</think>"

CLOSING_WORDS = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now.\n"
)
"""What ends a thought whose budget is spent: the words of Qwen's own description of thinking budgets. The
models were not measured with others."""

OPEN_CALL, CLOSE_CALL = "<tool_call>", "</tool_call>"

# Inside a call of the XML dialect. A name and ">" follow what opens a function or a parameter.
OPEN_FUNCTION, CLOSE_FUNCTION = "<function=", "</function>"
OPEN_PARAMETER, CLOSE_PARAMETER = "<parameter=", "</parameter>"

TAG_NAMES = ("think", "tool_call", "tool_response", "tools", "function", "parameter")
"""The names of all tags that chat templates write."""


def think_block(thought: str) -> str:
    """Write a thought as chat templates do, with the empty line before the answer."""
    return f"{OPEN_THINK}\n{thought}\n{CLOSE_THINK}\n\n"


def json_call(name: str, arguments: str) -> str:
    """Write a call in the JSON dialect.

    Args:
        name: The name of the tool, as JSON.
        arguments: The arguments, as JSON.
    """
    return f'{OPEN_CALL}\n{{"name": {name}, "arguments": {arguments}}}\n{CLOSE_CALL}'
