"""Thoughts of earlier turns, prepared for a chat template. Knows messages as dicts, no checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_THINK, think_block

__all__ = ["inline_thoughts", "mark_thoughts", "restore_thoughts", "split_thoughts"]

Message = dict[str, Any]

# Content that begins with its thought, as other programs store it.
_THOUGHT = re.compile(rf"\s*{OPEN_THINK}(.*?){CLOSE_THINK}\n*", re.DOTALL)

# The number of a turn between two code points that are not characters in Unicode, and what the template may
# put around it: an empty think block before it, line breaks between empty content and a call behind it.
_MARK = re.compile(f"(?:{OPEN_THINK}\\s*{CLOSE_THINK}\\s*)?\ufdd2(\\d+)\ufdd3\n*")


def split_thoughts(messages: Sequence[Message]) -> list[Message]:
    """Move a thought at the beginning of an assistant's content to `reasoning_content`.

    Templates cut content at the last `</think>`, even where the answer only mentions it; this does not.
    """
    return [_split(message) if message["role"] == "assistant" else message for message in messages]


def inline_thoughts(messages: Sequence[Message]) -> list[Message]:
    """Put thoughts into the content, for templates that expect them there."""
    return [
        {**message, "content": _block(message) + message["content"]}
        if message["role"] == "assistant" and message.get("reasoning_content")
        else message
        for message in messages
    ]


def mark_thoughts(messages: Sequence[Message]) -> list[Message]:
    """Replace the thoughts with marks, which no template drops."""
    return [
        {**message, "content": f"\ufdd2{number}\ufdd3{message['content']}", "reasoning_content": ""}
        if message["role"] == "assistant"
        else message
        for number, message in enumerate(messages)
    ]


def restore_thoughts(text: str, messages: Sequence[Message]) -> str:
    """Replace the marks in a rendered chat with the thoughts, as the model wrote them.

    A turn without a thought gets the empty block that the prompt, or the model, began it with.
    """
    return _MARK.sub(lambda mark: _block(messages[int(mark[1])]), text)


def _split(message: Message) -> Message:
    found = _THOUGHT.match(message["content"])
    if message.get("reasoning_content") is not None or not found:
        return message
    thought = found[1].strip("\n")
    return {**message, "reasoning_content": thought, "content": message["content"][found.end() :]}


def _block(message: Message) -> str:
    return think_block(str(message.get("reasoning_content") or "").strip("\n"))
