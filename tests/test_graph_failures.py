"""What replaces what fails in the document graphs, and runs that are cancelled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from qwen_agentkit.errors import (
    ModelNotFoundError,
    RetrievalError,
    RetrievalTimeoutError,
    StoreNotFoundError,
)
from qwen_agentkit.graphs import RagContext, create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.graphs.shared.runtime import DeadlineExceeded, run_with_deadline
from qwen_agentkit.text.languages import phrase
from tests.fakes.graphs import (
    FACTORIES,
    HOURS,
    QUESTION,
    SURE,
    ByScore,
    Played,
    Shelf,
    Unwell,
    fallbacks,
    run,
)

THREAD: Any = {"configurable": {"thread_id": "1"}}


def fails(*args: Any) -> float:
    raise RuntimeError("out of order")


# What replaces what fails


def test_a_reranker_that_fails_leaves_the_order_of_the_search() -> None:
    model = Played(lines={"answer": ["At nine [1]."]})
    state, events = run(create_rag_graph(model, Shelf(), reranker=ByScore(of=fails)))
    assert fallbacks(events) == [("rerank", "retrieved order")]
    assert state["documents"][0].page_content == HOURS.page_content
    assert state["answer"] == "At nine [1]."


@pytest.mark.parametrize("first", [OSError("cut"), "", "  \n", AIMessage("")])
def test_a_model_that_fails_is_asked_again_without_thinking(first: Any) -> None:
    model = Played(lines={"answer": [first, "At nine [1]."]})
    state, events = run(create_rag_graph(model, Shelf()), thinking="on")
    assert fallbacks(events) == [("generate", "without thinking")]
    assert [settings["thinking"] for _, _, settings in model.asked] == [True, False]
    assert state["answer"] == "At nine [1]."


def test_a_model_and_a_reranker_that_fail_leave_a_quote() -> None:
    graph = create_rag_graph(Played(lines={"answer": [OSError("cut")]}), Shelf(), reranker=ByScore(of=fails))
    state, events = run(graph)
    assert [to for _, to in fallbacks(events)] == [
        *("retrieved order", "without thinking", "extractive answer", "first sentence")
    ]
    assert state["citations"][0]["quote"] == HOURS.page_content
    assert not state["abstained"]


@pytest.mark.parametrize("create", FACTORIES)
def test_what_the_user_has_to_mend_is_never_hidden(create: Any) -> None:
    model = Played(lines={"answer": [ModelNotFoundError("no weights")]})
    with pytest.raises(ModelNotFoundError, match="no weights"):
        run(create(model, Shelf(), reranker=SURE))


@pytest.mark.parametrize("create", FACTORIES)
def test_a_search_that_fails_is_an_error_that_says_what(create: Any) -> None:
    with pytest.raises(RetrievalError, match=r"Unwell for 'When does.*OSError: no route.*retriever.invoke"):
        run(create(None, Unwell(error=OSError("no route"))))
    with pytest.raises(StoreNotFoundError, match="no store"):
        run(create(None, Unwell(error=StoreNotFoundError("no store"))))


@pytest.mark.parametrize("create", FACTORIES)
def test_a_search_that_hangs_ends_in_time(create: Any) -> None:
    ended, given_up = threading.Event(), threading.Event()

    class Hanging(Shelf):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            given_up.wait(30)
            ended.set()
            return []

    with pytest.raises(RetrievalTimeoutError, match=r"no result after 0.05 s.*search_timeout"):
        run(create(None, Hanging()), search_timeout=0.05)
    assert not ended.is_set(), "the run waited for the search"
    given_up.set()


@pytest.mark.parametrize("trouble", [{"error": OSError("no route")}, {"seconds": 0.3}])
def test_a_further_search_that_fails_is_done_without(trouble: dict[str, Any]) -> None:
    lines = {"grade": [{"relevant": [], "hard": False}], "translate": ["x"], "rewrite": ["y"]}
    shelf = Unwell(after=1, queries=[], **trouble)
    graph = create_corrective_rag_graph(Played(lines=lines), shelf)
    state, events = run(graph, attempts=1, search_timeout=0.1)
    assert state["abstained"]
    assert ("retrieve", "the other searches") in fallbacks(events)
    time.sleep(trouble.get("seconds", 0))


@pytest.mark.parametrize("create", FACTORIES)
@pytest.mark.parametrize("language", ["en", "ar", "zh"])
def test_nothing_found_is_an_abstention(create: Any, language: str) -> None:
    state, _ = run(create(None, Shelf(documents=[])), answer_language=language)
    assert state["abstained"]
    assert state["answer"] == phrase(language, "abstain")


def test_within_hands_on_results_errors_and_contexts() -> None:
    assert run_with_deadline(1, lambda: 3) == run_with_deadline(None, lambda: 3) == 3
    with pytest.raises(KeyError):
        run_with_deadline(1, lambda: {}["a"])
    with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
        run_with_deadline(0.01, lambda: time.sleep(0.1))


def test_a_search_is_given_up_after_a_minute_unless_told() -> None:
    assert RagContext().search_timeout == 60
    assert run_with_deadline(1e10, lambda: 3) == 3


async def test_a_cancelled_run_does_not_wait_for_a_search_that_hangs() -> None:
    hanging = threading.Event()

    def working(name: str) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == name]

    before = set(working("qwen-agentkit-deadline"))  # of tests whose searches still hang

    class Hanging(Shelf):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            hanging.wait(20)
            return []

    running = asyncio.create_task(create_rag_graph(None, Hanging()).ainvoke(QUESTION))
    while not set(working("qwen-agentkit-deadline")) - before:
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    start = time.perf_counter()
    try:
        while working("qwen-agentkit-node"):
            assert time.perf_counter() - start < 15, "a node waits for the search"
            await asyncio.sleep(0.01)
        assert all(thread.daemon for thread in working("qwen-agentkit-deadline"))
    finally:
        hanging.set()


HANGS = """
import asyncio, threading
from langchain_core.retrievers import BaseRetriever
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.graphs.shared import threads

