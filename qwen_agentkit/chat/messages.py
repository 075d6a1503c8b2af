"""LangChain messages as the dicts that chat templates read, and events of an answer as message chunks.

Knows the messages of this package and of other providers, no checkpoint and no server.
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
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatResult

from qwen_agentkit.chat.blocks import calls_of, plain_text, text_of, thoughts_of
from qwen_agentkit.chat.parsing import ContentEvent, Event, InvalidCallEvent, ReasoningEvent
from qwen_agentkit.chat.request import Done
from qwen_agentkit.chat.tags import json_call
from qwen_agentkit.errors import InputError
from qwen_agentkit.text.readable import readable

__all__ = ["REASONS", "from_events", "to_template", "with_reasons"]

_ROLES = {HumanMessage: "user", SystemMessage: "system", AIMessage: "assistant"}

REASONS = "invalid_tool_call_errors"
"""Where the metadata of messages keep what is wrong with their invalid calls, in the same order."""

# LangChain numbers the blocks of a streamed message by their order, and merges what has the same number:
# a call numbered from 0 would vanish inside the reasoning block.
_FIRST_CALL_INDEX = 1000


def to_template(messages: Sequence[BaseMessage], *, whole: bool = True) -> list[dict[str, Any]]:
    """Convert a chat into the dicts that chat templates read.

    They have the OpenAI form, with the arguments of calls as objects. Calls that could not be read stand in
    the content, as the model wrote them. Results of tools that failed begin with "Error". System messages at
    the beginning are one, since many templates take no more. An image, a file or a link that a tool or
    another model gave is replaced by a note, with a warning: the chat can go on without it.

    Args:
        messages: The chat, left as it is.
        whole: False takes any part of a chat in any order, for counting: results need no call, blocks that
            are not text are left out, and messages of an unknown kind are the user's.

    Raises:
        InputError: There are no messages, one of the caller's own holds something other than text, one is of
            an unknown kind, or is the result of a call that no message before it makes.
    """
    if whole:
        _check_results(messages)
    return _join_system([_make_readable(_to_template(message, whole=whole)) for message in messages])


def from_events(events: Iterable[Event | Done], model_name: str) -> Iterator[AIMessageChunk]:
    """Convert an answer, event by event, into chunks whose sum is the message."""
    calls = 0
    for event in events:
        if isinstance(event, Done):
            yield _last_chunk(event, model_name)
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
            metadata = {REASONS: [event.call["error"]]} if isinstance(event, InvalidCallEvent) else {}
            yield AIMessageChunk(content="", tool_call_chunks=[chunk], response_metadata=metadata)


def with_reasons(result: ChatResult) -> ChatResult:
    """Write into calls that could not be read what is wrong with them: sums of chunks lose it."""
    for generation in result.generations:
        message = generation.message
        if isinstance(message, AIMessage):
            reasons = message.response_metadata.get(REASONS, [])
            for call, reason in zip(message.invalid_tool_calls, reasons, strict=False):
                call["error"] = reason
    return result


def _last_chunk(done: Done, model_name: str) -> AIMessageChunk:
    metadata: dict[str, Any] = {
        "model_provider": "qwen-agentkit",
        "model_name": model_name,
        "finish_reason": done.finish_reason,
    }
    if done.thinking_truncated:
        metadata["thinking_truncated"] = True
    if done.schema_fault:
        metadata["schema_fault"] = done.schema_fault
    return AIMessageChunk(
        content="", response_metadata=metadata, usage_metadata=_usage(done), chunk_position="last"
    )


def _usage(done: Done) -> UsageMetadata | None:
    """Count the tokens; an unknown count is left out, so that it is not taken for zero."""
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


def _check_results(messages: Sequence[BaseMessage]) -> None:
    """Check that there is a chat, and that each result of a tool follows its call."""
    if not messages:
        raise InputError("There are no messages. Expected at least one; pass a text, or a human message.")
    called: set[str | None] = set()
    for message in messages:
        if isinstance(message, AIMessage):
            called |= {call["id"] or "" for call in (*_calls(message), *message.invalid_tool_calls)}
        elif isinstance(message, ToolMessage) and message.tool_call_id not in called:
            raise InputError(
                f"A tool message answers the call {message.tool_call_id!r}, which no AI message before it "
                "makes. Keep a call and its results together when you shorten a chat."
            )


def _join_system(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a chat with its first system messages joined."""
    leading = next((n for n, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    if leading < 2:
        return turns
    text = "\n\n".join(turn["content"] for turn in turns[:leading] if turn["content"])
    return [{"role": "system", "content": text}, *turns[leading:]]


def _to_template(message: BaseMessage, *, whole: bool) -> dict[str, Any]:
    text = _text(message, whole=whole)
    if isinstance(message, ToolMessage):
        return {"role": "tool", "content": _result(message, text), "tool_call_id": message.tool_call_id}
    if isinstance(message, FunctionMessage):
        return {"role": "tool", "content": text, "tool_call_id": message.name}
    if isinstance(message, ChatMessage) and message.role in _ROLES.values():
        return {"role": message.role, "content": text}
    role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None and not whole:
        return {"role": "user", "content": text}
    if role is None:
        kind = type(message).__name__ + (
            f" of role {message.role!r}" if isinstance(message, ChatMessage) else ""
        )
        raise InputError(f"Cannot send a {kind} to a model; expected system, human, AI or tool messages.")
    converted: dict[str, Any] = {"role": role, "content": text}
    if isinstance(message, AIMessage):
        unread = [_unread(call) for call in message.invalid_tool_calls]
        converted["content"] = "\n".join(filter(None, [text, *unread]))
        if reasoning := _reasoning(message):
            converted["reasoning_content"] = reasoning
        if calls := _calls(message):
            converted["tool_calls"] = [
                {
                    "type": "function",
                    "id": call["id"],
                    "function": {"name": call["name"], "arguments": call["args"]},
                }
                for call in calls
            ]
    return converted


def _make_readable(value: Any) -> Any:
    """Return a value with U+FFFD for what is not a character in its texts."""
    if isinstance(value, dict):
        return {_make_readable(name): _make_readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_make_readable(item) for item in value]
    return readable([value])[0] if isinstance(value, str) else value


def _result(message: ToolMessage, text: str) -> str:
    """Return the text of a tool's result; templates have no other place to say that it failed."""
    failed = message.status == "error" and not text.lower().startswith("error")
    return f"Error: {text}".rstrip() if failed else text


def _text(message: BaseMessage, *, whole: bool) -> str:
    # What a tool or another model gave is in the chat already, and the caller cannot take it back.
    given = not isinstance(message, (HumanMessage, SystemMessage, ChatMessage))
    return text_of(message.content, whole=whole, given=given) or _said_apart(message)


def _said_apart(message: BaseMessage) -> str:
    """Return the words of a message without content, which OpenAI keeps elsewhere."""
    audio = message.additional_kwargs.get("audio")
    spoken = audio.get("transcript") if isinstance(audio, dict) else None
    return str(message.additional_kwargs.get("refusal") or spoken or "")


def _reasoning(message: AIMessage) -> str:
    thought = message.additional_kwargs.get("reasoning_content")
    return plain_text(thought) if thought else thoughts_of(message.content)


def _calls(message: AIMessage) -> list[ToolCall]:
    """Return the calls of a message, which some providers keep in its content only."""
    if message.tool_calls or message.invalid_tool_calls:
        return message.tool_calls
    former = message.additional_kwargs.get("function_call")  # OpenAI's first form; its result has the name
    if isinstance(former, dict):
        former = {"type": "function_call", "call_id": former.get("name"), **former}
    return calls_of(message.content if not former else [former])


def _unread(call: InvalidToolCall) -> str:
    """Return a call that could not be read, as the model wrote it."""
    raw = call["args"] or ""
    if raw.startswith("<"):
        return raw
    # Other providers keep the arguments alone.
    name = json.dumps(call["name"], ensure_ascii=False)
    return json_call(name, raw)
