"""Answers as objects: asking for JSON and reading it. Knows LangChain runnables, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from qwen_agentkit.errors import InputError

__all__ = ["Method", "ask_for_json", "call_parser", "json_parser", "response_format", "with_parser"]

Method = Literal["function_calling", "json_schema", "json_mode"]


def response_format(schema: dict[str, Any] | type, method: Method) -> dict[str, Any]:
    """Say in the OpenAI form what the answer has to be."""
    if method == "json_mode":
        return {"type": "json_object"}
    json_schema = convert_to_json_schema(schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": json_schema.get("title", ""), "schema": json_schema},
    }


def ask_for_json(messages: list[BaseMessage], wanted: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the chat with the wish for JSON as part of its first system message.

    Args:
        messages: The chat, left as it is.
        wanted: A response format in the OpenAI form.

    Raises:
        InputError: The format is neither a JSON object nor a JSON schema.
    """
    kind = wanted.get("type")
    if kind not in ("json_object", "json_schema"):
        raise InputError(
            f"Unknown response_format type {kind!r}; expected 'json_schema' or 'json_object'. "
            "Use with_structured_output to have it made."
        )
    wish = "Answer with one JSON object and nothing else."
    if kind == "json_schema":
        schema = json.dumps(wanted["json_schema"]["schema"], ensure_ascii=False)
        wish = f"Answer with one JSON object that fits this JSON schema, and nothing else:\n{schema}"
    if messages and isinstance(messages[0], SystemMessage):
        return [SystemMessage([messages[0].text, "\n\n", wish]), *messages[1:]]
    return [SystemMessage(wish), *messages]


def call_parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    """Return the reader of an answer given as the arguments of a tool call."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    name = convert_to_openai_tool(schema)["function"]["name"]
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def json_parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    """Return the reader of an answer given as JSON text."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def with_parser(
    model: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any], *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Join a model and a reader.

    Args:
        model: What writes the message.
        parser: What reads it.
        include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of raising what the reader raises.
    """
    if not include_raw:
        return model | parser
    read = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | read.with_fallbacks([unread], exception_key="parsing_error")
