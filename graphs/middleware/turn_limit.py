"""At most so many calls of the model for one question; the last one has no tools and must answer.

Knows messages and tool calls, not what the tools do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.middleware.run import (
    NoTurnLeft,
    answer_language,
    drafts,
    instructed,
    setting,
    spent,
)
from qwen_agentkit.text.languages import phrase

__all__ = ["TurnLimitMiddleware"]

_LAST = "No tool can be called any more: answer now from what was found."


class TurnLimitMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends every loop with an answer in the reader's language, if only one that there is none.

    When all calls are spent, middleware that asks once more to have an answer mended gets `NoTurnLeft`.

    Args:
        turns: most calls of the model for one question.
    """

    def __init__(self, turns: int = 10) -> None:
        self.turns = turns

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Take the tools away at the last turn."""
        if not self._is_last(request):
            return handler(request)
        return _answering(handler(instructed(request, _LAST).override(tools=[])), request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same."""
        if not self._is_last(request):
            return await handler(request)
        return _answering(await handler(instructed(request, _LAST).override(tools=[])), request)

    def _is_last(self, request: ModelRequest[Any]) -> bool:
        turns, calls = setting(request.runtime, "turns", self.turns), spent(request).calls
        if drafts(request) and calls >= turns:
            raise NoTurnLeft(f"the {turns} calls of the model for this question are spent")
        return calls + 1 >= turns


def _answering(response: ModelResponse[Any], request: ModelRequest[Any]) -> ModelResponse[Any]:
    """The response without calls; an abstention where nothing else was said."""
    message = response.result[-1]
    if isinstance(message, AIMessage) and message.tool_calls:
        request.runtime.stream_writer({"stage": "turns", "refused": message.tool_calls})
        language = answer_language(request.state["messages"], request.runtime)
        text = message.text.strip() or phrase(language, "abstain")
        said = AIMessage(text, id=message.id, usage_metadata=message.usage_metadata)
        return replace(response, result=[*response.result[:-1], said])
    return response
