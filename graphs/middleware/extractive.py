"""Answers without a chat model: search once, then quote the best sentences.

Knows the tool `search` by its name, and `extract_answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatResult
from langgraph.runtime import Runtime

from qwen_agentkit.graphs.middleware.model_requests import (
    answer_language,
    question_text,
    read_setting,
    since_question,
)
from qwen_agentkit.graphs.middleware.passages import PassagesState, numbers_of
from qwen_agentkit.graphs.middleware.tool_limits import read_failure
from qwen_agentkit.graphs.shared.answers import extract_answer
from qwen_agentkit.graphs.shared.parallel import check_not_all_failed
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage
from qwen_agentkit.text.languages import phrase

__all__ = ["ExtractiveMiddleware", "NoModel", "search_or_quote"]


class NoModel(BaseChatModel):
    """Placeholder for the model that `create_agent` needs. `ExtractiveMiddleware` never calls it."""

    @property
    def _llm_type(self) -> str:
        return "none"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("This agent has no chat model; expected ExtractiveMiddleware to answer.")


class ExtractiveMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Answers instead of a model. It must be the last middleware, since it does not call the next one.

    Args:
        reranker: Chooses the sentences. Without a reranker the first sentence is quoted.
    """

    state_schema = PassagesState

    def __init__(self, reranker: BaseDocumentCompressor | None) -> None:
        self.reranker = reranker

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call the tool `search`, or quote what it found."""
        return search_or_quote(request, self.reranker)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`, off the event loop."""
        return await asyncio.to_thread(search_or_quote, request, self.reranker)


def search_or_quote(
    request: ModelRequest[Any], reranker: BaseDocumentCompressor | None
) -> ModelResponse[Any]:
    """Call the tool `search` if it was not called for this question; else quote the best sentences found.

    Args:
        request: The request to the model.
        reranker: Chooses the sentences. Without a reranker, and when it fails, the first one is quoted.

    Raises:
        RetrievalError: Every search failed: an answer that nothing was found would not be true.
    """
    state: Any = request.state
    asked, messages = question_text(state["messages"]), since_question(state["messages"])
    searches = [one for one in messages if isinstance(one, ToolMessage) and one.name == "search"]
    if not searches and "search" in [getattr(one, "name", None) for one in request.tools]:
        call = {"name": "search", "args": {"query": asked}, "id": f"search-{len(state['messages'])}"}
        return ModelResponse([AIMessage("", tool_calls=[call])])
    check_not_all_failed([read_failure(one) for one in searches])
    return ModelResponse([AIMessage(_quote(asked, state, request.runtime, reranker))])


def _quote(
    asked: str, state: PassagesState, runtime: Runtime[Any], reranker: BaseDocumentCompressor | None
) -> str:
    language = answer_language(state["messages"], runtime)
    found = [number for one in since_question(state["messages"]) for number in numbers_of(one)]
    passages = [state["passages"][number - 1] for number in found]
    extract = partial(extract_answer, language=language, sentences=read_setting(runtime, "sentences", 2))
    try:
        _, citations = extract(asked, passages, reranker)
    except ALWAYS_RAISED:
        raise
    except Exception as error:
        Stage("model", runtime.stream_writer).announce_fallback("first sentence", error)
        _, citations = extract(asked, passages, None)
    lines = [f"{citation['quote']} [{found[citation['marker'] - 1]}]" for citation in citations]
    head = phrase(language, "from_documents")
    return "\n".join([head, *lines]) if lines else phrase(language, "abstain")
