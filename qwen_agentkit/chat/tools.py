"""Tools, in all forms that callers write, as schemas in the OpenAI form. Knows LangChain, no model."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from qwen_agentkit.errors import InputError

__all__ = ["Tool", "read_tools"]

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool
"""The forms of a tool that callers write."""


def read_tools(tools: Iterable[Tool], *, strict: bool | None = None) -> list[dict[str, Any]]:
    """Return the schemas of tools; their parameters are objects, also where a schema leaves that out.

    Args:
        tools: Functions, LangChain tools, pydantic classes, TypedDicts or JSON schemas.
        strict: Written into the schemas.

    Raises:
        InputError: One of them is no tool that this package can offer.
    """
    return [_read(tool, strict) for tool in tools]


def _read(tool: Tool, strict: bool | None) -> dict[str, Any]:
    try:
        schema = convert_to_openai_tool(tool, strict=strict)
    except (KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"{_shown(tool)} is no tool: {error}. {_EXPECTED}") from error
    function = schema.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InputError(f"{_shown(tool)} is no tool that a model here can call. {_EXPECTED}")
    parameters = {**(function.get("parameters") or {"properties": {}}), "type": "object"}
    return {**schema, "function": {**function, "parameters": parameters}}


_EXPECTED = (
    "Expected a function, a LangChain tool, a pydantic class, a TypedDict or a schema with a name and "
    "parameters; tools that a provider runs itself, such as a web search, are not offered here."
)


def _shown(tool: Tool) -> str:
    name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return repr(name) if isinstance(name, str) else reprlib.repr(tool)
