"""So many tokens of thought for one question, over all calls of the model. Knows usage, not thoughts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse

from qwen_agentkit.graphs.middleware.run import drafts, setting, spent
from qwen_agentkit.graphs.shared.models import can_think, thought_for
from qwen_agentkit.graphs.shared.state import RagContext

__all__ = ["ThinkingBudgetMiddleware"]


class ThinkingBudgetMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives each call of the model what earlier ones left of the budget, and none when nothing is left.

    Models whose thinking cannot be set for a call, as `ChatQwen`'s can, are called as they are. An answer is
    mended without thought, unless the context's `node_budgets` name "repair".

    Args:
        thinking_budget: most tokens for one question; None: no limit.
        thinking: whether to think at all; None: as the model does.
    """

    def __init__(self, thinking_budget: int | None = None, *, thinking: bool | None = None) -> None:
        self.thinking_budget = thinking_budget
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
        if not can_think(request.model) or request.model_settings.get("thinking") is False:
            return request
        node: Literal["repair", "generate"] = "repair" if drafts(request) else "generate"
        thought = thought_for(node, self._settings(request.runtime), spent(request).thought)
        given = {"thinking": thought.thinking, "thinking_budget": thought.budget}
        known = {key: value for key, value in given.items() if value is not None}
        return request.override(model_settings={**request.model_settings, **known})

    def _settings(self, runtime: Any) -> RagContext:
        if isinstance(runtime.context, RagContext):
            return runtime.context
        budget = setting(runtime, "thinking_budget", self.thinking_budget)
        return RagContext(thinking_budget=budget, thinking=setting(runtime, "thinking", self.thinking))
