"""Thinking, answer and tool calls out of model text; lives in `qwen_agentkit.chat.parsing`."""

from __future__ import annotations

from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Dialect,
    Event,
    InvalidCallEvent,
    InvalidToolCall,
    Parsed,
    ReasoningEvent,
    StreamParser,
    ToolCall,
    parse,
)

__all__ = [
    "CallEvent",
    "ContentEvent",
    "Dialect",
    "Event",
    "InvalidCallEvent",
    "InvalidToolCall",
    "Parsed",
    "ReasoningEvent",
    "StreamParser",
    "ToolCall",
    "parse",
]
