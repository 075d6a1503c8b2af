"""Limits how much of the conversation the model reads before the question.

Knows messages and a token budget. The thread itself is never cut: what is not shown stays in the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import (
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    OmitFromInput,
)
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.types import Command
from typing_extensions import NotRequired

from qwen_agentkit.graphs.middleware.model_requests import read_setting, since_question
from qwen_agentkit.graphs.shared.conversation import USER, History, estimate_tokens, read_history
from qwen_agentkit.graphs.shared.models import NO_THOUGHT
from qwen_agentkit.graphs.shared.passages import escape_markup
from qwen_agentkit.graphs.shared.runtime import Stage

__all__ = ["HistoryMiddleware", "HistoryState"]

Request = ModelRequest[Any]
Outcome = ModelResponse[Any] | ExtendedModelResponse[Any]
_SUMMARY = "Summary of the conversation so far: {summary}"


class HistoryState(AgentState[Any]):
    """State of an agent: the summary of a conversation that is too long to be read in full."""

    summary: Annotated[NotRequired[str], OmitFromInput]
    summarized: Annotated[NotRequired[str], OmitFromInput]
    """Id of the last message in the summary."""


class HistoryMiddleware(AgentMiddleware[HistoryState, Any, Any]):
    """Shows the model earlier questions and answers within a token budget, the oldest as a summary.

    A conversation that fits is shown in full. A longer one is shown without the calls of tools and their
    results. Passages keep their numbers. Writing a summary takes one call of the model, without thinking.

    Args:
        history_tokens: Budget in tokens, about. 0: each question is read alone.
    """

    state_schema = HistoryState

    def __init__(self, history_tokens: int = 1500) -> None:
        self.history_tokens = history_tokens

    def wrap_model_call(self, request: Request, handler: Callable[[Request], ModelResponse[Any]]) -> Outcome:
        """Call the model with the history that fits."""
        limited, update = self._limit_history(request)
        return _add_update(handler(limited), update)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[ModelResponse[Any]]]
    ) -> Outcome:
        """As `wrap_model_call`."""
        limited, update = await asyncio.to_thread(self._limit_history, request)
        return _add_update(await handler(limited), update)

    def _limit_history(self, request: Request) -> tuple[Request, dict[str, Any]]:
        """The request with as much of the conversation as fits, and the update of the state."""
        state: Any = request.state
        messages = state["messages"]
        earlier = messages[: len(messages) - len(since_question(messages)) - 1]
        budget = read_setting(request.runtime, "history_tokens", self.history_tokens)
        if sum(estimate_tokens(message.text) for message in earlier) <= (budget if earlier else 0):
            return request, {}
        history = self._read_history(request, budget) if budget else History()
        new = len(since_question(request.messages)) + 1
        limited = request.override(messages=[*_as_messages(history), *request.messages[-new:]])
        known = (state.get("summary", ""), state.get("summarized", ""))
        update = {"summary": history.summary, "summarized": history.summarized}
        return limited, update if budget and known != (history.summary, history.summarized) else {}

    def _read_history(self, request: Request, budget: int) -> History:
        state: Any = request.state
        known = (state.get("summary", ""), state.get("summarized", ""))
        stage = Stage("history", request.runtime.stream_writer)
        history = read_history(state["messages"], known, budget, request.model, NO_THOUGHT, stage)
        if stage.details:
            request.runtime.stream_writer({"stage": stage.name, **stage.details})
        return history


def _as_messages(history: History) -> list[AnyMessage]:
    messages: list[AnyMessage] = []
    if history.summary:
        messages.append(HumanMessage(_SUMMARY.format(summary=escape_markup(history.summary))))
    for turn in history.turns:
        messages.append(HumanMessage(turn.text) if turn.speaker == USER else AIMessage(turn.text))
    return messages


def _add_update(response: ModelResponse[Any], update: dict[str, Any]) -> Outcome:
    return ExtendedModelResponse(response, Command(update=update)) if update else response
