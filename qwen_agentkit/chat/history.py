"""Thoughts of earlier turns, on their way into a chat template. Knows messages as dicts, no checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qwen_agentkit.chat.tags import CLOSE_THINK, OPEN_THINK, think_block

__all__ = ["inline", "marked", "put_back", "split_thoughts"]

Message = dict[str, Any]

# A content that begins with its thought, as other programs store it.
_THOUGHT = re.compile(rf"\s*{OPEN_THINK}(.*?){CLOSE_THINK}\n*", re.DOTALL)

# The number of a turn between two code points that Unicode keeps out of texts, and what the template may put
# around it: an empty think block before, line breaks between an empty content and a call behind.
_MARK = re.compile(f"(?:{OPEN_THINK}\\s*{CLOSE_THINK}\\s*)?\ufdd2(\\d+)\ufdd3\n*")


def split_thoughts(messages: Sequence[Message]) -> list[Message]:
    """Move a thought that an assistant's content begins with to `reasoning_content`.

    Templates cut a content at the last `</think>`, also where the answer only speaks of one; this does not.
    """
    return [_split(message) if message["role"] == "assistant" else message for message in messages]


def inline(messages: Sequence[Message]) -> list[Message]:
    """Put thoughts into the content, for templates that look for them there."""
    return [
        {**message, "content": _block(message) + message["content"]}
        if message["role"] == "assistant" and message.get("reasoning_content")
        else message
        for message in messages
    ]


def marked(messages: Sequence[Message]) -> list[Message]:
    """Replace the thoughts by marks, which no template drops."""
    return [
        {**message, "content": f"\ufdd2{number}\ufdd3{message['content']}", "reasoning_content": ""}
        if message["role"] == "assistant"
        else message
        for number, message in enumerate(messages)
    ]


def put_back(text: str, messages: Sequence[Message]) -> str:
    """Replace the marks in a rendered chat by the thoughts, as the model wrote them.

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
