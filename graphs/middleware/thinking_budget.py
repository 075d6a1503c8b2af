"""Limits the tokens of thought for one question, over all calls of the model. Knows usage, not thoughts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse

from qwen_agentkit.graphs.middleware.model_requests import count_cost, discarded_drafts, read_setting
from qwen_agentkit.graphs.shared.models import can_think, plan_thought
from qwen_agentkit.graphs.shared.state import RagContext

__all__ = ["ThinkingBudgetMiddleware"]


class ThinkingBudgetMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives each call of the model what earlier calls left of the budget.

    A model whose thinking cannot be set for one call, unlike `ChatQwen`, is called as it is. An answer is
    repaired without thinking, unless the context's `node_budgets` name "repair".

    Args:
        thinking_budget: Maximum tokens of thought for one question; None: no limit.
        thinking: Whether to think at all; None: as the model does by default.
    """

    def __init__(self, thinking_budget: int | None = None, *, thinking: bool | None = None) -> None:
        self.thinking_budget = thinking_budget
        self.thinking = thinking

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Set thinking for this call."""
        return handler(self._set_budget(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        return await handler(self._set_budget(request))

    def _set_budget(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if not can_think(request.model) or request.model_settings.get("thinking") is False:
            return request
        node: Literal["repair", "generate"] = "repair" if discarded_drafts(request) else "generate"
        thought = plan_thought(node, self._read_settings(request.runtime), count_cost(request).thought)
        given = {"thinking": thought.thinking, "thinking_budget": thought.budget}
        known = {key: value for key, value in given.items() if value is not None}
        return request.override(model_settings={**request.model_settings, **known})

    def _read_settings(self, runtime: Any) -> RagContext:
        if isinstance(runtime.context, RagContext):
            return runtime.context
        budget = read_setting(runtime, "thinking_budget", self.thinking_budget)
        return RagContext(thinking_budget=budget, thinking=read_setting(runtime, "thinking", self.thinking))
