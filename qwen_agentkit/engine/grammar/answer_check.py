"""Checks what an answer holds beyond its grammar. Knows tools and schemas, no tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qwen_agentkit.chat.dialects import Dialect
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.engine.grammar.turn_grammar import Turn
from qwen_agentkit.errors import InputError

__all__ = ["AnswerCheck"]


class AnswerCheck:
    """Compares the calls and the object of an answer with what the grammar left out of their schemas.

    Args:
        turn: What the answer may contain.
        dialect: How the model writes calls.
    """

    def __init__(self, turn: Turn, dialect: Dialect) -> None:
        functions = (tool.get("function", tool) for tool in turn.tools)
        self._parameters = {function["name"]: function.get("parameters") or {} for function in functions}
        self._schema, self._is_xml = turn.schema, dialect == "xml"

    def find_call_fault(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return what of a call's arguments does not fit the tool; "" if they fit, or the tool is unknown."""
        if name not in self._parameters:
            return ""
        return _find_fault(self._parameters[name], arguments, always=self._is_xml)

    def find_answer_fault(self, text: str) -> str:
        """Return what of an answer does not fit its schema; "" if it fits, is no JSON, or has no schema."""
        if self._schema is None:
            return ""
        try:
            value = json.loads(text)
        except ValueError:  # cut off, or a call
            return ""
        return _find_fault(self._schema, value, always=False)


def _find_fault(schema: Mapping[str, Any], value: Any, *, always: bool) -> str:
    try:
        held = hold_schema("", schema)
    except InputError as error:
        return str(error)
    # The values of the XML dialect are held one by one, and what is said of them together is not.
    return held.find_fault(value) if held.left or always else ""
