"""Recognizes an agent that gets nowhere: the same failure again and again. Knows messages alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from qwen_agentkit.errors import AnswerFaultError

__all__ = ["check_attempts"]

# Agents show a model what was wrong and ask again, without an end of their own.
_MOST_ALIKE, _MOST = 3, 10


def check_attempts(messages: Sequence[BaseMessage]) -> None:
    """Refuse one more attempt at a call that has to come, after too many that failed since the question.

    An attempt fails without a call that can be read, or with calls whose results are all errors. Three in a
    row that are alike are too many, and ten of any kind.

    Args:
        messages: A chat that the model has to answer with a call.

    Raises:
        AnswerFaultError: The model makes no progress.
    """
    failed: list[tuple[AIMessage, list[ToolMessage]]] = []  # the last one first
    results: list[ToolMessage] = []
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            results.append(message)
        elif isinstance(message, AIMessage) and _fails(message, results):
            failed.append((message, results))
            results = []
        else:
            break
    alike = len([*takewhile(lambda attempt: _calls(attempt[0]) == _calls(failed[0][0]), failed)])
    if alike >= _MOST_ALIKE or len(failed) >= _MOST:
        times = f"{alike} times" if alike >= _MOST_ALIKE else f"{len(failed)} times in different ways"
        raise AnswerFaultError(
            f"The model was asked for a call and failed {times} since the question: "
            f"{_reason(*failed[0])}. Use a model or a server that holds a call to its schema, or a "
            "schema without conditions that a model cannot know."
        )


def _fails(attempt: AIMessage, results: Sequence[ToolMessage]) -> bool:
    wrong = {one.tool_call_id for one in results if one.status == "error" or one.text.startswith("Error")}
    return all(call["id"] in wrong for call in attempt.tool_calls)


def _calls(attempt: AIMessage) -> list[tuple[str, Any]]:
    """Return the calls of an attempt without their ids."""
    return [(call["name"], call["args"]) for call in attempt.tool_calls]


def _reason(attempt: AIMessage, results: Sequence[ToolMessage]) -> str:
    """Return what was wrong with an attempt, in one line."""
    said = [str(call["error"]) for call in attempt.invalid_tool_calls if call.get("error")]
    said += [one.text for one in results if attempt.tool_calls]
    reason = said[0] if said else f"it wrote {attempt.text[:80]!r}"
    return " ".join(reason.split())[:300].rstrip(".")
