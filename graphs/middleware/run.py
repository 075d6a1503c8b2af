"""What the middleware reads off a run: its question, its settings, its final answer, what it has spent.

Knows messages and model requests, no policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage

from qwen_agentkit.graphs.shared.usage import thought_in
from qwen_agentkit.text.languages import detect_language

__all__ = [
    "NoTurnLeft",
    "Spent",
    "answer_language",
    "charged",
    "drafts",
    "final_answer",
    "given_up",
    "instructed",
    "question",
    "setting",
    "since_question",
    "spent",
]

T = TypeVar("T")


class NoTurnLeft(Exception):
    """The model may not be asked again for this question."""


class Spent(NamedTuple):
    """What a question took so far: calls of the model, and tokens of thought."""

    calls: int
    thought: int


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


def drafts(request: ModelRequest[Any]) -> list[AIMessage]:
    """What the model was asked for beside this request and what was given up; not in the conversation."""
    state: Any = request.state
    return list(state.get("drafts", []))


def given_up(request: ModelRequest[Any], draft: AIMessage) -> ModelRequest[Any]:
    """The request for one more call, which knows of the draft before it."""
    state: Any = {**request.state, "drafts": [*drafts(request), draft]}
    return request.override(state=state)


def charged(response: ModelResponse[Any], draft: AIMessage) -> ModelResponse[Any]:
    """The response, whose message counts what a draft that was given up took, too."""
    *before, message = response.result
    both = [_spent(message), _spent(draft)]
    taken = {"calls": sum(one.calls for one in both), "thought": sum(one.thought for one in both)}
    metadata = {**message.response_metadata, "spent": taken}
    return replace(response, result=[*before, message.model_copy(update={"response_metadata": metadata})])


def spent(request: ModelRequest[Any]) -> Spent:
    """What this question took so far, drafts included."""
    said = [_spent(one) for one in [*since_question(request.state["messages"]), *drafts(request)]]
    return Spent(sum(one.calls for one in said), sum(one.thought for one in said))


def _spent(message: BaseMessage) -> Spent:
    if not isinstance(message, AIMessage):
        return Spent(0, 0)
    known = message.response_metadata.get("spent")
    return Spent(**known) if known else Spent(1, thought_in(message))
