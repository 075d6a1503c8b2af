"""`/api/...`: what the page asks for. Conversations, answers as they are written, and plans to decide about.

A conversation belongs to one user. What its answers cite is filtered again whenever it is read: a user who
left a group finds neither its passages nor the answers made from them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import ConfigDict, Field
from starlette.responses import Response

from qwen_agentkit import __version__
from qwen_agentkit.graphs.research.state import PlanDecision
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.bodies import Body, JsonRoute
from qwen_agentkit.serve.conversations import Conversation
from qwen_agentkit.serve.events import EventStream
from qwen_agentkit.serve.failures import describe_error, not_found
from qwen_agentkit.serve.readable import LANGUAGES
from qwen_agentkit.serve.running import GRAPHS, Event, PlanLost, Run, read_settings
from qwen_agentkit.serve.service import MOST_UPLOAD, Service, current_user, service_of
from qwen_agentkit.serve.texts import check_visible
from qwen_agentkit.stack import NANO_NOTICE

__all__ = ["router"]

router = APIRouter(prefix="/api", include_in_schema=False, route_class=JsonRoute)

Parts = Annotated[Service, Depends(service_of)]
Reader = Annotated[User, Depends(current_user)]


class Title(Body):
    """The title of a conversation."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=1000)


class Question(Body):
    """A question of the page."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(max_length=20_000)
    graph: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Decision(Body):
    """A decision about the plan with this id."""

    model_config = ConfigDict(extra="forbid")

    id: str
    decision: PlanDecision


@router.get("/session")
async def describe_session(service: Parts, user: Reader) -> dict[str, Any]:
    """Who asks, and what there is to choose from."""
    library = service.library
    return {
        "version": __version__,
        "user": user.name,
        "groups": user.groups if library.groups else None,
        "needs_group": library.groups,
        "writes": user.writes,
        "preset": library.models.stack.preset,
        "notice": NANO_NOTICE if library.models.stack.preset == "nano" else "",
        "graphs": GRAPHS,
        "graph": service.graph,
        "languages": LANGUAGES,
        "models": library.states,
        "most_upload": MOST_UPLOAD,
        "secured": service.tokens is not None,
    }


@router.get("/conversations")
async def list_conversations(service: Parts, user: Reader) -> list[Conversation]:
    """The user's conversations, the last used one first."""
    return service.conversations.owned_by(user.name)


@router.post("/conversations")
async def create_conversation(body: Title, service: Parts, user: Reader) -> Conversation:
    """Begin a conversation."""
    return service.conversations.create(user.name, body.title)


@router.get("/conversations/{id}")
async def read_conversation(id: str, service: Parts, user: Reader) -> dict[str, Any]:
    """A conversation with its turns, as far as the user may read them now, and the plans that wait."""
    found = _find(service, user, id)
    plans = service.conversations.plans(user.name, id)
    waiting = [
        {"id": plan, "question": body["question"], "plan": body["plan"]} for plan, body in plans.items()
    ]
    return {**found.model_dump(), "turns": _readable_turns(service, user, id), "plans": waiting}


@router.patch("/conversations/{id}")
async def rename_conversation(id: str, body: Title, service: Parts, user: Reader) -> Conversation:
    """Give a conversation another title."""
    _find(service, user, id)
    service.conversations.rename(user.name, id, body.title)
    return _find(service, user, id)


@router.delete("/conversations/{id}", status_code=204)
async def delete_conversation(id: str, service: Parts, user: Reader) -> None:
    """Delete a conversation."""
    _find(service, user, id)
    plans = service.conversations.plans(user.name, id)
    service.conversations.delete(user.name, id)
    for plan in plans:
        await service.runner.forget(plan)


