"""Runs a graph for a user and tells what happens as it happens.

Knows the graphs by name, their settings and their streams. Knows no web framework.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from langchain_core.messages import AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import ValidationError

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.corrective_rag.graph import build_corrective_rag_graph
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext
from qwen_agentkit.graphs.rag.graph import build_rag_graph
from qwen_agentkit.graphs.rag_agent.graph import create_rag_agent
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.research.graph import build_research_graph
from qwen_agentkit.graphs.research.state import ResearchContext
from qwen_agentkit.graphs.sample_tools import calculator, clock
from qwen_agentkit.graphs.shared.state import RagContext
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.library import Library, Models
from qwen_agentkit.serve.passages import describe_answer

__all__ = ["GRAPHS", "Busy", "Event", "PlanLost", "Run", "Runner", "read_settings"]

Event = dict[str, Any]
"""What happens in a run. The key "type" is one of: loading (a model), stage, thought, text, restart (the text
so far was a draft), plan (waits for a decision), answer (the last one, as `Answer`)."""

_CONTEXTS: dict[str, type[RagContext]] = {
    "rag": RagContext,
    "corrective_rag": CorrectiveContext,
    "research": ResearchContext,
    "agent": AgentContext,
}
GRAPHS = tuple(_CONTEXTS)
"""Names of the graphs that are offered."""
_MOST_PLANS = 100
"""Plans that wait for a decision; the oldest is forgotten for a further one."""
_WRITING_NODES = ("generate", "repair", "model")


class Busy(Exception):
    """As many questions as this server answers at once are being answered."""


class PlanLost(Exception):
    """The plan does not wait any more: it was decided, or the server was started again."""


@dataclass(frozen=True)
class Run:
    """A question to answer.

    Attributes:
        graph: One of `GRAPHS`.
        user: Who asks.
        messages: The conversation, which ends with the question.
        settings: Of the graph.
        id: Names its plan while that waits.
    """

    graph: str
    user: User
    messages: Sequence[AnyMessage]
    settings: RagContext
    id: str = field(default_factory=lambda: uuid4().hex)


def read_settings(graph: str, given: dict[str, Any]) -> RagContext:
    """Check the settings of a request.

    Raises:
        InputError: There is no such setting, or a value is not valid.
    """
    try:
        return _CONTEXTS[graph].model_validate({key: one for key, one in given.items() if one is not None})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        names = ", ".join(_CONTEXTS[graph].model_fields)
        raise InputError(
            f"The setting {'.'.join(map(str, first['loc']))} of {graph!r} is not valid: {first['msg']}. "
            f"Expected settings out of {names}."
        ) from error


class Runner:
    """Runs the graphs over a library.

    Args:
        library: The store and the models.
        most: Questions answered at once. Further ones are refused, since each holds memory.
    """

    def __init__(self, library: Library, most: int = 64) -> None:
        self.library = library
        self.running = 0
        self._most = most
        self._plans: OrderedDict[str, Run] = OrderedDict()
        self._saver = InMemorySaver()

    def check_room(self) -> None:
        """Check that one more question can be answered now.

        Raises:
            Busy: Too many questions are being answered.
        """
        if self.running >= self._most:
            raise Busy(self._most)

    async def stream(self, run: Run) -> AsyncGenerator[Event, None]:
        """Yield the events of a run. Closing the iterator frees the model within one step.

        Raises:
            Busy: Too many questions are being answered.
        """
        async with aclosing(self._stream(run, {"messages": list(run.messages)})) as events:
            async for event in events:
                yield event

    async def answer(self, run: Run) -> Event:
        """The answer of a run that waits for no decision; otherwise as `stream`."""
        events = [event async for event in self.stream(run)]
        return events[-1]

    def take_plan(self, id: str, user: User) -> Run:
        """The run whose plan waits under this id. Go on with it by `resume`.

        Raises:
            PlanLost: No plan of this user waits under this id.
        """
        run = self._plans.get(id)
        if run is None or run.user.name != user.name:
            raise PlanLost(id)
        del self._plans[id]
        # What the user may read now counts, not what it was when they asked.
        return replace(run, user=user)

    async def resume(self, run: Run, decision: dict[str, Any]) -> AsyncGenerator[Event, None]:
        """Yield the events of a run after a decision about its plan, a `PlanDecision`.

        Raises:
            Busy: As in `stream`.
        """
        async with aclosing(self._stream(run, Command(resume=decision))) as events:
            async for event in events:
                yield event

    async def _stream(self, run: Run, input: Any) -> AsyncGenerator[Event, None]:
        self.check_room()
        self.running += 1
        try:
            with self.library.in_use() as models:
                for name in [name for name in self.library.states if self.library.states[name] != "ready"]:
                    yield {"type": "loading", "model": name}
                    await asyncio.to_thread(self.library.load, models, name)
                async with aclosing(self._run_graph(run, input, models)) as events:
                    async for event in events:
                        yield event
        finally:
            self.running -= 1
            if run.id not in self._plans:
                self._saver.delete_thread(run.id)

    async def _run_graph(self, run: Run, input: Any, models: Models) -> AsyncGenerator[Event, None]:
        graph = self._graph(run, models)
        stages: list[Event] = []
        state: Any = {}
        draft = ""
        stream = graph.astream(
            input,
            {"configurable": {"thread_id": run.id}},
            context=run.settings,
            stream_mode=["values", "custom", "messages"],
        )
        async with aclosing(stream):
            async for mode, part in stream:
                if mode == "values":
                    state = part
                elif mode == "custom" and isinstance(part, dict) and "stage" in part:
                    stages.append(part)
                    yield {"type": "stage", **_plain(part)}
                elif mode == "messages":
                    message, metadata = part
                    if (
                        message.type != "AIMessageChunk"
                        or metadata.get("langgraph_node") not in _WRITING_NODES
                    ):
                        continue
                    if draft and message.id != draft:
                        yield {"type": "restart"}
                    draft = message.id or draft
                    if thought := message.additional_kwargs.get("reasoning_content"):
                        yield {"type": "thought", "text": thought}
                    if message.text:
                        yield {"type": "text", "text": message.text}
        if waiting := state.get("__interrupt__"):
            self._keep_plan(run)
            asked = waiting[0].value
            yield {"type": "plan", "id": run.id, "question": asked["question"], "plan": asked["plan"]}
            return
        yield {"type": "answer", **describe_answer(state, stages).model_dump()}

    def _keep_plan(self, run: Run) -> None:
        self._plans[run.id] = run
        while len(self._plans) > _MOST_PLANS:
            self._saver.delete_thread(self._plans.popitem(last=False)[0])

    def _graph(self, run: Run, models: Models) -> Any:
        key = (run.graph, run.user.groups)
        if key not in models.graphs:
            models.graphs[key] = self._make_graph(run.graph, run.user, models)
        return models.graphs[key]

    def _make_graph(self, name: str, user: User, models: Models) -> Any:
        retriever, reranker = self.library.retriever(models, user), models.stack.reranker
        if name == "agent":
            return create_rag_agent(
                models.answering,
                retriever,
                tools=[calculator, clock],
                reranker=reranker,
                access=lambda runtime: user.filter,
            )
        if name == "rag":
            return build_rag_graph(models.answering, retriever, reranker=reranker).compile()
        if name == "corrective_rag":
            return build_corrective_rag_graph(models.answering, retriever, reranker=reranker).compile()
        # The plan of `research` may wait for a person.
        research = build_research_graph(models.answering, retriever, reranker=reranker)
        return research.compile(checkpointer=self._saver)


def _plain(event: Event) -> Event:
    """An event of a graph as JSON, without what the answer says again."""
    rest = {key: value for key, value in event.items() if key not in ("verification", "type")}
    plain: Event = json.loads(json.dumps(rest, default=str))
    return plain
