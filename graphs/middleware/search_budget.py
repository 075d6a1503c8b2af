"""Limits the searches for one question. Knows the names of tools, not what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ToolCallRequest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import Command

from qwen_agentkit.graphs.middleware.model_requests import read_setting, since_question

__all__ = ["SearchBudgetMiddleware"]

_BUDGET_USED = (
    "The {limit} searches for this question are spent. Answer from the passages found so far, or say that "
    "the documents do not answer the question."
)


class SearchBudgetMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Refuses searches beyond the budget with a message to the model, also when they are called at once.

    Args:
        searches: Maximum number of searches for one question.
        tools: Names of the tools that search.
    """

    def __init__(self, searches: int = 4, *, tools: Sequence[str] = ("search",)) -> None:
        self.searches = searches
        self.names = frozenset(tools)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Call the tool, unless the budget is used up."""
        return self._refuse(request) or handler(request)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """As `wrap_tool_call`."""
        return self._refuse(request) or await handler(request)

    def _refuse(self, request: ToolCallRequest) -> ToolMessage | None:
        call, limit = request.tool_call, read_setting(request.runtime, "searches", self.searches)
        # Counted by their place in the conversation, since calls of one turn run at the same time.
        calls = [
            one["id"]
            for message in since_question(request.state["messages"])
            if isinstance(message, AIMessage)
            for one in message.tool_calls
            if one["name"] in self.names
        ]
        if call["id"] not in calls[limit:]:
            return None
        request.runtime.stream_writer({"stage": "search", "refused": call["args"], "limit": limit})
        text = _BUDGET_USED.format(limit=limit)
        return ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error")