@router.post("/conversations/{id}/ask")
async def ask(id: str, body: Question, service: Parts, user: Reader) -> Response:
    """Answer a question of a conversation; the answer streams."""
    service.runner.check_room()
    _find(service, user, id)
    if body.graph not in GRAPHS:
        raise not_found("graph", body.graph, f"Expected one of {', '.join(GRAPHS)}.")
    check_visible(body.question, "The question")
    history = _read_history(_readable_turns(service, user, id))
    settings = read_settings(body.graph, body.settings)
    run = Run(body.graph, user, [*history, HumanMessage(body.question)], settings)
    return EventStream(_keep(service, id, run, service.runner.stream(run)))


@router.post("/conversations/{id}/plan")
async def decide(id: str, body: Decision, service: Parts, user: Reader) -> Response:
    """Go on after a decision about a plan; the answer streams."""
    service.runner.check_room()
    _find(service, user, id)
    run = _take_plan(service, user, id, body.id)
    return EventStream(_keep(service, id, run, service.runner.resume(run, body.decision.model_dump())))


async def _keep(
    service: Service, id: str, run: Run, events: AsyncGenerator[Event, None]
) -> AsyncGenerator[Event, None]:
    """Pass the events on, and keep the turn: with its answer, or with what was written before it stopped."""
    asked = {"question": str(run.messages[-1].content), "graph": run.graph}
    turn: dict[str, Any] = {**asked, "draft": "", "stopped": True}
    try:
        async with aclosing(events) as source:
            async for event in source:
                if event["type"] == "text":
                    turn["draft"] += event["text"]
                elif event["type"] == "restart":
                    turn["draft"] = ""
                elif event["type"] == "plan":
                    turn = {}  # the decision goes on with the question
                    settings = run.settings.model_dump(mode="json")
                    plan = {**asked, "plan": event["plan"], "settings": settings}
                    service.conversations.add_plan(run.user.name, id, run.id, plan)
                elif event["type"] == "answer":
                    turn = {**asked, "answer": event}
                    service.metrics.count_answer(run.graph, event)
                yield event
    except Exception as error:
        _, code, message = describe_error(error)
        turn["error"] = message
        yield {"type": "error", "code": code, "message": message}
    finally:
        if turn:
            service.conversations.add_turn(run.user.name, id, turn)


def _take_plan(service: Service, user: User, id: str, plan: str) -> Run:
    """The run whose plan waits in a conversation. What the user may read now counts, not what it was before.

    Raises:
        PlanLost: No such plan waits in it.
    """
    kept = service.conversations.take_plan(user.name, id, plan)
    if kept is None:
        raise PlanLost(plan)
    settings = read_settings(kept["graph"], kept["settings"])
    return Run(kept["graph"], user, [HumanMessage(kept["question"])], settings, plan)


def _find(service: Service, user: User, id: str) -> Conversation:
    found = service.conversations.find(user.name, id)
    if found is None:
        raise not_found("conversation", id)
    return found


def _readable_turns(service: Service, user: User, id: str) -> list[dict[str, Any]]:
    return [_readable(turn, user) for turn in service.conversations.turns(user.name, id)]


def _readable(turn: dict[str, Any], user: User) -> dict[str, Any]:
    """A turn as the user may read it now: of an answer from what they may not, only the question is left."""
    answer: Mapping[str, Any] = turn.get("answer") or {}
    passages = [*answer.get("passages", []), *answer.get("nearest", [])]
    if all(user.may_read(passage.get("group")) for passage in passages):
        return turn if answer or user.groups is None else _without_draft(turn)
    return {"question": turn["question"], "graph": turn["graph"], "withheld": True}


def _without_draft(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn that was stopped, without its draft: nobody knows any more which passages it was made from."""
    return {**turn, "draft": ""}


def _read_history(turns: list[dict[str, Any]]) -> list[AnyMessage]:
    """The earlier questions and answers."""
    messages: list[AnyMessage] = []
    for turn in turns:
        if answer := turn.get("answer"):
            messages += [HumanMessage(turn["question"]), AIMessage(answer["answer"])]
    return messages
