"""Answers as objects: asking for JSON and reading it. Knows LangChain runnables, no model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, SystemMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    JsonOutputToolsParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from qwen_agentkit.chat.answer_schemas import schema_of
from qwen_agentkit.chat.tools import read_tools
from qwen_agentkit.errors import AnswerFaultError, InputError

__all__ = [
    "PARSED",
    "Method",
    "answer_schema",
    "ask_for_json",
    "call_parser",
    "check_fault",
    "is_json",
    "is_parsed",
    "is_strict",
    "json_parser",
    "response_format",
    "with_parser",
]

Method = Literal["function_calling", "json_schema", "json_mode"]


PARSED = "parsed"
"""Key of a response format that says that a parser follows, which refuses what does not fit."""


def response_format(
    schema: dict[str, Any] | type, method: Method = "json_schema", *, strict: bool | None = None
) -> dict[str, Any]:
    """Return the response format in the OpenAI form.

    Args:
        schema: A pydantic class, a TypedDict, a JSON schema, or what is in the OpenAI form already.
        method: "json_schema", or "json_mode" for any JSON object.
        strict: Written into the format.
    """
    if method == "json_mode":
        return {"type": "json_object"}
    if isinstance(schema, dict) and schema.get("type") in ("json_object", "json_schema"):
        return schema
    # A function in the OpenAI form holds its schema.
    json_schema = dict(schema.get("parameters", schema)) if isinstance(schema, dict) else schema_of(schema)
    named = {"name": json_schema.get("title", ""), "schema": json_schema}
    return {"type": "json_schema", "json_schema": named if strict is None else {**named, "strict": strict}}


def is_strict(wanted: Mapping[str, Any]) -> bool:
    """Whether a response format refuses a schema that a grammar cannot hold wholly."""
    return bool(wanted.get("json_schema", {}).get("strict"))


def is_parsed(wanted: Mapping[str, Any] | None) -> bool:
    """Whether a parser follows a model with this response format."""
    return bool(wanted and wanted.get(PARSED))


def check_fault(message: BaseMessage, *, missing_call: bool, unread: Sequence[str] = ()) -> None:
    """Refuse an answer that does not fit its schema, or that has no call where one has to be.

    Args:
        message: The answer, or a chunk of it; the last one says how it ended.
        missing_call: Whether a call has to come and none has that can be read.
        unread: What is wrong with the calls that cannot be read, if nobody would ask for them again.

    Raises:
        AnswerFaultError: It is not what was asked for.
    """
    finish = message.response_metadata.get("finish_reason")
    if missing_call and finish == "length":
        raise AnswerFaultError(
            "The answer was cut off before the call that it has to be. Raise max_tokens, lower "
            "thinking_budget, or pass thinking=False."
        )
    if missing_call and finish and unread:
        raise AnswerFaultError(
            f"The answer has to be a call, and the one that came cannot be read: {unread[0]}. Ask again, or "
            "use a model or a server that holds calls to their schemas."
        )
    if fault := message.response_metadata.get("schema_fault"):
        raise AnswerFaultError(_say_fault(fault))


def _say_fault(fault: str) -> str:
    return (
        f"The answer does not fit its schema: {fault}. A grammar cannot hold that part of the schema. Ask "
        "again, or leave that part out."
    )


def answer_schema(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the answers that a response format allows.

    Args:
        wanted: A response format in the OpenAI form.

    Raises:
        InputError: It has no schema.
    """
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    schema = wanted.get("json_schema", {}).get("schema")
    if not isinstance(schema, dict):
        raise InputError(
            f"response_format={wanted!r} holds no JSON schema; expected {{'type': 'json_object'}}, "
            "{'type': 'json_schema', 'json_schema': {'name': ..., 'schema': {...}}}, "
            "a pydantic class or a JSON schema."
        )
    return schema


