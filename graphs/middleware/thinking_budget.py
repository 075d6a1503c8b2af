"""So many tokens of thought for one question, over all calls of the model. Knows usage, not thoughts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.middleware.run import setting, since_question
from qwen_agentkit.graphs.models import can_think

__all__ = ["ThinkingBudgetMiddleware"]


class ThinkingBudgetMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives each call of the model what earlier ones left of the budget, and none when nothing is left.

    Models whose thinking cannot be set for a call, as `ChatQwen`'s can, are called as they are.

    Args:
        thinking_tokens: most for one question; None: no limit.
        thinking: whether to think at all; None: as the model does.
    """

    def __init__(self, thinking_tokens: int | None = None, *, thinking: bool | None = None) -> None:
        self.thinking_tokens = thinking_tokens
        self.thinking = thinking

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Set thinking for this call."""
        return handler(self._budgeted(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same."""
        return await handler(self._budgeted(request))

    def _budgeted(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if not can_think(request.model):
            return request
        settings = dict(request.model_settings)
        thinking = setting(request.runtime, "thinking", self.thinking)
        tokens = setting(request.runtime, "thinking_tokens", self.thinking_tokens)
        if thinking is not None:
            settings["thinking"] = thinking
        if tokens is not None and thinking is not False:
            left = tokens - sum(map(_thought, since_question(request.state["messages"])))
            settings |= {"thinking_budget": left} if left > 0 else {"thinking": False}
        return request.override(model_settings=settings)


def _thought(message: Any) -> int:
    """Tokens of thought in a message, as the model counted them."""
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    return usage.get("output_token_details", {}).get("reasoning", 0) if usage else 0
