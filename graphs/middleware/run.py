"""What the middleware reads off a run: its question, its settings, its final answer.

Knows messages and model requests, no policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from qwen_agentkit.languages import detect_language

__all__ = ["answer_language", "final_answer", "instructed", "question", "setting", "since_question"]

T = TypeVar("T")


def question(messages: Sequence[AnyMessage]) -> str:
    """The text of the last human message, or "" when there is none."""
    return next((one.text.strip() for one in reversed(messages) if isinstance(one, HumanMessage)), "")


def since_question(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages behind the last human one."""
    places = [place for place, one in enumerate(messages) if isinstance(one, HumanMessage)]
    return list(messages[places[-1] + 1 :] if places else messages)


def setting(runtime: Any, name: str, default: T) -> T:
    """The context's `name`, or the default where the context has no such field."""
    return cast(T, getattr(getattr(runtime, "context", None), name, default))


def answer_language(messages: Sequence[AnyMessage], runtime: Any) -> str:
    """The language to answer in: the context's, else the question's."""
    chosen: str | None = setting(runtime, "answer_language", None)
    return chosen or detect_language(question(messages))


def final_answer(response: ModelResponse[Any]) -> AIMessage | None:
    """The message of a response that ends the run, or None when it calls tools or is no text."""
    message = response.result[-1] if response.result else None
    if isinstance(message, AIMessage) and not message.tool_calls and message.text.strip():
        return message
    return None


def instructed(request: ModelRequest[Any], instruction: str) -> ModelRequest[Any]:
    """The request with one more sentence at the end of its system message."""
    before = request.system_message.text if request.system_message else ""
    return request.override(system_message=SystemMessage(f"{before}\n\n{instruction}".strip()))
