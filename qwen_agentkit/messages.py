"""LangChain messages to the plain dicts that chat templates read, and events back to message chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk

from qwen_agentkit.engine.answer import Done
from qwen_agentkit.errors import InputError
from qwen_agentkit.parsing import ContentEvent, Event, InvalidCallEvent, ReasoningEvent

__all__ = ["from_events", "to_template"]

_ROLES = {HumanMessage: "user", SystemMessage: "system", AIMessage: "assistant"}
_ROLES_OF_RESULTS = (ToolMessage, FunctionMessage)

# What AIMessage.tool_calls or the provider's own fields say already.
_SAID_ELSEWHERE = (
    "tool_use",
    "tool_call",
    "tool_call_chunk",
    "invalid_tool_call",
    "function_call",
    "non_standard",
)

# LangChain numbers the blocks of a streamed message by their order, and merges what has the same number:
# a call numbered from 0 would vanish inside the reasoning block.
_FIRST_CALL_INDEX = 1000


def to_template(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Convert a chat for the template.

    Raises:
        InputError: A message holds something other than text, or is of an unknown kind.
    """
    return [_to_template(message) for message in messages]


def from_events(events: Iterable[Event | Done], model_name: str) -> Iterator[AIMessageChunk]:
    """Convert an answer, event by event, into chunks whose sum is the message."""
    calls = 0
    for event in events:
        if isinstance(event, Done):
            yield _last(event, model_name)
        elif isinstance(event, ReasoningEvent):
            yield AIMessageChunk(content="", additional_kwargs={"reasoning_content": event.text})
        elif isinstance(event, ContentEvent):
            yield AIMessageChunk(content=event.text)
        else:
            # LangChain reads the arguments again; raw text begins with a tag, so it stays an invalid call.
            invalid = isinstance(event, InvalidCallEvent)
            args = event.call["args"] if invalid else json.dumps(event.call["args"], ensure_ascii=False)
            chunk = tool_call_chunk(
                name=event.call["name"],
                args=str(args),
                id=f"call_{uuid4().hex}",  # the parser's numbers repeat from turn to turn
                index=_FIRST_CALL_INDEX + calls,
            )
            calls += 1
            yield AIMessageChunk(content="", tool_call_chunks=[chunk])


def _last(done: Done, model_name: str) -> AIMessageChunk:
    metadata: dict[str, Any] = {
        "model_provider": "qwen-agentkit",
        "model_name": model_name,
        "finish_reason": done.finish_reason,
    }
    if done.thinking_truncated:
        metadata["thinking_truncated"] = True
    return AIMessageChunk(
        content="",
        response_metadata=metadata,
        usage_metadata={
            "input_tokens": done.input_tokens,
            "output_tokens": done.output_tokens,
            "total_tokens": done.input_tokens + done.output_tokens,
            "output_token_details": {"reasoning": done.reasoning_tokens},
        },
        chunk_position="last",
    )


def _to_template(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, _ROLES_OF_RESULTS):
        return {"role": "tool", "content": _text(message)}
    if isinstance(message, ChatMessage):
        return {"role": message.role, "content": _text(message)}
    role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        raise InputError(
            f"Cannot send a {type(message).__name__} to a model; expected system, human, AI or tool messages."
        )
    converted: dict[str, Any] = {"role": role, "content": _text(message)}
    if isinstance(message, AIMessage):
        if reasoning := _reasoning(message):
            converted["reasoning_content"] = reasoning
        if message.tool_calls:
            converted["tool_calls"] = [
                {"type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
                for call in message.tool_calls
            ]
    return converted


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_text_of(block) for block in message.content)


def _text_of(block: str | dict[str, Any]) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind == "text":
        return str(block["text"])
    if kind == "json":
        return json.dumps(block.get("json"), ensure_ascii=False)
    if kind == "reasoning" or kind in _SAID_ELSEWHERE:
        return ""
    raise InputError(
        f"A message holds a block of type {kind!r}; this checkpoint reads text only. "
        "Send text blocks, or describe the content in words."
    )


def _reasoning(message: AIMessage) -> str:
    if thought := message.additional_kwargs.get("reasoning_content"):
        return str(thought)
    blocks = message.content if isinstance(message.content, list) else []
    return "".join(
        str(block.get("reasoning", ""))
        for block in blocks
        if isinstance(block, dict) and block.get("type") == "reasoning"
    )
