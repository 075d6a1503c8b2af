"""Announces the calls of a run in the custom stream. Knows calls, not what they are for."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import Command

from qwen_agentkit.graphs.shared.runtime import Stage

__all__ = ["StagesMiddleware"]

Result = ToolMessage | Command[Any]


class StagesMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Announces each call of the model with its seconds and tokens, and each call of a tool with its seconds.

    The events are ``{"stage": "model", "seconds", "tokens": {"input", "output"}}`` and ``{"stage": "tools",
    "seconds", "tool"}``. Put it next to the model, so that it also announces calls that repair an answer.
    """

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the model and announce it."""
        start = time.perf_counter()
        response = handler(request)
        _announce_model(request, response, time.perf_counter() - start)
        return response

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        start = time.perf_counter()
        response = await handler(request)
        _announce_model(request, response, time.perf_counter() - start)
        return response

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Call the tool and announce it."""
        start = time.perf_counter()
        result = handler(request)
        _announce_tool(request, time.perf_counter() - start)
        return result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """As `wrap_tool_call`."""
        start = time.perf_counter()
        result = await handler(request)
        _announce_tool(request, time.perf_counter() - start)
        return result


def _announce_model(request: ModelRequest[Any], response: ModelResponse[Any], seconds: float) -> None:
    stage = Stage("model", request.runtime.stream_writer)
    message = response.result[-1] if response.result else None
    if isinstance(message, AIMessage) and (usage := message.usage_metadata):
        stage.details["tokens"] = {"input": usage["input_tokens"], "output": usage["output_tokens"]}
    stage.announce_end(seconds)


def _announce_tool(request: ToolCallRequest, seconds: float) -> None:
    stage = Stage("tools", request.runtime.stream_writer)
    stage.details["tool"] = request.tool_call["name"]
    stage.announce_end(seconds)
