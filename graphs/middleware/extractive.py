"""The part of the model where there is none: search once, then quote the best sentences.

Knows the tool search by its name, and `extract_answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langgraph.runtime import Runtime

from qwen_agentkit.graphs.extract import extract_answer
from qwen_agentkit.graphs.middleware.passages import PassagesState, numbers_of
from qwen_agentkit.graphs.middleware.run import answer_language, question, setting, since_question
from qwen_agentkit.languages import phrase

__all__ = ["ExtractiveMiddleware", "NoModel"]


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
        state: Any = request.state
        asked = question(state["messages"])
        if not any(isinstance(one, AIMessage) for one in since_question(state["messages"])):
            call = {"name": "search", "args": {"query": asked}, "id": f"search-{len(state['messages'])}"}
            return ModelResponse([AIMessage("", tool_calls=[call])])
        return ModelResponse([AIMessage(self._quoted(asked, state, request.runtime))])

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same, off the event loop."""
        return await asyncio.to_thread(self.wrap_model_call, request, _never)

    def _quoted(self, asked: str, state: PassagesState, runtime: Runtime[Any]) -> str:
        language = answer_language(state["messages"], runtime)
        found = [number for one in since_question(state["messages"]) for number in numbers_of(one)]
        passages = [state["passages"][number - 1] for number in found]
        _, citations = extract_answer(
            asked,
            passages,
            self.reranker,
            language=language,
            sentences=setting(runtime, "sentences", 2),
        )
        lines = [f"{citation['quote']} [{found[citation['marker'] - 1]}]" for citation in citations]
        head = phrase(language, "from_documents")
        return "\n".join([head, *lines]) if lines else phrase(language, "abstain")


def _never(request: ModelRequest[Any]) -> ModelResponse[Any]:
    raise AssertionError("nothing stands behind this middleware")
