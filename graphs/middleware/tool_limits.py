"""Limits tools that raise, hang or return too much: the model gets a short message instead.

Knows calls and their results, not what the tools do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from qwen_agentkit.errors import AccessError
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED
from qwen_agentkit.graphs.shared.threads import start_in_thread

__all__ = ["ToolLimitsMiddleware", "cut_text", "read_failure"]

Result = ToolMessage | Command[Any]
_RAISED = (*ALWAYS_RAISED, AccessError)
"""Errors that a model can do nothing about."""
_MAX_ERROR = 500
"""Characters. An error may quote a whole document."""


class ToolLimitsMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Limits the seconds and the result of a tool call.

    A plain function that hangs cannot be stopped: it goes on in its thread, and so does the conversation.

    Args:
        seconds: Maximum seconds for one call.
        characters: Maximum characters of one result. The rest is cut, and a notice says so.
    """

    def __init__(self, *, seconds: float = 60.0, characters: int = 16000) -> None:
        self.seconds = seconds
        self.characters = characters

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Run the call in a thread, and wait for it at most so long."""
        call = start_in_thread(partial(handler, request), "qwen-agentkit-tool")
        try:
            return self._cut_result(call.result(self.seconds))
        except _RAISED:
            raise
        except Exception as error:
            return self._failure_message(request, error)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Run the call, and cancel it after so long."""
        try:
            return self._cut_result(await asyncio.wait_for(handler(request), self.seconds))
        except _RAISED:
            raise
        except Exception as error:
            return self._failure_message(request, error)

    def _failure_message(self, request: ToolCallRequest, error: Exception) -> ToolMessage:
        name = request.tool_call["name"]
        late = isinstance(error, TimeoutError | FutureTimeoutError | asyncio.TimeoutError)
        if late and not error.args:  # a tool's own TimeoutError has a message
            text = f"{name} gave no result within {self.seconds:g} seconds."
        else:
            text = cut_text(f"{name} failed. {type(error).__name__}: {error}", _MAX_ERROR)
        request.runtime.stream_writer({"stage": "tools", "tool": name, "error": text})
        return ToolMessage(
            text,
            name=name,
            tool_call_id=request.tool_call["id"],
            status="error",
            artifact={"failure": text},
        )

    def _cut_result(self, result: Result) -> Result:
        if not isinstance(result, ToolMessage):
            return result
        content: Any = result.content
        if isinstance(content, str):
            content = cut_text(content, self.characters)
        else:
            content = _cut_blocks(content, self.characters)
        return result if content == result.content else result.model_copy(update={"content": content})


def read_failure(message: ToolMessage) -> str:
    """Why the tool gave no result, or "". A call that was refused by a budget is no failure."""
    artifact = message.artifact
    return str(artifact.get("failure", "")) if isinstance(artifact, dict) else ""


def cut_text(text: str, characters: int) -> str:
    """Cut a text that is too long, and add a notice."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}\n[cut: the first {characters} of {len(text)} characters]"


def _cut_blocks(blocks: list[Any], characters: int) -> list[Any]:
    """Keep content blocks up to a size. The block that exceeds it is cut if it is text, or else left out."""
    kept: list[Any] = []
    for place, block in enumerate(blocks):
        text = block if isinstance(block, str) else block.get("text")
        size = len(text) if text is not None else len(str(block))
        if size > characters:
            if text is not None:
                kept.append({"type": "text", "text": cut_text(text, characters)})
            left = len(blocks) - place - (text is not None)
            return [*kept, {"type": "text", "text": f"[cut: {left} more blocks]"}] if left else kept
        kept.append(block)
        characters -= size
    return kept
