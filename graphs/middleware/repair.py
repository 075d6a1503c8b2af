"""One more chance for a final answer: find its faults, ask once, keep the better one.

Knows model calls, not what a fault is. The draft and the request to mend it stay out of the conversation.
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

from qwen_agentkit.graphs.middleware.run import NoTurnLeft, charged, final_answer, given_up
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN

__all__ = ["Outcome", "RepairMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
Outcome = ModelResponse[Any] | ExtendedModelResponse[Any]


class RepairMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Base of middleware that checks final answers. A subclass says what is wrong with one."""

    stage = "repair"
    """Its name in the custom stream."""

    def prepare(self, request: Request) -> Request:
        """The request as the model is to get it."""
        return request

    def faults(self, answer: str, request: Request) -> list[str]:
        """What is wrong with a final answer; nothing: no repair."""
        raise NotImplementedError

    def plea(self, faults: list[str], request: Request) -> str:
        """What the model is told about the faults."""
        raise NotImplementedError

    def finish(self, response: Response, request: Request) -> Outcome:
        """The response as it goes on."""
        return response

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Outcome:
        """Call the model, and once more if its final answer has faults."""
        request = self.prepare(request)
        response = handler(request)
        found, mending = self._examine(response, request)
        if mending is not None:
            try:
                response = self._better(response, handler(mending), found, request)
            except NEVER_HIDDEN:
                raise
            except Exception as error:
                response = self._kept(response, error, request)
        return self.finish(response, request)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Outcome:
        """The same, with the checks off the event loop."""
        request = await asyncio.to_thread(self.prepare, request)
        response = await handler(request)
        found, mending = await asyncio.to_thread(self._examine, response, request)
        if mending is not None:
            try:
                again = await handler(mending)
                response = await asyncio.to_thread(self._better, response, again, found, request)
            except NEVER_HIDDEN:
                raise
            except Exception as error:
                response = self._kept(response, error, request)
        return await asyncio.to_thread(self.finish, response, request)

    def _examine(self, response: Response, request: Request) -> tuple[list[str], Request | None]:
        """The faults of a response, and the request to mend them."""
        answer = final_answer(response)
        found = self.faults(answer.text, request) if answer else []
        if answer is None or not found:
            return [], None
        draft, plea = AIMessage(answer.text), HumanMessage(self.plea(found, request))
        mending = given_up(request, answer)
        return found, mending.override(messages=[*request.messages, draft, plea])

    def _better(self, first: Response, again: Response, found: list[str], request: Request) -> Response:
        """The second response if it is an answer with fewer faults."""
        answer = final_answer(again)
        left = self.faults(answer.text, request) if answer else found
        taken = len(left) < len(found)
        request.runtime.stream_writer({"stage": self.stage, "faults": found, "taken": taken, "left": left})
        kept, left_out = (again, first) if taken else (first, again)
        return charged(kept, _said(left_out))

    def _kept(self, first: Response, error: Exception, request: Request) -> Response:
        """The first response, when the second call failed."""
        what = f"{type(error).__name__}: {error}"
        request.runtime.stream_writer(
            {"stage": self.stage, "fallback": "the answer as it was", "error": what}
        )
        return first if isinstance(error, NoTurnLeft) else charged(first, AIMessage(""))


def _said(response: Response) -> AIMessage:
    message = response.result[-1] if response.result else None
    return message if isinstance(message, AIMessage) else AIMessage("")
