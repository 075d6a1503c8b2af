"""Tools, in all forms that callers write, as schemas in the OpenAI form. Knows LangChain, no model."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.tools import BaseTool, create_schema_from_function
from langchain_core.tools import Tool as SimpleTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json_schema import dereference_refs
from langchain_core.utils.pydantic import is_basemodel_subclass

from qwen_agentkit.chat.answer_schemas import refers_to_itself, schema_of
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
        schema = convert_to_openai_tool(_described(tool), strict=strict)
    except (KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"{_shown(tool)} is no tool: {error}. {_EXPECTED}") from error
    function = schema.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InputError(f"{_shown(tool)} is no tool that a model here can call. {_EXPECTED}")
    parameters = function.get("parameters") or {"properties": {}}
    if isinstance(kind := parameters.get("type", "object"), str) and kind != "object":
        raise InputError(
            f"{_shown(tool)} is no tool: its parameters are of type {kind!r}, and arguments are an object. "
            "Put the value into a field; for an answer use method='json_schema'."
        )
    parameters = {**parameters, "type": "object"}
    return {**schema, "function": {**function, "parameters": parameters}}


def _described(tool: Tool) -> Tool:
    """Return a tool as a dict, if its schema comes from types.

    LangChain's own converter empties schemas that refer to themselves.
    """
    if isinstance(tool, BaseTool) and (tool.args_schema is not None or not isinstance(tool, SimpleTool)):
        name, description, types = tool.name, tool.description, tool.tool_call_schema
    elif isinstance(tool, type) and not is_basemodel_subclass(tool):
        found = schema_of(tool)
        name, description, types = tool.__name__, found.get("description", ""), found
    elif isinstance(tool, type):
        written = convert_to_openai_tool(tool)["function"]
        name, description, types = written["name"], written["description"], tool
    elif callable(tool) and not isinstance(tool, BaseTool):
        written = convert_to_openai_tool(tool)["function"]
        name, description = written["name"], written["description"]
        types = create_schema_from_function(
            name, tool, filter_args=(), parse_docstring=True, error_on_invalid_docstring=False
        )
    else:
        return tool
    parameters = schema_of(types)
    if not refers_to_itself(parameters):
        parameters = dereference_refs(parameters)
        parameters.pop("$defs", None)
        parameters.pop("definitions", None)
    elif isinstance(reference := parameters.get("$ref"), str):  # readers of tools look for the properties
        whole = parameters.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        parameters = {**whole, "$defs": parameters["$defs"]}
    parameters = _without_titles(parameters)
    parameters.pop("description", None)
    return {"name": name, "description": description, "parameters": parameters}


_NAMED_SCHEMAS = frozenset(("$defs", "definitions", "patternProperties", "properties"))
_VALUES = frozenset(("const", "default", "enum", "examples"))


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the titles that pydantic makes of names. They tell a model nothing new."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            found[key] = {
                name: _without_titles(one) if isinstance(one, dict) else one for name, one in value.items()
            }
        elif isinstance(value, dict) and key not in _VALUES:
            found[key] = _without_titles(value)
        elif isinstance(value, list) and key not in _VALUES:
            found[key] = [_without_titles(one) if isinstance(one, dict) else one for one in value]
        elif key != "title":
            found[key] = value
    return found


_EXPECTED = (
    "Expected a function, a LangChain tool, a pydantic class, a TypedDict or a schema with a name and "
    "parameters; tools that a provider runs itself, such as a web search, are not offered here."
)


def _shown(tool: Tool) -> str:
    name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
    return repr(name) if isinstance(name, str) else reprlib.repr(tool)
