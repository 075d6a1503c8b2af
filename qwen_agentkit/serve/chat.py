"""`/v1/chat/completions`: a graph as a chat model, for programs that speak OpenAI's API.

Format: https://platform.openai.com/docs/api-reference/chat. The model of a request is the name of a graph.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Request
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from qwen_agentkit.errors import InputError
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.events import EventStream, unless_gone
from qwen_agentkit.serve.failures import describe_error, not_found
from qwen_agentkit.serve.readable import annotate, list_sources, write_correction
from qwen_agentkit.serve.running import GRAPHS, Event, Run, read_settings
from qwen_agentkit.serve.service import Service, current_user, service_of

__all__ = ["router"]

router = APIRouter()

_MEANINGFUL = ("tools", "functions", "response_format", "logprobs", "audio", "modalities", "prediction")
"""Fields that would change what an answer is, and which no graph obeys."""
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "n": (1,),
}
_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


class Part(BaseModel):
    """A part of a message. Only text is read."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: str = ""


class Message(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class ChatBody(BaseModel):
    """A request. Fields that are not named here are answered with their names in `x-ignored-fields`."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Message] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    settings: dict[str, Any] = {}
    """Settings of the graph, such as {"passages": 5}."""


@router.post("/v1/chat/completions")
async def complete_chat(
    body: ChatBody,
    request: Request,
    service: Annotated[Service, Depends(service_of)],
    user: Annotated[User, Depends(current_user)],
) -> Response:
    """Answer the last question of a conversation from the documents, with citations."""
    if body.model not in GRAPHS:
        raise not_found("model", body.model, f"Expected one of {', '.join(GRAPHS)}.")
    service.runner.check_room()  # while there is a status to say so
    run, ignored = _read_run(body, user)
    headers = {"x-ignored-fields": ", ".join(ignored)} if ignored else {}
    reply = _Reply(body.model, str(request.base_url))
    if body.stream:
        usage = bool((body.stream_options or {}).get("include_usage"))
        return EventStream(_stream(service, run, reply, usage=usage), headers)
    answer = await unless_gone(request, _answer(service, run))
    return JSONResponse(reply.whole(answer), headers=headers)


def _read_run(body: ChatBody, user: User) -> tuple[Run, list[str]]:
    """What is asked, and the names of the fields that nothing here obeys."""
    extra = {name: value for name, value in (body.model_extra or {}).items() if value is not None}
    for name in (*_MEANINGFUL, "n"):
        value = extra.get(name)
        if value and value not in _HARMLESS.get(name, ()):
            raise InputError(
                f"The field {name!r} cannot be obeyed: a graph answers from documents in text. Leave it out."
            )
    messages, ignored = _read_messages(body.messages)
    given = dict(body.settings)
    if given.get("approve_plan"):
        raise InputError("approve_plan needs a person to decide, which this API cannot ask. Use the page.")
    effort = body.reasoning_effort
    if effort is not None:
        if effort not in _EFFORTS:
            raise InputError(f"reasoning_effort is {effort!r}; expected one of {', '.join(_EFFORTS)}.")
        given.setdefault("effort", _EFFORTS[effort])
    thinking = (body.chat_template_kwargs or {}).get("enable_thinking")
    if thinking is not None:
        given.setdefault("thinking", thinking)
    settings = read_settings(body.model, given)
    obeyed = (*_MEANINGFUL, "n")
    ignored += [name for name in extra if name not in obeyed and name.isascii() and name.isidentifier()]
    return Run(body.model, user, messages, settings), ignored[:50]


def _read_messages(given: list[Message]) -> tuple[list[AnyMessage], list[str]]:
    """The questions and answers, and what was left out."""
    messages: list[AnyMessage] = []
    ignored: set[str] = set()
    for message in given:
        parts = message.content if isinstance(message.content, list) else []
        if other := next((part.type for part in parts if part.type not in ("text", "input_text")), None):
            raise InputError(f"A message has a part of the type {other!r}; expected text. Leave it out.")
        text = "".join(part.text for part in parts) if parts else str(message.content or "")
        if message.role == "user":
            messages.append(HumanMessage(text))
        elif message.role == "assistant":
            messages.append(AIMessage(text))
        else:  # the graphs have instructions and tools of their own
            ignored.add(f"messages.{message.role}")
    if given[-1].role != "user":
        raise InputError(
            f"The last message is of the role {given[-1].role!r}; expected a question of the role 'user'."
        )
    return messages, sorted(ignored)


async def _answer(service: Service, run: Run) -> Event:
    answer = await service.runner.answer(run)
    service.metrics.count_answer(run.graph, answer)
    return answer


async def _stream(service: Service, run: Run, reply: _Reply, *, usage: bool) -> AsyncGenerator[Any, None]:
    yield reply.chunk({"role": "assistant", "content": ""})
    # The agent writes between its searches, too, and only its last text is the answer.
    draft, drafting = "", run.graph != "agent"
    try:
        async with aclosing(service.runner.stream(run)) as events:
            async for event in events:
                kind = event["type"]
                if kind == "thought":
                    yield reply.chunk({"reasoning_content": event["text"]})
                elif kind == "restart":
                    drafting = False
                elif kind == "text" and drafting:
                    draft += event["text"]
                    yield reply.chunk({"content": event["text"]})
                elif kind == "answer":
                    service.metrics.count_answer(run.graph, event)
                    for delta in reply.end(event, draft):
                        yield reply.chunk(delta)
                    yield reply.chunk({}, finish="stop")
                    if usage:
                        yield {**reply.chunk({}), "choices": [], "usage": _usage(event)}
    except Exception as error:
        # The status was sent long ago. OpenAI's clients raise for this.
        _, code, message = describe_error(error)
        yield {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
    yield "[DONE]"


def _usage(answer: Event) -> dict[str, int]:
    read, written = answer["tokens"].get("input", 0), answer["tokens"].get("output", 0)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


class _Reply:
    """One answer in OpenAI's form.

    Args:
        model: As the request named it.
        address: Of this server, for the links of citations.
    """

    def __init__(self, model: str, address: str) -> None:
        self._model = model
        self._address = address
        self._id = f"chatcmpl-{uuid4().hex}"
        self._created = int(time.time())

    def whole(self, answer: Event) -> dict[str, Any]:
        text, notes = self._with_sources(answer)
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": notes}
        if answer["reasoning"]:
            message["reasoning_content"] = answer["reasoning"]
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [choice],
            "usage": _usage(answer),
            "answer": answer,
        }

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}],
        }

    def end(self, answer: Event, draft: str) -> list[dict[str, Any]]:
        """What follows the draft that was streamed: corrections, the list of sources, and annotations."""
        text, notes = self._with_sources(answer)
        if not draft:
            return [{"content": text}, {"annotations": notes}]
        rest = f"{write_correction(answer, draft)}{list_sources(answer)}"
        # Places in the draft differ from those in the checked answer.
        notes = [{**note, "url_citation": {**note["url_citation"], "start_index": 0}} for note in notes]
        return [*([{"content": rest}] if rest else []), {"annotations": notes}]

    def _with_sources(self, answer: Event) -> tuple[str, list[dict[str, Any]]]:
        return f"{answer['answer']}{list_sources(answer)}", annotate(answer, self._address)
