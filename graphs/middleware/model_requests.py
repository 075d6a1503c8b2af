"""What the middleware reads from a model request and its run: question, settings, final answer, cost.

Knows messages and model requests. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage

from qwen_agentkit.graphs.shared.runtime import count_thought
from qwen_agentkit.text.languages import detect_language

__all__ = [
    "Cost",
    "NoTurnLeft",
    "add_cost",
    "add_instruction",
    "answer_language",
    "count_cost",
    "discarded_drafts",
    "final_answer",
    "question_text",
    "read_setting",
    "request_again",
    "since_question",
]

T = TypeVar("T")


class NoTurnLeft(Exception):
    """The model may not be called again for this question."""


class Cost(NamedTuple):
    """Calls of the model, and tokens of thought."""

    calls: int
    thought: int


def question_text(messages: Sequence[AnyMessage]) -> str:
    """The text of the last human message, or "" if there is none."""
    return next((one.text.strip() for one in reversed(messages) if isinstance(one, HumanMessage)), "")


def since_question(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages after the last human message."""
    places = [place for place, one in enumerate(messages) if isinstance(one, HumanMessage)]
    return list(messages[places[-1] + 1 :] if places else messages)


def read_setting(runtime: Any, name: str, default: T) -> T:
    """The context's field `name`, or the default if the context has no such field."""
    return cast(T, getattr(getattr(runtime, "context", None), name, default))


def answer_language(messages: Sequence[AnyMessage], runtime: Any) -> str:
    """The language of the answer: that of the context, or else that of the question."""
    chosen: str | None = read_setting(runtime, "answer_language", None)
    return chosen or detect_language(question_text(messages), among=_earlier_languages(messages))


def _earlier_languages(messages: Sequence[AnyMessage]) -> list[str]:
    """The language of the question before: a question too short to tell is in the same."""
    *earlier, _ = [str(one.text) for one in messages if isinstance(one, HumanMessage)] or [""]
    return [detect_language(earlier[-1])] if earlier else []


def final_answer(response: ModelResponse[Any]) -> AIMessage | None:
    """The message of a response that ends the run, or None if it calls tools or has no text."""
    message = response.result[-1] if response.result else None
    if isinstance(message, AIMessage) and not message.tool_calls and message.text.strip():
        return message
    return None


def add_instruction(request: ModelRequest[Any], instruction: str) -> ModelRequest[Any]:
    """The request with one more paragraph at the end of its system message."""
    before = request.system_message.text if request.system_message else ""
    return request.override(system_message=SystemMessage(f"{before}\n\n{instruction}".strip()))


def discarded_drafts(request: ModelRequest[Any]) -> list[AIMessage]:
    """Answers to this request that were discarded for another call. They are not in the conversation."""
    state: Any = request.state
    return list(state.get("drafts", []))


def request_again(request: ModelRequest[Any], draft: AIMessage) -> ModelRequest[Any]:
    """The request for one more call, with the draft that it is to replace."""
    state: Any = {**request.state, "drafts": [*discarded_drafts(request), draft]}
    return request.override(state=state)


def add_cost(response: ModelResponse[Any], draft: AIMessage) -> ModelResponse[Any]:
    """The response with the cost of a discarded draft added to its message."""
    *before, message = response.result
    cost = _sum_costs([message, draft])
    metadata = {**message.response_metadata, "spent": cost._asdict()}
    return replace(response, result=[*before, message.model_copy(update={"response_metadata": metadata})])


def count_cost(request: ModelRequest[Any]) -> Cost:
    """The cost of this question so far, drafts included."""
    return _sum_costs([*since_question(request.state["messages"]), *discarded_drafts(request)])


def _sum_costs(messages: Iterable[BaseMessage]) -> Cost:
    costs = [_message_cost(message) for message in messages]
    return Cost(sum(one.calls for one in costs), sum(one.thought for one in costs))


def _message_cost(message: BaseMessage) -> Cost:
    if not isinstance(message, AIMessage):
        return Cost(0, 0)
    known = message.response_metadata.get("spent")
    return Cost(**known) if known else Cost(1, count_thought(message))
