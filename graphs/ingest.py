"""`ingest`: update -> compare -> (approve) -> prune. Follows folders; deletes much only by leave.

Knows the ingest pipeline and when to ask. The folders are the operator's: nothing of a request names one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from qwen_agentkit.graphs.running import Stage, Update, timed
from qwen_agentkit.ingest import ingest, stored_sources
from qwen_agentkit.vectorstores import QwenVectorStore

__all__ = [
    "IngestContext",
    "IngestGraph",
    "IngestInput",
    "IngestState",
    "build_ingest_graph",
    "create_ingest_graph",
]


class IngestInput(TypedDict):
    """What a caller sends: nothing. Which folders are read is not for a request to say."""


class IngestState(TypedDict):
    """What the nodes of `ingest` keep."""

    report: dict[str, Any]
    """What was done, in documents: added, skipped, removed, failed, and seconds."""
    gone: list[str]
    """Stored documents whose files are no longer there."""
    share: float
    """Their part of the documents stored of these folders, 0 to 1."""
    approved: bool
    """Whether they may be deleted."""
    timings: dict[str, float]
    """Seconds of each stage."""


class IngestContext(BaseModel):
    """Settings of one run. They may come from a request: no folders, and no leave to delete unasked."""

    model_config = ConfigDict(extra="forbid")

    prune: bool = Field(default=True, description="Delete documents whose files are gone")


IngestGraph = StateGraph[IngestState, IngestContext, IngestInput, IngestState]
Folders = Sequence[str | os.PathLike[str]]


def create_ingest_graph(
    store: QwenVectorStore | Callable[[], QwenVectorStore],
    folders: Folders,
    *,
    ask_above: float = 0.2,
    groups: bool = False,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "ingest",
) -> CompiledStateGraph[IngestState, IngestContext, IngestInput, IngestState]:
    """A graph that brings a store in step with folders, and asks before it deletes much.

    Example:
        >>> graph = create_ingest_graph(store, ["docs"], checkpointer=InMemorySaver())
        >>> thread = {"configurable": {"thread_id": "1"}}
        >>> state = graph.invoke({}, thread)
        >>> if "__interrupt__" in state:  # the value holds a question and the documents to be deleted
        ...     state = graph.invoke(Command(resume=True), thread)
        >>> state["report"]

    Only ``resume=True`` is leave; whatever else is answered keeps the documents. Progress goes to the
    custom stream as ``{"stage", "step", "done", "of"}``.

    Args:
        store: where the chunks go, or what opens it, for each run anew.
        folders: files and folders to read.
        ask_above: share of the stored documents of these folders, 0 to 1, above which a person has to
            approve that they are deleted.
        groups: whether the first folder below a given one names the group that may read what is in it.
        checkpointer: needed to ask; leave it out under `langgraph dev`, which brings its own.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.
    """
    graph = build_ingest_graph(store, folders, ask_above=ask_above, groups=groups)
    return graph.compile(checkpointer=checkpointer, cache=cache, name=name)


@dataclass(frozen=True)
class _Nodes:
    store: QwenVectorStore | Callable[[], QwenVectorStore]
    folders: list[Path]
    groups: bool

    def update(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Bring in what is new; delete nothing yet."""
        with self._opened() as store:
            report = ingest(
                self.folders, store, prune=False, groups=self.groups, progress=stage.progress
            ).to_dict()
        stage.details |= {key: report[key] for key in ("added", "skipped", "failed")}
        return {"report": report, "gone": [], "share": 0.0, "approved": False, "timings": {}}

    def compare(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Find the documents whose files are gone."""
        gone, stored = self._gone()
        stage.details |= {"gone": len(gone), "stored": stored}
        return {"gone": gone, "share": len(gone) / stored if stored else 0.0}

    def approve(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Ask a person."""
        question = (
            f"The files of {len(state['gone'])} documents are gone, {state['share']:.0%} of what is stored "
            f"of these folders. Delete the documents? Answer true to delete them, false to keep them."
        )
        answer = interrupt({"question": question, "documents": state["gone"]})
        stage.details["approved"] = answer is True
        return {"approved": answer is True}

    def prune(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Delete what was approved, unless its file has come back since."""
        gone = sorted({*state["gone"]}.intersection(self._gone()[0]))
        with self._opened() as store:
            for source in gone:
                store.delete(filter={"source": source})
        stage.details["removed"] = len(gone)
        return {"report": {**state["report"], "removed": len(gone)}}

    def _gone(self) -> tuple[list[str], int]:
        """The stored documents without a file, and how many are stored of the folders."""
        with self._opened() as store:
            stored, gone = stored_sources(self.folders, store)
        return sorted(gone), len(stored)

    @contextmanager
    def _opened(self) -> Iterator[QwenVectorStore]:
        if isinstance(self.store, QwenVectorStore):
            yield self.store  # the caller's to close
        else:
            with self.store() as store:
                yield store


def build_ingest_graph(
    store: QwenVectorStore | Callable[[], QwenVectorStore],
    folders: Folders,
    *,
    ask_above: float = 0.2,
    groups: bool = False,
) -> IngestGraph:
    """The builder behind `create_ingest_graph`, to add nodes to; arguments as there."""
    nodes = _Nodes(store, [Path(folder) for folder in folders], groups)

    def much(state: IngestState, runtime: Runtime[IngestContext]) -> Literal["approve", "prune", "__end__"]:
        settings = runtime.context or IngestContext()
        if not state["gone"] or not settings.prune:
            return "__end__"
        return "approve" if state["share"] > ask_above else "prune"

    def approved(state: IngestState) -> Literal["prune", "__end__"]:
        return "prune" if state["approved"] else "__end__"

    graph = StateGraph(IngestState, context_schema=IngestContext, input_schema=IngestInput)
    for name in ("update", "compare", "approve", "prune"):
        graph.add_node(name, timed(name, getattr(nodes, name), IngestContext))
    graph.add_edge(START, "update")
    graph.add_edge("update", "compare")
    graph.add_conditional_edges("compare", much)
    graph.add_conditional_edges("approve", approved)
    graph.add_edge("prune", END)
    return graph
