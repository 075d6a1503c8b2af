"""What replaces a model that fails: a second call without thinking, then quoted sentences.

Knows that a call failed, not why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.messages import AIMessage

from qwen_agentkit.graphs.middleware.extractive import search_or_quote
from qwen_agentkit.graphs.middleware.model_requests import (
    add_cost,
    discarded_drafts,
    request_again,
    since_question,
)
from qwen_agentkit.graphs.middleware.passages import PassagesState
from qwen_agentkit.graphs.shared.models import NoAnswer, can_think
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage

__all__ = ["ModelFallbackMiddleware"]

Request = ModelRequest[Any]
Response = ModelResponse[Any]
_NOTHING = AIMessage("")
"""The draft of a call that failed."""


class ModelFallbackMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Replaces a failed answer as `rag` does, and announces it in the custom stream.

    Once sentences are quoted for a question, the model is not asked about it again. A failed repair is not
    replaced: the answer stays as it was.

    Args:
        reranker: Chooses the sentences. Without a reranker the first sentence is quoted.
    """

    state_schema = PassagesState

    def __init__(self, reranker: BaseDocumentCompressor | None = None) -> None:
        self.reranker = reranker

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Call the model at most twice, then quote."""
        if discarded_drafts(request):
            return handler(request)
        if _fell_back(request):
            return self._quote(request)
        try:
            return _check_text(handler(request))
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            _announce(request, "without thinking", error)
        try:
            return add_cost(_check_text(handler(_without_thinking(request))), _NOTHING)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            _announce(request, "extractive answer", error)
        return self._quote(request)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """As `wrap_model_call`."""
        if discarded_drafts(request):
            return await handler(request)
        if _fell_back(request):
            return await asyncio.to_thread(self._quote, request)
        try:
            return _check_text(await handler(request))
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            _announce(request, "without thinking", error)
        try:
            return add_cost(_check_text(await handler(_without_thinking(request))), _NOTHING)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            _announce(request, "extractive answer", error)
        return await asyncio.to_thread(self._quote, request)

    def _quote(self, request: Request) -> Response:
        """Quote sentences, or search for them first."""
        response = search_or_quote(request, self.reranker)
        [message] = response.result
        message.response_metadata["fallback"] = "extractive answer"
        return response


def _fell_back(request: Request) -> bool:
    """Whether sentences were already quoted for this question."""
    messages = since_question(request.state["messages"])
    return any("fallback" in message.response_metadata for message in messages)


def _check_text(response: Response) -> Response:
    """The response, if it has text, calls of tools or an object."""
    message = response.result[-1] if response.result else _NOTHING
    calls_tools = isinstance(message, AIMessage) and message.tool_calls
    if not calls_tools and not message.text.strip() and response.structured_response is None:
        raise NoAnswer("The model wrote no answer.")
    return response


def _without_thinking(request: Request) -> Request:
    again = request_again(request, _NOTHING)
    if not can_think(request.model):
        return again
    return again.override(model_settings={**request.model_settings, "thinking": False})


def _announce(request: Request, instead: str, error: Exception) -> None:
    Stage("model", request.runtime.stream_writer).announce_fallback(instead, error)
