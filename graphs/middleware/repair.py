"""Repairs a final answer: find its faults, ask once for a better one, keep the one with fewer faults.

Knows model calls, not what a fault is. The draft and the request to repair it stay out of the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import (
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain_core.messages import AIMessage, HumanMessage

from qwen_agentkit.graphs.middleware.model_requests import NoTurnLeft, add_cost, final_answer, request_again
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage

__all__ = ["Outcome", "RepairMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
Outcome = ModelResponse[Any] | ExtendedModelResponse[Any]


class RepairMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Base class of middleware that checks final answers. A subclass defines what a fault is."""

    stage = "repair"
    """Name in the custom stream."""

    def prepare(self, request: Request) -> Request:
        """Change the request before the first call."""
        return request

    def faults(self, answer: str, request: Request) -> list[str]:
        """The faults of a final answer; [] for no repair."""
        raise NotImplementedError

    def repair_request(self, faults: list[str], request: Request) -> str:
        """The message that asks the model to repair the faults."""
        raise NotImplementedError

    def finish(self, response: Response, request: Request) -> Outcome:
        """Change the response before it is returned."""
        return response

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Outcome:
        """Call the model, and once more if its final answer has faults."""
        request = self.prepare(request)
        response = handler(request)
        found, second = self._find_faults(response, request)
        if second is not None:
            try:
                response = self._choose_better(response, handler(second), found, request)
            except ALWAYS_RAISED:
                raise
            except Exception as error:
                response = self._keep_first(response, error, request)
        return self.finish(response, request)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Outcome:
        """As `wrap_model_call`, with the checks off the event loop."""
        request = await asyncio.to_thread(self.prepare, request)
        response = await handler(request)
        found, second = await asyncio.to_thread(self._find_faults, response, request)
        if second is not None:
            try:
                again = await handler(second)
                response = await asyncio.to_thread(self._choose_better, response, again, found, request)
            except ALWAYS_RAISED:
                raise
            except Exception as error:
                response = self._keep_first(response, error, request)
        return await asyncio.to_thread(self.finish, response, request)

    def _find_faults(self, response: Response, request: Request) -> tuple[list[str], Request | None]:
        """The faults of a response, and the request to repair them, or None."""
        answer = final_answer(response)
        found = self.faults(answer.text, request) if answer else []
        if answer is None or not found:
            return [], None
        draft, repair = AIMessage(answer.text), HumanMessage(self.repair_request(found, request))
        second = request_again(request, answer)
        return found, second.override(messages=[*request.messages, draft, repair])

    def _choose_better(
        self, first: Response, again: Response, found: list[str], request: Request
    ) -> Response:
        """The second response if it is an answer with fewer faults."""
        answer = final_answer(again)
        left = self.faults(answer.text, request) if answer else found
        taken = len(left) < len(found)
        request.runtime.stream_writer({"stage": self.stage, "faults": found, "taken": taken, "left": left})
        kept, left_out = (again, first) if taken else (first, again)
        return add_cost(kept, _last_message(left_out))

    def _keep_first(self, first: Response, error: Exception, request: Request) -> Response:
        """The first response, when the second call failed."""
        Stage(self.stage, request.runtime.stream_writer).announce_fallback("the answer as it was", error)
        return first if isinstance(error, NoTurnLeft) else add_cost(first, AIMessage(""))


def _last_message(response: Response) -> AIMessage:
    message = response.result[-1] if response.result else None
    return message if isinstance(message, AIMessage) else AIMessage("")
