"""`/v1/chat/completions`: a graph as a chat model, for programs that speak OpenAI's API.

Format: https://platform.openai.com/docs/api-reference/chat. The model of a request is the name of a graph.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Request
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import ConfigDict, Field
from starlette.responses import JSONResponse, Response

from qwen_agentkit.errors import InputError
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.bodies import Body, JsonRoute, OpenBody, name_ignored
from qwen_agentkit.serve.events import EventStream, unless_gone
from qwen_agentkit.serve.failures import describe_error, not_found
from qwen_agentkit.serve.readable import annotate, list_sources, write_correction
from qwen_agentkit.serve.running import GRAPHS, Event, Run, read_settings
from qwen_agentkit.serve.service import Service, current_user, service_of
from qwen_agentkit.serve.texts import check_visible

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute)

_HARMLESS: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "functions": ([],),
    "response_format": ({}, {"type": "text"}),
    "logprobs": (False,),
    "audio": ({},),
    "modalities": ([], ["text"]),
    "prediction": ({},),
    "n": (1,),
}
"""Fields that would change what an answer is, with the values that change nothing. No graph obeys another."""
_CALLS = {"tools": "tool_choice", "functions": "function_call"}
"""Fields with what may be called, and those that say whether."""
_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


class Part(Body):
    """A part of a message. Only text is read."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: str = ""


class Message(Body):
    """A message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(Body):
    """How an answer streams."""

    include_usage: bool = False


class ChatBody(OpenBody):
    """A request. Fields that are not named here are answered with their names in `x-ignored-fields`."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
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
    headers = name_ignored(ignored)
    reply = _Reply(body.model, str(request.base_url))
    if body.stream:
        stream = _stream(service, run, reply, usage=body.stream_options.include_usage)
        return EventStream(stream, headers)
    answer = await unless_gone(request, _answer(service, run))
    return JSONResponse(reply.whole(answer), headers=headers)


def _read_run(body: ChatBody, user: User) -> tuple[Run, list[str]]:
    """What is asked, and the names of the fields that nothing here obeys."""
    _check_fields(body.unknown)
    messages, ignored = _read_messages(body.messages)
    given = dict(body.settings)
    if given.get("approve_plan"):
        raise InputError("approve_plan needs a person to decide, which this API cannot ask. Use the page.")
    effort = body.reasoning_effort
    if effort is not None:
        if effort not in _EFFORTS:
            raise InputError(f"reasoning_effort is {effort!r}; expected one of {', '.join(_EFFORTS)}.")
        given.setdefault("effort", _EFFORTS[effort])
    template = dict(body.chat_template_kwargs)
    thinking = template.pop("enable_thinking", None)
    if thinking is not None:
        given.setdefault("thinking", thinking)
    settings = read_settings(body.model, given)
    ignored += [name for name in body.unknown if body.unknown[name] not in _HARMLESS.get(name, ())]
    ignored += [f"chat_template_kwargs.{name}" for name in template]
    return Run(body.model, user, messages, settings), ignored


def _check_fields(given: Mapping[str, Any]) -> None:
    """Refuse what would change the meaning of an answer."""
    for name, harmless in _HARMLESS.items():
        if name not in given or given[name] in harmless or given.get(_CALLS.get(name, "")) == "none":
            continue
        if name in _CALLS:
            raise InputError(
                f"The field {name!r} cannot be obeyed: a graph calls none of the program that asks. Leave "
                f"it out, or send {_CALLS[name]}='none'. In an editor, choose its chat, not its agent."
            )
        raise InputError(
            f"The field {name!r} cannot be obeyed: a graph gives one answer from documents, as text. "
            "Leave it out."
        )


def _read_messages(given: list[Message]) -> tuple[list[AnyMessage], list[str]]:
    """The questions and answers, and what was left out."""
    messages: list[AnyMessage] = []
    ignored: set[str] = set()
    said = [message for message in given if message.role not in ("system", "developer")]
    if not said or said[-1].role != "user":
        last = (said or given)[-1].role
        raise InputError(f"The last message is of the role {last!r}; expected a question of the role 'user'.")
    for message in given:
        parts = message.content if isinstance(message.content, list) else []
        others = [part.type for part in parts if part.type not in ("text", "input_text")]
        if others and message is said[-1]:
            raise InputError(
                f"The question has a part of the type {others[0]!r}; expected text. Leave it out."
            )
        ignored.update(f"messages.{kind}" for kind in others)
        text = "".join(part.text for part in parts) if parts else str(message.content or "")
        if message.role == "user":
            messages.append(HumanMessage(text))
        elif message.role == "assistant":
            messages.append(AIMessage(text))
        else:  # the graphs have instructions and tools of their own
            ignored.add(f"messages.{message.role}")
    check_visible(messages[-1].text, "The question")
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
