"""What is no question is refused before a model is asked. Knows messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse

from qwen_agentkit.graphs.shared.memory import last_question

__all__ = ["QuestionMiddleware"]


class QuestionMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Refuses an empty question and one as long as a document, as the other graphs do.

    Raises:
        InputError: the last human message is one of them, or there is none.
    """

    # Not `before_agent`, which would be one more node of every agent: what is refused is the same.
    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Look at the question."""
        last_question(request.state["messages"])
        return handler(request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same."""
        last_question(request.state["messages"])
        return await handler(request)
