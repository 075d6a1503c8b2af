"""Limits the calls of the model for one question: the last one gets no tools and must answer.

Knows messages and tool calls, not what the tools do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from qwen_agentkit.errors import AnswerFaultError
from qwen_agentkit.graphs.middleware.model_requests import (
    NoTurnLeft,
    add_instruction,
    answer_language,
    count_cost,
    discarded_drafts,
    read_setting,
)
from qwen_agentkit.text.languages import phrase

__all__ = ["TurnLimitMiddleware"]

_LAST_TURN = "No tool can be called any more: answer now from what was found."


class TurnLimitMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends every loop with an answer, or with an abstention in the reader's language.

    When no call is left, middleware that asks for a repair gets `NoTurnLeft`.

    Args:
        turns: Maximum number of calls of the model for one question.
    """

    def __init__(self, turns: int = 10) -> None:
        self.turns = turns

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the model, without tools at the last turn."""
        if not self._is_last(request):
            return handler(request)
        return _last(handler(add_instruction(request, _LAST_TURN).override(tools=[])), request)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        if not self._is_last(request):
            return await handler(request)
        return _last(await handler(add_instruction(request, _LAST_TURN).override(tools=[])), request)

    def _is_last(self, request: ModelRequest[Any]) -> bool:
        turns, calls = read_setting(request.runtime, "turns", self.turns), count_cost(request).calls
        if discarded_drafts(request) and calls >= turns:
            raise NoTurnLeft(f"All {turns} calls of the model for this question were used.")
        return calls + 1 >= turns


def _last(response: ModelResponse[Any], request: ModelRequest[Any]) -> ModelResponse[Any]:
    """Return the last response.

    Raises:
        AnswerFaultError: An object was asked for and none came; the agent would ask for ever.
    """
    if request.response_format is None or response.structured_response is not None:
        return _without_calls(response, request)
    said = response.result[-1].text[:80] if response.result else ""
    raise AnswerFaultError(
        f"The model answers {said!r}, not with the object that response_format asks for, and all its calls "
        "for this question were used. Use a model that obeys tool_choice, or raise the number of turns."
    )


def _without_calls(response: ModelResponse[Any], request: ModelRequest[Any]) -> ModelResponse[Any]:
    """The response without calls of tools; an abstention if it has no text."""
    message = response.result[-1]
    if isinstance(message, AIMessage) and message.tool_calls:
        request.runtime.stream_writer({"stage": "turns", "refused": message.tool_calls})
        language = answer_language(request.state["messages"], request.runtime)
        text = message.text.strip() or phrase(language, "abstain")
        answer = AIMessage(text, id=message.id, usage_metadata=message.usage_metadata)
        return replace(response, result=[*response.result[:-1], answer])
    return response
