"""A scripted chat model, retriever and rerankers for the graphs: real subclasses that remember."""

from __future__ import annotations

import threading
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
from pydantic import Field, PrivateAttr

__all__ = ["ByScore", "Played", "Searched", "fallbacks", "run", "scored", "shared_words", "stages"]

# How the instruction of a task begins.
TASKS = {
    "Answer the question": "answer",
    "Documents are searched": "rewrite",
    "Translate the question": "translate",
    "Translate the sentence": "translate a quote",
    "Your answer has faults": "repair",
}


class Played(BaseChatModel):
    """Plays a model: each task has lines, the last one for ever. An exception among them is raised."""

    lines: dict[str, list[Any]] = Field(default_factory=dict)
    asked: list[tuple[str, list[BaseMessage], dict[str, Any]]] = Field(default_factory=list)
    thinking: bool | None = None
    thinking_budget: int | None = None
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "played"

    def _next(self, task: str, messages: list[BaseMessage], settings: dict[str, Any]) -> Any:
        with self._lock:
            self.asked.append((task, messages, settings))
            lines = self.lines.get(task) or pytest.fail(f"never expected to {task}")
            line = lines.pop(0) if len(lines) > 1 else lines[0]
        if isinstance(line, Exception):
            raise line
        return line(messages) if callable(line) else line

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        words = (messages[-1].text, messages[0].text)
        task = next(task for text in words for start, task in TASKS.items() if text.startswith(start))
        given = {key: kwargs[key] for key in ("thinking", "tools") if key in kwargs}
        text = self._next(task, messages, given)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        return RunnableLambda(lambda messages: self._next(schema.__name__, messages, kwargs))

    def tasks(self) -> list[str]:
        return [task for task, _, _ in self.asked]


class Searched(BaseRetriever):
    """Finds the documents that share a word with the query; a query in `broken` raises."""

    documents: list[Document]
    broken: dict[str, Exception] = Field(default_factory=dict)
    queries: list[str] = Field(default_factory=list)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.queries.append(query)
        for part, error in self.broken.items():
            if part in query:
                raise error
        return [one for one in self.documents if shared_words(query, one.page_content) > 0]


class ByScore(BaseDocumentCompressor):
    """Scores documents by a function of (query, text)."""

    of: Callable[[str, str], float]

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> list[Document]:
        return scored(documents, lambda text: self.of(query, text))


def scored(documents: Sequence[Document], of: Callable[[str], float]) -> list[Document]:
    ranked = [
        Document(one.page_content, metadata={**one.metadata, "relevance_score": of(one.page_content)})
        for one in documents
    ]
    return sorted(ranked, key=lambda one: -one.metadata["relevance_score"])


def shared_words(query: str, text: str) -> float:
    """The share of the query's words that are in the text."""
    words = {word.strip("?.,؟").lower() for word in query.split()}
    return len(words & {word.strip("?.,؟").lower() for word in text.split()}) / len(words)


def run(graph: Any, question: Any, config: Any = None, **context: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The last state and the custom events."""
    state, events = {}, []
    modes = ["values", "custom"]
    for mode, event in graph.stream(question, config, context=context, stream_mode=modes):
        if mode == "values":
            state = event
        else:
            events.append(event)
    return state, events


def stages(events: list[dict[str, Any]]) -> list[str]:
    return [event["stage"] for event in events if "seconds" in event]


def fallbacks(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["stage"], event["fallback"]) for event in events if "fallback" in event]


PAGES = [
    Document("The library opens at nine.", metadata={"source": "library.md", "language": "en"}),
    Document("The museum opens at ten.", metadata={"source": "museum.md", "language": "en"}),
    Document("The harbour closes at noon.", metadata={"source": "harbour.md", "language": "en"}),
    Document("窑炉最高温度为1230度。", metadata={"source": "kiln.md", "language": "zh"}),
]


WORDS = ByScore(of=shared_words)


QUESTION = {"messages": [HumanMessage("Which opens first, the library or the museum?")]}


PLAN = {"sub_questions": ["When does the library open?", "When does the museum open?"]}


ENOUGH = {"sufficient": True, "questions": []}


ANSWER = "The library opens at nine [1]. The museum opens at ten [2]."


STRAIGHT = ["prepare", "plan", "research", "research", "review", "generate", "verify", "cite"]


def planner(**lines: Any) -> Played:
    return Played(lines={"Plan": [PLAN], "Missing": [ENOUGH], "answer": [ANSWER], **lines})


def shelf(**fields: Any) -> Searched:
    return Searched(documents=PAGES, **fields)
