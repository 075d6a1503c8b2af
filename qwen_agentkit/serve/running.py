"""Runs a graph for a user and tells what happens as it happens.

Knows the graphs by name, their settings and their streams. Knows no web framework.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
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
"""What happens in a run. The key "type" is one of: waiting (for a place), loading (a model), stage, thought,
text, restart (the text so far was a draft), plan (waits for a decision), answer (the last, an `Answer`)."""

_CONTEXTS: dict[str, type[RagContext]] = {
    "rag": RagContext,
    "corrective_rag": CorrectiveContext,
    "research": ResearchContext,
    "agent": AgentContext,
}
GRAPHS = tuple(_CONTEXTS)
"""Names of the graphs that are offered."""
_WRITING_NODES = ("generate", "repair", "model")


class Busy(Exception):
    """As many questions as this server takes are being answered or wait."""


class PlanLost(Exception):
    """The plan does not wait any more: it was decided, or its conversation was deleted."""


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
        most: Questions answered at once. Further ones wait, since each holds memory and a thread.
        most_waiting: Questions that wait, first come, first served. Further ones are refused.
    """

    def __init__(self, library: Library, most: int = 64, most_waiting: int = 1000) -> None:
        self.library = library
        self.running = 0
        self.waiting = 0
        self._most = most + most_waiting
        self._places = asyncio.Semaphore(most)
        self._saver: BaseCheckpointSaver[Any] = InMemorySaver()

    def check_room(self) -> None:
        """Check that one more question can be answered or wait.

        Raises:
            Busy: Too many questions wait.
        """
        if self.running + self.waiting >= self._most:
            raise Busy(self._most)

    async def stream(self, run: Run) -> AsyncGenerator[Event, None]:
        """Yield the events of a run. Closing the iterator frees the model within one step.

        Raises:
            Busy: Too many questions wait.
        """
        async with aclosing(self._stream(run, _asked(run))) as events:
            async for event in events:
                yield event

    async def answer(self, run: Run) -> Event:
        """The answer of a run that waits for no decision; otherwise as `stream`."""
        async with aclosing(self._stream(run, _asked(run), writes=False)) as events:
            return [event async for event in events][-1]

    @asynccontextmanager
    async def keep_runs(self, file: Path, waiting: Collection[str]) -> AsyncIterator[None]:
        """Keep runs that wait for a decision on disk, so that they outlive the server.

        Args:
            file: Of the database, which is made if need be.
            waiting: Ids of the runs that wait. All others are deleted.
        """
        async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
            # Types beyond those of LangGraph and LangChain are none of ours, and are not made from a file.
            saver.serde = JsonPlusSerializer(allowed_msgpack_modules=None)
            await saver.setup()
            threads = {one.config["configurable"]["thread_id"] async for one in saver.alist(None)}
            for thread in threads.difference(waiting):
                await saver.adelete_thread(thread)
            self._saver = saver
            yield

    async def forget(self, id: str) -> None:
        """Delete what is kept of a run that waits."""
        await self._saver.adelete_thread(id)

    async def resume(self, run: Run, decision: dict[str, Any]) -> AsyncGenerator[Event, None]:
        """Yield the events of a run after a decision about its plan, a `PlanDecision`.

        Raises:
            Busy: As in `stream`.
            PlanLost: Nothing is kept of the run.
        """
        if await self._saver.aget_tuple(_config(run)) is None:
            raise PlanLost(run.id)
        async with aclosing(self._stream(run, Command(resume=decision))) as events:
            async for event in events:
                yield event

    async def _stream(self, run: Run, input: Any, *, writes: bool = True) -> AsyncGenerator[Event, None]:
        self.check_room()
        waits = False
        try:
            if self._places.locked():
                self.waiting += 1
                try:
                    yield {"type": "waiting", "before": self.waiting - 1}
                    await self._places.acquire()
                finally:
                    self.waiting -= 1
            else:
                await self._places.acquire()
            async with aclosing(self._run_in_place(run, input, writes)) as events:
                async for event in events:
                    waits = event["type"] == "plan"
                    yield event
        finally:
            if not waits and _may_wait(run):
                await self.forget(run.id)

    async def _run_in_place(self, run: Run, input: Any, writes: bool) -> AsyncGenerator[Event, None]:
        """Load what is not in memory and run the graph, then give the place to the next."""
        self.running += 1
        try:
            with self.library.in_use() as models:
                for name in [name for name in self.library.states if self.library.states[name] != "ready"]:
                    yield {"type": "loading", "model": name}
                    await asyncio.to_thread(self.library.load, models, name)
                async with aclosing(self._run_graph(run, input, models, writes)) as events:
                    async for event in events:
                        yield event
        finally:
            self.running -= 1
            self._places.release()

    async def _run_graph(
        self, run: Run, input: Any, models: Models, writes: bool
    ) -> AsyncGenerator[Event, None]:
        """Run the graph; `writes` says whether its texts are told as they are written."""
        graph = self._graph(run, models)
        # Of all steps only the one that waits is kept.
        kept = {"durability": "exit"} if _may_wait(run) else {}
        stages: list[Event] = []
        state: Any = {}
        draft = ""
        stream = graph.astream(
            input,
            _config(run),
            context=run.settings,
            stream_mode=["values", "custom", *(["messages"] if writes else [])],
            **kept,
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
            asked = waiting[0].value
            yield {"type": "plan", "id": run.id, "question": asked["question"], "plan": asked["plan"]}
            return
        yield {"type": "answer", **describe_answer(state, stages).model_dump()}

    def _graph(self, run: Run, models: Models) -> Any:
        key = (run.graph, run.user.groups, _may_wait(run))
        if key not in models.graphs:
            models.graphs[key] = self._make_graph(run.graph, run.user, models, waits=_may_wait(run))
        return models.graphs[key]

    def _make_graph(self, name: str, user: User, models: Models, *, waits: bool) -> Any:
        retriever, reranker = self.library.retriever(models, user), models.stack.reranker
        if name == "agent":
            return create_rag_agent(
                models.answering,
                retriever,
                tools=[calculator, clock],
                reranker=reranker,
                access=None if user.groups is None else lambda runtime: user.filter,
            )
        if name == "rag":
            return build_rag_graph(models.answering, retriever, reranker=reranker).compile()
        if name == "corrective_rag":
            return build_corrective_rag_graph(models.answering, retriever, reranker=reranker).compile()
        research = build_research_graph(models.answering, retriever, reranker=reranker)
        return research.compile(checkpointer=self._saver if waits else None)


def _asked(run: Run) -> dict[str, Any]:
    return {"messages": list(run.messages)}


def _config(run: Run) -> RunnableConfig:
    return {"configurable": {"thread_id": run.id}}


def _may_wait(run: Run) -> bool:
    """Whether a run may wait for a person."""
    return isinstance(run.settings, ResearchContext) and run.settings.approve_plan


def _plain(event: Event) -> Event:
    """An event of a graph as JSON, without what the answer says again."""
    rest = {key: value for key, value in event.items() if key not in ("verification", "type")}
    plain: Event = json.loads(json.dumps(rest, default=str))
    return plain
