"""Parts for the graphs under test: real small LangChain classes that follow a script and remember it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import Field

from qwen_agentkit.graphs import create_corrective_rag_graph, create_rag_graph

HOURS = Document("The library opens at nine.", metadata={"source": "en/hours.md", "language": "en"})
BOAT = Document("يغادر القارب في السابعة والنصف.", metadata={"source": "ar/boat.md", "language": "ar"})
KILN = Document("窑炉最高温度为1230度。", metadata={"source": "zh/kiln.md", "language": "zh"})
FILLER = [Document(f"Shelf {n} holds maps.", metadata={"source": f"{n}.md"}) for n in range(30)]


class Shelf(BaseRetriever):
    """Finds documents that share a word with the query, else all of them in their order."""

    documents: list[Document] = Field(default_factory=lambda: [HOURS, BOAT, KILN])
    queries: list[str] = Field(default_factory=list)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.queries.append(query)
        return list(self.documents)


class ByScore(BaseDocumentCompressor):
    """Scores documents by a function of (query, text)."""

    of: Callable[[str, str], float]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> list[Document]:
        scored = [
            Document(
                d.page_content, metadata={**d.metadata, "relevance_score": self.of(query, d.page_content)}
            )
            for d in documents
        ]
        return sorted(scored, key=lambda document: -document.metadata["relevance_score"])


class Scorer(ByScore):
    """One that scores pairs, too."""

    def score(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [0.25 for _ in pairs]


class Played(BaseChatModel):
    """Plays a model: each task has a line; an exception among them is raised. Remembers what it was asked."""

    lines: dict[str, list[Any]] = Field(default_factory=dict)
    asked: list[tuple[str, list[BaseMessage], dict[str, Any]]] = Field(default_factory=list)
    pause: Callable[[], None] = lambda: None
    thinking: bool | None = None
    thinking_budget: int | None = None

    @property
    def _llm_type(self) -> str:
        return "played"

    def _next(self, task: str, messages: list[BaseMessage], settings: dict[str, Any]) -> Any:
        self.asked.append((task, messages, settings))
        self.pause()
        lines = self.lines.get(task) or pytest.fail(f"never expected to {task}")
        line = lines.pop(0) if len(lines) > 1 else lines[0]
        if isinstance(line, Exception):
            raise line
        return line

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        words = messages[0].text
        task = "rewrite" if "Write the query only" in words else "answer"
        task = "translate" if "translation only" in words else task
        task = "stand alone" if "Write the question only" in words else task
        task = "summarize" if "Write the summary only" in words else task
        task = "repair" if messages[-1].text.startswith("Your answer has faults") else task
        kept = {key: kwargs[key] for key in ("thinking", "thinking_budget", "tools") if key in kwargs}
        line = self._next(task, messages, kept)
        message = line if isinstance(line, AIMessage) else AIMessage(line)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return RunnableLambda(lambda messages: self._next("grade", messages, kwargs))

    def tasks(self) -> list[str]:
        return [task for task, _, _ in self.asked]


class Plain(Played):
    """A model whose thinking cannot be switched."""

    thinking: str = "its own"  # type: ignore[assignment]  # another field of the same name, as others have


QUESTION = {"messages": [HumanMessage("When does the library open?")]}


def run(graph: Any, question: Any = QUESTION, **context: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last state and the custom events."""
    state, events = {}, []
    for mode, event in graph.stream(question, context=context, stream_mode=["values", "custom"]):
        if mode == "values":
            state = event
        else:
            events.append(event)
    return state, events


def stages(events: list[dict[str, Any]]) -> list[str]:
    return [event["stage"] for event in events if "seconds" in event]


def fallbacks(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["stage"], event["fallback"]) for event in events if "fallback" in event]


FACTORIES = [create_rag_graph, create_corrective_rag_graph]


SURE = ByScore(of=lambda query, text: 0.9)


class Unwell(Shelf):
    """A retriever that raises, or takes its time, from its second query on or at once."""

    error: Any = None
    seconds: float = 0.0
    after: int = 0

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        found = super()._get_relevant_documents(query, run_manager=run_manager)
        if len(self.queries) > self.after:
            time.sleep(self.seconds)
            if self.error:
                raise self.error
        return found