def ask_for_json(
    messages: list[BaseMessage], wanted: Mapping[str, Any], *, with_tools: bool = False
) -> list[BaseMessage]:
    """Return the chat with the request for JSON at the end of its first system messages.

    The grammar enforces the schema anyway, but the model has to know it to fill it with meaning.

    Args:
        messages: The chat, left as it is.
        wanted: A response format in the OpenAI form.
        with_tools: Whether the model may call tools instead.
    """
    request = "If you call no tool, answer" if with_tools else "Answer"
    if wanted["type"] == "json_schema":
        schema = json.dumps(answer_schema(wanted), ensure_ascii=False)
        request += f" with JSON that fits this JSON schema, and nothing else:\n{schema}"
    else:
        request += " with one JSON object and nothing else."
    leading = next((n for n, message in enumerate(messages) if not _is_system(message)), len(messages))
    if not leading:
        return [SystemMessage(request), *messages]
    last = SystemMessage([messages[leading - 1].text, "\n\n", request])
    return [*messages[: leading - 1], last, *messages[leading:]]


def _is_system(message: BaseMessage) -> bool:
    return isinstance(message, SystemMessage) or (
        isinstance(message, ChatMessage) and message.role == "system"
    )


def call_parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    """Return the parser of an answer given as the arguments of a tool call."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    name = read_tools([schema])[0]["function"]["name"]
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def json_parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    """Return the parser of an answer given as JSON text."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def with_parser(
    model: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any], *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Join a model and the parser of its answers.

    Args:
        model: Writes the message.
        parser: Reads it.
        include_raw: Return `{"raw", "parsed", "parsing_error"}` instead of raising what the parser raises.
    """
    calls = isinstance(parser, JsonOutputToolsParser)
    checked = RunnableGenerator(partial(_check, calls=calls), partial(_acheck, calls=calls)) | parser
    if not include_raw:
        return model | checked
    read = RunnablePassthrough.assign(parsed=itemgetter("raw") | checked, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | read.with_fallbacks([unread], exception_key="parsing_error")


def _check(messages: Iterator[AIMessage], *, calls: bool) -> Iterator[AIMessage]:
    """Pass on a message or its pieces, and refuse one that was cut off: parsers would read half of it."""
    pieces = []
    for message in messages:
        yield message
        _check_message(message)
        pieces.append(message)
    _check_end(pieces, calls=calls)


async def _acheck(messages: AsyncIterator[AIMessage], *, calls: bool) -> AsyncIterator[AIMessage]:
    pieces = []
    async for message in messages:
        yield message
        _check_message(message)
        pieces.append(message)
    _check_end(pieces, calls=calls)


def _check_end(pieces: Sequence[AIMessage], *, calls: bool) -> None:
    """Refuse half a call, and half a JSON text, which a stop string leaves."""
    text = "".join(piece.text for piece in pieces)
    if calls:
        whole = any(piece.tool_calls for piece in pieces)
    else:
        whole = not text.lstrip().startswith(("{", "[")) or is_json(text)
    if not whole:
        raise OutputParserException(
            f"The answer ended before its object was complete: {text[-80:]!r}; expected a whole object. "
            "Leave out stop strings that the object may hold.",
            llm_output=text,
        )


def is_json(text: str) -> bool:
    """Whether a text is JSON, as LangChain's parsers read it."""
    try:
        # Line breaks in strings, which some servers' grammars allow, are read by LangChain's parsers, too.
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _check_message(message: AIMessage) -> None:
    if fault := message.response_metadata.get("schema_fault"):
        raise OutputParserException(_say_fault(fault), llm_output=message.text)
    if message.response_metadata.get("finish_reason") == "length":
        usage = message.usage_metadata
        tokens = usage["output_tokens"] if usage else "some"
        raise OutputParserException(
            f"The answer was cut off after {tokens} tokens, before its object was complete. "
            "Raise max_tokens, lower thinking_budget, or ask for less.",
            llm_output=message.text,
        )
