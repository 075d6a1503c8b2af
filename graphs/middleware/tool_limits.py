"""Tools that raise, hang or return too much become bounded messages that the model can read.

Knows calls and their results, not what the tools do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from qwen_agentkit.errors import AccessError
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, in_thread

__all__ = ["ToolLimitsMiddleware", "cut", "failure"]

Result = ToolMessage | Command[Any]
_RAISED = (*NEVER_HIDDEN, AccessError)
"""No model can do anything about it."""
_LONGEST_ERROR = 500
"""Characters: an error may quote all that it choked on."""


class ToolLimitsMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Bounds what a tool call may take and return.

    A plain function that hangs cannot be stopped: its thread is left behind, and the conversation goes on.

    Args:
        seconds: most for one call.
        characters: most of one result; the rest is cut with a notice.
    """

    def __init__(self, *, seconds: float = 60.0, characters: int = 16000) -> None:
        self.seconds = seconds
        self.characters = characters

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Run the call in a thread that is waited for so long."""
        try:
            return self._cut(in_thread(lambda: handler(request), "qwen-agentkit-tool").result(self.seconds))
        except _RAISED:
            raise
        except Exception as error:
            return self._failure(request, error)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Cancel the call after so long."""
        try:
            return self._cut(await asyncio.wait_for(handler(request), self.seconds))
        except _RAISED:
            raise
        except Exception as error:
            return self._failure(request, error)

    def _failure(self, request: ToolCallRequest, error: Exception) -> ToolMessage:
        name = request.tool_call["name"]
        late = isinstance(error, TimeoutError | FutureTimeoutError | asyncio.TimeoutError)
        if late and not error.args:  # those of a tool itself say something
            text = f"{name} gave no result within {self.seconds:g} seconds."
        else:
            text = cut(f"{name} failed. {type(error).__name__}: {error}", _LONGEST_ERROR)
        request.runtime.stream_writer({"stage": "tools", "tool": name, "error": text})
        return ToolMessage(
            text,
            name=name,
            tool_call_id=request.tool_call["id"],
            status="error",
            artifact={"failure": text},
        )

    def _cut(self, result: Result) -> Result:
        if not isinstance(result, ToolMessage):
            return result
        content: Any = result.content
        if isinstance(content, str):
            content = cut(content, self.characters)
        else:
            content = _cut_blocks(content, self.characters)
        return result if content == result.content else result.model_copy(update={"content": content})


def failure(message: ToolMessage) -> str:
    """Why the tool gave no result, or "": one that was not called, as its budget was spent, did not fail."""
    artifact = message.artifact
    return str(artifact.get("failure", "")) if isinstance(artifact, dict) else ""


def cut(text: str, characters: int) -> str:
    """The beginning of a text that is too long, with a notice that says so."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}\n[cut: the first {characters} of {len(text)} characters]"


def _cut_blocks(blocks: list[Any], characters: int) -> list[Any]:
    """Content blocks up to a size; the one that exceeds it is cut if it is text, else left out."""
    kept: list[Any] = []
    for place, block in enumerate(blocks):
        text = block if isinstance(block, str) else block.get("text")
        size = len(text) if text is not None else len(str(block))
        if size > characters:
            if text is not None:
                kept.append({"type": "text", "text": cut(text, characters)})
            left = len(blocks) - place - (text is not None)
            return [*kept, {"type": "text", "text": f"[cut: {left} more blocks]"}] if left else kept
        kept.append(block)
        characters -= size
    return kept
