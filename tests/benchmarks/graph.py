"""The `rag` graph: what it adds to its parts, its first event, many questions at once, a second question.

Overhead and first event are measured with parts that take no time. Many at once: the bundled nano models over
the bundled handbook. The second question: the shape of Qwen3-0.6B with random weights, where reading is work.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.retrievers import BaseRetriever

from qwen_agentkit import ChatQwen
from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.cli.commands import handbook_folder, ingest, load_demo_questions
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.stack import Stack
from tests.benchmarks import shape
from tests.benchmarks.work import Effort

AT_ONCE = 64
PAGES = [
    Document(page.read_text(encoding="utf-8"), metadata={"source": page.name, "language": page.parent.name})
    for page in sorted(handbook_folder().rglob("*.md"))
]


class Found(BaseRetriever):
    """The same passages for every question, at once."""

    documents: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.documents


class Ranked(BaseDocumentCompressor):
    """The same scores for every question, at once."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> list[Document]:
        return [
            Document(one.page_content, metadata={**one.metadata, "relevance_score": 0.9}) for one in documents
        ]


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module, with the load of the machine."""
    results: dict[str, Any] = {"load": os.getloadavg()[0], "cores": os.cpu_count()}
    for benchmark in (_overhead, _at_once, _second_question):
        name = benchmark.__name__.removeprefix("_")
        results[name] = {"what": benchmark.__doc__, **benchmark(effort.rounds)}
        print(name, results[name], flush=True)
    return {**results, "load_after": os.getloadavg()[0]}


def _asked(question: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(question)]}


def _overhead(rounds: int) -> dict[str, Any]:
    """Milliseconds of a question, and until its first event, when models and store take none."""
    model = FakeListChatModel(responses=["The library opens at nine [1]. It closes at five [2]."])
    graph = create_rag_graph(model, Found(documents=PAGES[:20]), reranker=Ranked())
    questions = [question["question"] for question in load_demo_questions()]
    # The model says the same to all: told so, it is not asked again for the reader's language.
    settings = {"answer_language": "en"}

    def whole(question: str) -> float:
        start = time.perf_counter()
        graph.invoke(_asked(question), context=settings)
        return time.perf_counter() - start

    def first(question: str) -> float:
        start = time.perf_counter()
        stream = graph.stream(_asked(question), context=settings, stream_mode="custom")
        next(stream)
        seconds = time.perf_counter() - start
        list(stream)
        return seconds

    async def first_async(question: str) -> float:
        start = time.perf_counter()
        stream = graph.astream(_asked(question), context=settings, stream_mode="custom")
        await anext(stream)
        seconds = time.perf_counter() - start
        [event async for event in stream]
        return seconds

    def processor(question: str) -> float:
        start = time.process_time()
        graph.invoke(_asked(question), context=settings)
        return time.process_time() - start

    cold = {"first_question_of_the_process": round(1000 * whole(questions[0]), 1)}
    return {
        **cold,
        "question": _milliseconds([whole(q) for _ in range(10 * rounds) for q in questions]),
        "question_processor_time": _milliseconds(
            [processor(q) for _ in range(10 * rounds) for q in questions]
        ),
        "first_event": _milliseconds([first(q) for _ in range(10 * rounds) for q in questions]),
        "first_event_async": _milliseconds(
            [asyncio.run(first_async(q)) for _ in range(10 * rounds) for q in questions]
        ),
    }


def _milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(1000 * one for one in seconds)
    return {
        "min": round(ordered[0], 2),
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(0.95 * len(ordered))], 2),
    }


def _at_once(rounds: int) -> dict[str, Any]:
    """64 questions to the nano models through one process, at once and one after another."""
    folder = Path(tempfile.mkdtemp()) / "store"
    stack = Stack("nano", folder)
    ingest(stack, [handbook_folder()])
    questions = [
        f"{n}: {question['question']}"
        for n in range(AT_ONCE)
        for question in [load_demo_questions()[n % len(load_demo_questions())]]
    ]
    with stack.store() as store:
        results = {}
        for name, model, settings in (
            ("quoting", None, {}),
            (
                "writing",
                ChatQwen(model="nano", temperature=0, max_tokens=32),
                {"thinking": False, "passages": 1},
            ),
        ):
            graph = create_rag_graph(model, store, reranker=stack.reranker)
            forget = get_scheduler(model._load()).prefixes.clear if model else lambda: None
            results[name] = _compared(graph, questions, settings, rounds, forget)
            print(name, results[name], flush=True)
    shutil.rmtree(folder.parent)
    return results


def _compared(
    graph: Any, questions: list[str], settings: dict[str, Any], rounds: int, forget: Callable[[], None]
) -> dict[str, Any]:
    async def ask(question: str) -> dict[str, Any]:
        state: dict[str, Any] = await graph.ainvoke(_asked(question), context=settings)
        return state

    async def at_once() -> list[dict[str, Any]]:
        return await asyncio.gather(*map(ask, questions))

    async def in_a_row() -> list[dict[str, Any]]:
        return [await ask(question) for question in questions]

    runs: dict[str, Callable[[], Any]] = {"at_once": at_once, "in_a_row": in_a_row}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    states: dict[str, list[dict[str, Any]]] = {}
    asyncio.run(ask(questions[0]))
    for _ in range(rounds):
        for name, run in runs.items():
            forget()  # what one run has read is not to help the next
            start = time.perf_counter()
            states[name] = asyncio.run(run())
            seconds[name].append(time.perf_counter() - start)
    for question, state in zip(questions, states["at_once"], strict=True):
        if state["asked"] != question or any(c["quote"] not in _text(state) for c in state["citations"]):
            raise RuntimeError(f"The answer to {question!r} is mixed with another: {state['answer']!r}")
    pairs = zip(states["at_once"], states["in_a_row"], strict=True)
    return {
        "seconds": {name: [round(one, 2) for one in times] for name, times in seconds.items()},
        "times_as_fast": round(min(seconds["in_a_row"]) / min(seconds["at_once"]), 2),
        "answers_equal": sum(one["answer"] == other["answer"] for one, other in pairs),
        "questions": len(questions),
    }


def _text(state: dict[str, Any]) -> str:
    return "\n".join(document.page_content for document in state["documents"])


class FirstToken(BaseCallbackHandler):
    """Seconds from the call of a chat model to its first token."""

    def __init__(self) -> None:
        self._start = 0.0
        self.seconds: float | None = None

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self._start = time.perf_counter()

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        if self.seconds is None:
            self.seconds = time.perf_counter() - self._start


def _second_question(rounds: int) -> dict[str, Any]:
    """Seconds to the first token of a second question about the same passages, prefixes kept and forgotten.

    Without the rewriting of the question, which is a call of its own.
    """
    llm = ChatQwen(model=str(_chat_shape()), device="cpu", thinking=False, max_tokens=4, temperature=0)
    graph = create_rag_graph(llm, Found(documents=PAGES[:3]))
    prefixes = get_scheduler(llm._load()).prefixes

    def first_token(question: str) -> float:
        timer = FirstToken()
        graph.invoke(_asked(question), {"callbacks": [timer]}, context={"history_tokens": 0})
        assert timer.seconds is not None
        return timer.seconds

    seconds: dict[str, list[float]] = {"first_question": [], "second": [], "second_forgotten": []}
    for _ in range(rounds):
        prefixes.clear()
        seconds["first_question"].append(first_token("When does the boat leave on weekdays?"))
        seconds["second"].append(first_token("And who may use the kiln in the workshop?"))
        prefixes.clear()
        seconds["second_forgotten"].append(first_token("And who may use the kiln in the workshop?"))
    return {
        "seconds": {name: [round(one, 2) for one in times] for name, times in seconds.items()},
        "times_sooner": round(min(seconds["second_forgotten"]) / min(seconds["second"]), 2),
    }


def _chat_shape() -> Path:
    """The checkpoint of `shape`, with the chat template of Qwen3."""
    place = Path(tempfile.gettempdir()) / "qwen-agentkit-benchmark-0.6b-chat"
    nano = nano_folder("nano-chat")
    assert nano is not None
    weights = shape.folder()
    place.mkdir(exist_ok=True)
    for file in weights.iterdir():
        if file.name != "chat_template.jinja" and not (place / file.name).exists():
            (place / file.name).symlink_to(file)
    shutil.copyfile(nano / "chat_template.jinja", place / "chat_template.jinja")
    return place
