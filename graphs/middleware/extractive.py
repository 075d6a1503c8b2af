"""The part of the model where there is none: search once, then quote the best sentences.

Knows the tool search by its name, and `extract_answer`.
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

from qwen_agentkit.graphs.middleware.passages import PassagesState, numbers_of
from qwen_agentkit.graphs.middleware.run import answer_language, question, setting, since_question
from qwen_agentkit.graphs.middleware.tool_limits import failure
from qwen_agentkit.graphs.shared.branches import refuse_if_all_failed
from qwen_agentkit.graphs.shared.extract import extract_answer
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Stage
from qwen_agentkit.text.languages import phrase

__all__ = ["ExtractiveMiddleware", "NoModel", "searched_or_quoted"]


class NoModel(BaseChatModel):
    """Stands where `create_agent` wants a model; `ExtractiveMiddleware` never calls it."""

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
        raise NotImplementedError("There is no chat model; expected ExtractiveMiddleware to answer.")


class ExtractiveMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Answers in the place of a model. Has to stand last, since it calls nothing behind it.

    Args:
        reranker: chooses the sentences; without one the first is quoted.
    """

    state_schema = PassagesState

    def __init__(self, reranker: BaseDocumentCompressor | None) -> None:
        self.reranker = reranker

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Call search, or quote what it found."""
        return searched_or_quoted(request, self.reranker)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same, off the event loop."""
        return await asyncio.to_thread(searched_or_quoted, request, self.reranker)


def searched_or_quoted(
    request: ModelRequest[Any], reranker: BaseDocumentCompressor | None
) -> ModelResponse[Any]:
    """A call of search if there was none for this question, then the best sentences of what was found.

    Args:
        request: for the model.
        reranker: chooses the sentences; without one, and when it fails, the first is quoted.

    Raises:
        RetrievalError: every search failed: that nothing was found would not be true.
    """
    state: Any = request.state
    asked, messages = question(state["messages"]), since_question(state["messages"])
    searches = [one for one in messages if isinstance(one, ToolMessage) and one.name == "search"]
    if not searches and "search" in [getattr(one, "name", None) for one in request.tools]:
        call = {"name": "search", "args": {"query": asked}, "id": f"search-{len(state['messages'])}"}
        return ModelResponse([AIMessage("", tool_calls=[call])])
    refuse_if_all_failed([failure(one) for one in searches])
    return ModelResponse([AIMessage(_quoted(asked, state, request.runtime, reranker))])


def _quoted(
    asked: str, state: PassagesState, runtime: Runtime[Any], reranker: BaseDocumentCompressor | None
) -> str:
    language = answer_language(state["messages"], runtime)
    found = [number for one in since_question(state["messages"]) for number in numbers_of(one)]
    passages = [state["passages"][number - 1] for number in found]
    best = partial(extract_answer, language=language, sentences=setting(runtime, "sentences", 2))
    try:
        _, citations = best(asked, passages, reranker)
    except NEVER_HIDDEN:
        raise
    except Exception as error:
        Stage("model", runtime.stream_writer).fall_back("first sentence", error)
        _, citations = best(asked, passages, None)
    lines = [f"{citation['quote']} [{found[citation['marker'] - 1]}]" for citation in citations]
    head = phrase(language, "from_documents")
    return "\n".join([head, *lines]) if lines else phrase(language, "abstain")
