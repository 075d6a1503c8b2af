"""A model that fails is asked once more without thinking; then sentences are quoted in its place.

Knows failed calls, not why they failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.middleware.extractive import searched_or_quoted
from qwen_agentkit.graphs.middleware.passages import PassagesState
from qwen_agentkit.graphs.middleware.run import charged, drafts, given_up, since_question
from qwen_agentkit.graphs.shared.models import NoAnswer, can_think
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Stage

__all__ = ["ModelFallbackMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
_NOTHING = AIMessage("")
"""What a call that failed said."""


class ModelFallbackMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Replaces what a model fails to say, as `rag` does, and announces it in the custom stream.

    Once sentences are quoted for a question, the model is not asked about it again. A call that is to mend an
    answer is left to whoever asked for it: the answer stays as it was.

    Args:
        reranker: chooses the sentences; without one the first is quoted.
    """

    state_schema = PassagesState

    def __init__(self, reranker: BaseDocumentCompressor | None = None) -> None:
        self.reranker = reranker

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Call the model, at most twice."""
        if drafts(request):
            return handler(request)
        if _fell_back(request):
            return self._quoted(request)
        try:
            return _spoken(handler(request))
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            _announce(request, "without thinking", error)
        try:
            return charged(_spoken(handler(_without_thinking(request))), _NOTHING)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            _announce(request, "extractive answer", error)
        return self._quoted(request)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """The same."""
        if drafts(request):
            return await handler(request)
        if _fell_back(request):
            return await asyncio.to_thread(self._quoted, request)
        try:
            return _spoken(await handler(request))
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            _announce(request, "without thinking", error)
        try:
            return charged(_spoken(await handler(_without_thinking(request))), _NOTHING)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            _announce(request, "extractive answer", error)
        return await asyncio.to_thread(self._quoted, request)

    def _quoted(self, request: Request) -> Response:
        """Quotes, or the search for them."""
        response = searched_or_quoted(request, self.reranker)
        [message] = response.result
        message.response_metadata["fallback"] = "extractive answer"
        return response


def _fell_back(request: Request) -> bool:
    said = since_question(request.state["messages"])
    return any("fallback" in one.response_metadata for one in said)


def _spoken(response: Response) -> Response:
    """The response, if there is anything in it."""
    message = response.result[-1] if response.result else _NOTHING
    called = isinstance(message, AIMessage) and message.tool_calls
    if not called and not message.text.strip() and response.structured_response is None:
        raise NoAnswer("the model wrote no answer")
    return response


def _without_thinking(request: Request) -> Request:
    again = given_up(request, _NOTHING)
    if not can_think(request.model):
        return again
    return again.override(model_settings={**request.model_settings, "thinking": False})


def _announce(request: Request, instead: str, error: Exception) -> None:
    Stage("model", request.runtime.stream_writer).fall_back(instead, error)
