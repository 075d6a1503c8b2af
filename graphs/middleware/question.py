"""Refuses a turn without a question before the model is called. Knows messages only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse

from qwen_agentkit.graphs.shared.conversation import find_question

__all__ = ["QuestionMiddleware"]


class QuestionMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Refuses an empty question, and one as long as a document, as the other graphs do.

    Raises:
        InputError: There is no human message, or the last one is empty or too long.
    """

    # Not `before_agent`, which would add a node to every agent.
    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Check the question."""
        find_question(request.state["messages"])
        return handler(request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        find_question(request.state["messages"])
        return await handler(request)
