"""A scripted chat model and a retriever for agents, and what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from qwen_agentkit import QwenVectorStore
from tests.fakes.embedders import BagOfWords

HOURS = Document("The library opens at nine.", metadata={"source": "en/hours.md", "chunk": 0})


BOAT = Document("يغادر القارب في السابعة والنصف.", metadata={"source": "ar/boat.md", "chunk": 0})


KILN = Document("The kiln reaches 1230 degrees.", metadata={"source": "en/kiln.md", "chunk": 0})


LUNCH = Document("It closes for lunch at one.", metadata={"source": "en/hours.md", "chunk": 1})


class Shelf(BaseRetriever):
    """Finds documents that share a word with the query."""

    documents: list[Document] = Field(default_factory=lambda: [HOURS, BOAT, KILN, LUNCH])
    asked: list[tuple[str, dict[str, Any]]] = Field(default_factory=list)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        self.asked.append((query, kwargs))
        if query == "down":
            raise ConnectionError("the shelf fell down")
        words = set(query.lower().strip("?؟").split())
        return [one for one in self.documents if words & set(one.page_content.lower().strip(".").split())]


class Played(BaseChatModel):
    """Plays a model: its lines in their order, the last one for ever. Remembers what it was asked."""

    lines: list[Any] = Field(default_factory=list)
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    settings: list[dict[str, Any]] = Field(default_factory=list)
    thinking: bool | None = None

    @property
    def _llm_type(self) -> str:
        return "played"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=sorted(one.name for one in tools), **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        line = self.lines[min(len(self.asked), len(self.lines) - 1)]
        self.asked.append(messages)
        self.settings.append(kwargs)
        if isinstance(line, Exception):
            raise line
        message = line if isinstance(line, AIMessage) else AIMessage(line)
        return ChatResult(generations=[ChatGeneration(message=message.model_copy(update={"id": None}))])


class Plain(Played):
    """A model whose thinking cannot be set."""

    thinking: str = "its own"  # type: ignore[assignment]  # another field of the same name, as others have


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "", thought: int = 0) -> AIMessage:
    """A message that calls tools, all at once."""
    calls.count = getattr(calls, "count", 0) + 1  # type: ignore[attr-defined]  # ids differ between turns
    return AIMessage(
        text,
        tool_calls=[
            {"name": name, "args": args, "id": f"{calls.count}-{place}"}  # type: ignore[attr-defined]
            for place, (name, args) in enumerate(wanted)
        ],
        usage_metadata={
            "input_tokens": 1,
            "output_tokens": thought,
            "total_tokens": thought + 1,
            "output_token_details": {"reasoning": thought},
        },
    )


def search(*queries: str) -> AIMessage:
    return calls(*(("search", {"query": query}) for query in queries))


def ask(text: str = "When does the library open?") -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def run(agent: Any, question: Any = None, **context: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last state and the custom events."""
    state, events = {}, []
    for mode, event in agent.stream(question or ask(), context=context, stream_mode=["values", "custom"]):
        if mode == "values":
            state = event
        else:
            events.append(event)
    return state, events


def results(state: dict[str, Any]) -> list[ToolMessage]:
    return [one for one in state["messages"] if isinstance(one, ToolMessage)]


THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


GOOD = "The library opens at nine [1]."


def paged_store(tenant: str = "a") -> QwenVectorStore:
    store = QwenVectorStore(BagOfWords(), path=":memory:")
    pages = [
        Document(
            f"Page {number} of the {name} handbook.",
            metadata={"source": f"{name}.md", "title": name.title(), "chunk": number, "owner": owner},
        )
        for name, owner in (("red", "a"), ("blue", "b"))
        for number in range(6)
    ]
    store.add_documents(pages)
    return store


def tool_texts(agent: Any, **context: Any) -> list[str]:
    return [one.text for one in results(run(agent, **context)[0])]


def alone(model: Played, *middleware: Any, tools: Sequence[Any] = ()) -> Any:
    return create_agent(model, list(tools), middleware=list(middleware))
