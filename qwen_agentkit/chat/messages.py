"""LangChain messages to the plain dicts that chat templates read, and events back to message chunks.

Knows messages of ours and of other providers, no checkpoint.
"""

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
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk

from qwen_agentkit.chat.parsing import ContentEvent, Event, InvalidCallEvent, ReasoningEvent
from qwen_agentkit.chat.request import Done
from qwen_agentkit.errors import InputError
from qwen_agentkit.text.readable import readable

__all__ = ["from_events", "to_server", "to_template"]

_ROLES = {HumanMessage: "user", SystemMessage: "system", AIMessage: "assistant"}
_ROLES_OF_RESULTS = (ToolMessage, FunctionMessage)

# Blocks of content, ours and other providers', by the key that holds their text.
_TEXTS = {
    "text": "text",
    "text-plain": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}
_THOUGHTS = {"reasoning": "reasoning", "thinking": "thinking"}
_CALLS = {"tool_call": "args", "tool_use": "input"}  # by the key that holds the arguments

# What the fields of the message say already, or only its own provider can read.
_SAID_ELSEWHERE = (
    "tool_call_chunk",
    "input_json_delta",
    "invalid_tool_call",
    "function_call",
    "server_tool_call",
    "server_tool_call_chunk",
    "server_tool_result",
    "server_tool_use",
    "redacted_thinking",
    "non_standard",
)

# LangChain numbers the blocks of a streamed message by their order, and merges what has the same number:
# a call numbered from 0 would vanish inside the reasoning block.
_FIRST_CALL_INDEX = 1000


def to_template(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Convert a chat for the template.

    Calls the model wrote but nobody could read stand in the content, as it wrote them; results of tools that
    failed begin with "Error".

    Raises:
        InputError: A message holds something other than text, is of an unknown kind, or is the result of a
            call that no message before it makes.
    """
    called: set[str | None] = set()
    for message in messages:
        if isinstance(message, AIMessage):
            called |= {call["id"] for call in (*_calls(message), *message.invalid_tool_calls)}
        elif isinstance(message, ToolMessage) and message.tool_call_id not in called:
            raise InputError(
                f"A tool message answers the call {message.tool_call_id!r}, which no AI message before it "
                "makes. Keep a call and its results together when you shorten a chat."
            )
    return [_mended(_to_template(message)) for message in messages]


def to_server(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Convert a chat for a server, in the OpenAI form: calls have ids, and their arguments are text.

    Thoughts stand under both names that servers read, `reasoning_content` and `reasoning`.

    Raises:
        InputError: As `to_template`.
    """
    turns = to_template(messages)
    for message, turn in zip(messages, turns, strict=True):
        if isinstance(message, ToolMessage):
            turn["tool_call_id"] = message.tool_call_id
        elif isinstance(message, FunctionMessage):
            turn["tool_call_id"] = message.name
        if "reasoning_content" in turn:
            turn["reasoning"] = turn["reasoning_content"]
        if isinstance(message, AIMessage):
            for call, written in zip(_calls(message), turn.get("tool_calls", ()), strict=True):
                written["id"] = call["id"]
                arguments = written["function"]["arguments"]
                written["function"]["arguments"] = json.dumps(arguments, ensure_ascii=False)
    return turns


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
        content="", response_metadata=metadata, usage_metadata=_usage(done), chunk_position="last"
    )


def _usage(done: Done) -> UsageMetadata | None:
    """Count the tokens; what is not known is left out, so that nobody takes it for zero."""
    if done.input_tokens is None or done.output_tokens is None:
        return None
    usage = UsageMetadata(
        input_tokens=done.input_tokens,
        output_tokens=done.output_tokens,
        total_tokens=done.input_tokens + done.output_tokens,
    )
    if done.cached_tokens is not None:
        usage["input_token_details"] = {"cache_read": done.cached_tokens}
    if done.reasoning_tokens is not None:
        usage["output_token_details"] = {"reasoning": done.reasoning_tokens}
    return usage


def _to_template(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, _ROLES_OF_RESULTS):
        return {"role": "tool", "content": _result(message)}
    if isinstance(message, ChatMessage) and message.role in _ROLES.values():
        return {"role": message.role, "content": _text(message)}
    role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        kind = type(message).__name__ + (
            f" of role {message.role!r}" if isinstance(message, ChatMessage) else ""
        )
        raise InputError(f"Cannot send a {kind} to a model; expected system, human, AI or tool messages.")
    converted: dict[str, Any] = {"role": role, "content": _text(message)}
    if isinstance(message, AIMessage):
        unread = [_unread(call) for call in message.invalid_tool_calls]
        converted["content"] = "\n".join(filter(None, [converted["content"], *unread]))
        if reasoning := _reasoning(message):
            converted["reasoning_content"] = reasoning
        if calls := _calls(message):
            converted["tool_calls"] = [
                {"type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
                for call in calls
            ]
    return converted


def _mended(value: Any) -> Any:
    """Return a value all of whose texts are characters."""
    if isinstance(value, dict):
        return {_mended(name): _mended(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return readable([value])[0] if isinstance(value, str) else value


def _result(message: BaseMessage) -> str:
    """Return the text of a tool's result; templates have no other place to say that it failed."""
    text = _text(message)
    failed = isinstance(message, ToolMessage) and message.status == "error"
    return f"Error: {text}".rstrip() if failed and not text.lower().startswith("error") else text


def _text(message: BaseMessage) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "".join(_text_of(block) for block in content)


def _text_of(block: str | dict[str, Any]) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind in _TEXTS:
        return str(block.get(_TEXTS[kind]) or "")
    if kind == "json":
        return json.dumps(block.get("json"), ensure_ascii=False)
    if kind in _THOUGHTS or kind in _CALLS or kind in _SAID_ELSEWHERE:
        return ""
    raise InputError(
        f"A message holds a block of type {kind!r}; this checkpoint reads text only. "
        "Send text blocks, or describe the content in words."
    )


def _blocks(message: AIMessage) -> list[dict[str, Any]]:
    content = message.content if isinstance(message.content, list) else []
    return [block for block in content if isinstance(block, dict)]


def _reasoning(message: AIMessage) -> str:
    if thought := message.additional_kwargs.get("reasoning_content"):
        return str(thought)
    return "".join(
        str(block.get(_THOUGHTS[kind]) or "")
        for block in _blocks(message)
        if (kind := str(block.get("type"))) in _THOUGHTS
    )


def _calls(message: AIMessage) -> list[ToolCall]:
    """Return the calls of a message, which some providers keep in its content only."""
    if message.tool_calls or message.invalid_tool_calls:
        return message.tool_calls
    return [
        tool_call(name=block["name"], args=block.get(_CALLS[kind]) or {}, id=block.get("id"))
        for block in _blocks(message)
        if (kind := str(block.get("type"))) in _CALLS
    ]


def _unread(call: InvalidToolCall) -> str:
    """Return a call that could not be read, as the model wrote it."""
    raw = call["args"] or ""
    if raw.startswith("<"):
        return raw
    # Other providers cut the arguments out.
    name = json.dumps(call["name"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": {name}, "arguments": {raw}}}\n</tool_call>'
