"""Parses the output of a Qwen model into reasoning, content and tool calls: `qwen_agentkit.chat.parsing`."""

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