threads._EXIT_SECONDS = 0.1

class Hanging(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        threading.Event().wait(30)

async def main():
    asked = create_rag_graph(None, Hanging()).ainvoke({"messages": [("user", "When?")]})
    try:
        await asyncio.wait_for(asked, 0.3)
    except asyncio.TimeoutError:
        print("given up")

asyncio.run(main())
"""


def test_a_search_that_hangs_does_not_keep_the_process_alive() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=25, check=True
    )
    assert ran.stdout == "given up\n"


def test_an_approval_inside_a_part_is_no_failure() -> None:
    def approve(query: str, text: str) -> float:
        return float(interrupt("rerank?"))

    shelf = Shelf(documents=[HOURS])
    graph = create_rag_graph(None, shelf, reranker=ByScore(of=approve), checkpointer=InMemorySaver())
    state = graph.invoke(QUESTION, THREAD)
    assert state["__interrupt__"][0].value == "rerank?"
    assert graph.invoke(Command(resume=1), THREAD)["__interrupt__"], "the sentences are ranked, too"
    assert graph.invoke(Command(resume=1), THREAD)["citations"]


# Runs that are cancelled


class Slow(Played):
    """Writes a word every hundredth of a second, without end but for its patience."""

    running: int = 0

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.running += 1
        try:
            for n in range(1000):
                time.sleep(0.01)
                chunk = ChatGenerationChunk(message=AIMessageChunk(f"Line {n} is long. "))
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            self.running -= 1


@pytest.mark.parametrize("create", FACTORIES)
@pytest.mark.parametrize("how", ["task", "stream"])
def test_a_cancelled_run_stops_writing_and_leaves_no_half_message(create: Any, how: str) -> None:
    model = Slow()
    graph = create(model, Shelf(), reranker=SURE, checkpointer=InMemorySaver())

    async def by_task() -> None:
        task = asyncio.create_task(graph.ainvoke(QUESTION, THREAD))
        while not model.running:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stopped()

    async def by_stream() -> None:
        stream = graph.astream(QUESTION, THREAD, stream_mode="messages")
        async for _ in stream:
            break
        await stream.aclose()
        await stopped()

    async def stopped() -> None:
        start = time.perf_counter()
        while model.running:
            assert time.perf_counter() - start < 30, "the model writes on though nobody reads"
            await asyncio.sleep(0.01)

    before = set(threading.enumerate())
    asyncio.run(by_task() if how == "task" else by_stream())
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert all(name.startswith("qwen-agentkit-node") for name in left), "the nodes' own, idle, may stay"
    kept = graph.get_state(THREAD)
    assert [message.type for message in kept.values["messages"]] == ["human"]
    assert kept.values["answer"] == ""
    assert kept.next == ("generate",)

    lines = {"answer": ["At nine [1]."], "stand alone": ["When?"]}
    answers = create(Played(lines=lines), Shelf(), reranker=SURE)
    answers.checkpointer = graph.checkpointer
    state = answers.invoke({"messages": [HumanMessage("When does it open?")]}, THREAD)
    assert state["answer"] == "At nine [1]."
