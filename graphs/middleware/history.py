"""How much of the conversation the model reads before the question. Knows messages and a token budget.

The thread itself is never cut: what is not shown stays in the state.
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

from qwen_agentkit.graphs.middleware.run import setting, since_question
from qwen_agentkit.graphs.shared.memory import Memory, remember, tokens_in
from qwen_agentkit.graphs.shared.models import Thought
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.running import Stage

__all__ = ["HistoryMiddleware", "HistoryState"]

Request = ModelRequest[Any]
Outcome = ModelResponse[Any] | ExtendedModelResponse[Any]
_SUMMARY = "Summary of the conversation so far: {summary}"


class HistoryState(AgentState[Any]):
    """What an agent remembers of a conversation that is too long to be read again."""

    summary: Annotated[NotRequired[str], OmitFromInput]
    summarised: Annotated[NotRequired[str], OmitFromInput]
    """Id of the last message in it."""


class HistoryMiddleware(AgentMiddleware[HistoryState, Any, Any]):
    """Shows the model earlier questions and their answers in so many tokens, the oldest as a summary.

    While all of the conversation fits, it is shown as it is; then without the calls of tools and what they
    found. Passages keep their numbers. Writing the summary is one more call of the model, without thought.

    Args:
        history_tokens: about how many; 0: each question stands for itself.
    """

    state_schema = HistoryState

    def __init__(self, history_tokens: int = 1500) -> None:
        self.history_tokens = history_tokens

    def wrap_model_call(self, request: Request, handler: Callable[[Request], ModelResponse[Any]]) -> Outcome:
        """Call the model with what it is to read."""
        shown, update = self._shown(request)
        return _noted(handler(shown), update)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[ModelResponse[Any]]]
    ) -> Outcome:
        """The same."""
        shown, update = await asyncio.to_thread(self._shown, request)
        return _noted(await handler(shown), update)

    def _shown(self, request: Request) -> tuple[Request, dict[str, Any]]:
        """The request with as much of the conversation as fits, and what there is to remember of it."""
        state: Any = request.state
        messages = state["messages"]
        earlier = messages[: len(messages) - len(since_question(messages)) - 1]
        budget = setting(request.runtime, "history_tokens", self.history_tokens)
        if sum(tokens_in(message.text) for message in earlier) <= (budget if earlier else 0):
            return request, {}
        memory = self._memory(request, budget) if budget else Memory("", "", [])
        new = len(since_question(request.messages)) + 1
        shown = request.override(messages=[*_told(memory), *request.messages[-new:]])
        known = (state.get("summary", ""), state.get("summarised", ""))
        noted = {"summary": memory.summary, "summarised": memory.summarised}
        return shown, noted if budget and known != (memory.summary, memory.summarised) else {}

    def _memory(self, request: Request, budget: int) -> Memory:
        state: Any = request.state
        known = (state.get("summary", ""), state.get("summarised", ""))
        stage = Stage("history", request.runtime.stream_writer)
        memory = remember(state["messages"], known, budget, request.model, Thought(False, None), stage)
        if stage.details:
            request.runtime.stream_writer({"stage": stage.name, **stage.details})
        return memory


def _told(memory: Memory) -> list[AnyMessage]:
    summary = [HumanMessage(_SUMMARY.format(summary=as_data(memory.summary)))] if memory.summary else []
    turns = [
        HumanMessage(turn.text) if turn.speaker == "User" else AIMessage(turn.text) for turn in memory.turns
    ]
    return [*summary, *turns]


def _noted(response: ModelResponse[Any], update: dict[str, Any]) -> Outcome:
    return ExtendedModelResponse(response, Command(update=update)) if update else response
