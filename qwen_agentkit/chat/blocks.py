"""Blocks of content, ours and other providers', as text, thoughts and calls. Knows no messages."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.messages.tool import tool_call

from qwen_agentkit.errors import InputError

__all__ = ["calls_of", "plain_text", "text_of", "thoughts_of"]

# Blocks by the key that holds their text.
_TEXTS = {
    "text": "text",
    "text-plain": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}

# Keys that hold a thought: Anthropic's and LangChain's own, OpenAI's summaries and Bedrock's.
_THOUGHTS = {
    "reasoning": ("reasoning", "summary"),
    "thinking": ("thinking",),
    "reasoning_content": ("reasoning_content",),
}

# Keys that hold the arguments of a call, whole or as a stream left them, and its id.
_CALLS = {"tool_call": ("args",), "tool_use": ("input", "partial_json"), "function_call": ("arguments",)}
_IDS = ("call_id", "id")  # OpenAI's own id of a block is not that of its call

# Blocks that repeat fields of the message, or that only their own provider can read.
_REPEATED = (
    "tool_call_chunk",
    "input_json_delta",
    "invalid_tool_call",
    "custom_tool_call",
    "redacted_thinking",
)

# What a provider ran by itself, which no tool here can go on with.
_FOREIGN = (
    "server_tool_call",
    "server_tool_call_chunk",
    "server_tool_result",
    "server_tool_use",
    "non_standard",
)

# What names the thing in a block, the most telling first.
_NAMES = ("title", "name", "filename", "uri", "url")


def text_of(content: Any, *, whole: bool, given: bool) -> str:
    """Return the text of a content.

    Args:
        content: A text, or blocks; None is no text.
        whole: False leaves blocks out that are not text, for counting.
        given: Whether a tool or a model wrote it: then notes stand in for what is not text, with a warning.

    Raises:
        InputError: The caller's own content holds something other than text.
    """
    if isinstance(content, str):
        return content
    return "".join(_text_of(block, whole=whole, given=given) for block in content or ())


def thoughts_of(content: Any) -> str:
    """Return the thoughts in a content; "" if it has none."""
    return "".join(
        plain_text(next(filter(None, map(block.get, _THOUGHTS[block["type"]])), ""))
        for block in _typed(content)
        if block["type"] in _THOUGHTS
    )


def calls_of(content: Any) -> list[ToolCall]:
    """Return the tool calls in a content; text that is no JSON object stands as an argument."""
    return [
        tool_call(
            name=str(block.get("name") or ""),
            args=_arguments(next(filter(None, map(block.get, _CALLS[block["type"]])), None)),
            id=next(filter(None, map(block.get, _IDS)), None),
        )
        for block in _typed(content)
        if block["type"] in _CALLS
    ]


def plain_text(value: Any) -> str:
    """Return the text in a value that providers nest: a text, a block or a list of them."""
    match value:
        case str():
            return value
        case list():
            return "".join(map(plain_text, value))
        case {"text": inner} | {"data": inner} | {"content": inner}:
            return plain_text(inner)
    return ""


def _typed(content: Any) -> Iterator[dict[str, Any]]:
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and isinstance(block.get("type"), str):
            yield block


def _arguments(value: Any) -> Any:
    """Read arguments that a provider keeps as JSON text."""
    if not isinstance(value, str):
        return value or {}
    try:
        read = json.loads(value)
    except ValueError:
        return {"arguments": value}  # cut short; the model sees it all the same
    return read if isinstance(read, dict) else {"arguments": read}


def _text_of(block: Any, *, whole: bool, given: bool) -> str:
    if isinstance(block, str):
        return block
    kind = block.get("type")
    kind = kind if isinstance(kind, str) else None
    if (text := _held_text(block, kind, whole=whole, given=given)) is not None:
        return text
    if not whole or kind in _THOUGHTS or kind in _CALLS or kind in _REPEATED:
        return ""
    if kind in _FOREIGN and given:
        _warn(f"what another provider ran ({kind}) is left out of")
        return ""
    if given:
        return _note(block, kind)
    raise InputError(
        f"A message holds a block of type {kind!r}; expected text, which is all that this checkpoint reads. "
        "Send text blocks, or describe the content in words."
    )


def _held_text(block: Mapping[str, Any], kind: str | None, *, whole: bool, given: bool) -> str | None:
    """Return the text that a block holds, also inside another; None if it holds none."""
    if kind == "json":
        return json.dumps(block.get("json"), ensure_ascii=False)
    if kind == "text-plain" and block.get("text") is None:  # LangChain's name for a text file
        return _decoded(block.get("base64"))
    if kind in _TEXTS:
        return str(block.get(_TEXTS[kind]) or "")
    match block:
        case {"type": str(), "resource": {"text": str(text)}}:  # MCP
            return text
        # Documents and search results of Anthropic, results of tools, summaries of earlier turns.
        case {"type": str(), "source": {"type": "text", "data": str(text)}}:
            return text
        case {"type": str(), "source": {"type": "content", "content": (str() | list()) as inner}}:
            return text_of(inner, whole=whole, given=given)
        case {
            "type": "document" | "search_result" | "tool_result" | "compaction",
            "content": (str() | list()) as inner,
        }:
            return text_of(inner, whole=whole, given=given)
        case {"text": str(text)} if len(block) == 1:  # Bedrock
            return text
    return None


def _decoded(value: Any) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (TypeError, ValueError):
        return None


def _note(block: Mapping[str, Any], kind: str | None) -> str:
    """Return what stands in place of a block that is not text, and warn."""
    if kind is None:  # data in no form of its own, as some tools give it
        return json.dumps(block, ensure_ascii=False, default=str)
    kind = str(block.get("mime_type") or block.get("mimeType") or kind)
    names = (str(block.get(key) or "") for key in _NAMES)
    shown = next((name for name in names if name and not name.startswith("data:")), "")[:200]
    _warn(f"{kind} is replaced by a note in")
    return f"[{kind} left out: {shown}]" if shown else f"[{kind} left out]"


def _warn(what: str) -> None:
    warnings.warn(
        f"This checkpoint reads text only: {what} a chat. Have the tool describe it in words.", stacklevel=2
    )
