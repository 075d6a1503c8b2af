"""Calls that wait for a model at the same time are computed together, and stay apart in all else."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.device_thread import raise_if_cancelled, run_on_device
from qwen_agentkit.engine.forward import joining
from qwen_agentkit.engine.forward.packed import Segment, forward

TEXTS = [
    "The boat leaves at nine.",
    "يغادر القارب في السابعة والنصف.",
    "窑炉最高温度为1230度。",
    "नाव नौ बजे चलती है।",
    "เรือออกเวลาเก้าโมง",
    "کتابخانه ساعت نه باز می‌شود.",
]
LARGEST = 1e-6
"""How far a number may be from the one that is computed alone: batches change the last bits of sums."""


@pytest.fixture(scope="module")
def embeddings() -> QwenEmbeddings:
    found = QwenEmbeddings(model="nano")
    found.embed_query("?")
    return found


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of segments of each forward."""
    counts: list[int] = []

    def counted(model: Any, segments: Sequence[Segment]) -> Tensor:
        counts.append(len(segments))
        return forward(model, segments)

    monkeypatch.setattr(joining, "forward", counted)
    return counts


@contextmanager
def busy_device() -> Iterator[None]:
    """Keep the thread of the CPU busy, so that calls have to wait."""
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        done.wait(30)

    thread = threading.Thread(target=run_on_device, args=("cpu", work))
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()


def start_together(waiting: Any, functions: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    """Start calls in threads of their own while the device is busy; return when all of them wait."""
    with busy_device():
        pool = ThreadPoolExecutor(len(functions))
        before = len(waiting)
        futures = [pool.submit(function) for function in functions]
        while len(waiting) < before + len(functions):
            time.sleep(0.001)
    pool.shutdown(wait=False)
    return futures


def waiting_for(model: QwenEmbeddings | QwenReranker) -> Any:
    backend: Any = model._backend
    return backend.loaded.joined._waiting


def test_vectors_are_computed_together_and_are_those_of_each_alone(
    embeddings: QwenEmbeddings, forwards: list[int]
) -> None:
    alone = [embeddings.embed_query(text) for text in TEXTS]
    del forwards[:]
    calls = [lambda text=text: embeddings.embed_query(text) for text in TEXTS]  # type: ignore[misc]  # default
    together = [call.result(30) for call in start_together(waiting_for(embeddings), calls)]
    assert forwards == [len(TEXTS)]
    assert np.abs(np.array(together) - np.array(alone)).max() <= LARGEST


def test_scores_are_computed_together_and_are_those_of_each_alone(forwards: list[int]) -> None:
    reranker = QwenReranker(model="nano")
    questions = [f"{number}: When does the boat leave?" for number in range(4)]
    alone = [QwenReranker(model="nano").score([(one, text) for text in TEXTS]) for one in questions]
    del forwards[:]
    reranker.score([("?", "?")])
    calls = [lambda one=one: reranker.score([(one, text) for text in TEXTS]) for one in questions]  # type: ignore[misc]  # default
    together = [call.result(30) for call in start_together(waiting_for(reranker), calls)]
    assert len(forwards) <= 3  # the model's first use, the beginnings of the prompts, and the rest
    assert np.abs(np.array(together) - np.array(alone)).max() <= LARGEST


def test_tasks_of_an_event_loop_are_computed_together(
    embeddings: QwenEmbeddings, forwards: list[int]
) -> None:
    async def ask() -> list[list[float]]:
        return await asyncio.gather(*[embeddings.aembed_query(text) for text in TEXTS[:4]])

    with ThreadPoolExecutor(1) as pool:
        with busy_device():
            found = pool.submit(asyncio.run, ask())
            while len(waiting_for(embeddings)) < 4:
                time.sleep(0.001)
        together = found.result(30)
    assert forwards == [4]
    assert np.abs(np.array(together) - embeddings.embed_queries(TEXTS[:4])).max() <= LARGEST


def test_a_forward_has_no_more_tokens_than_its_budget(embeddings: QwenEmbeddings) -> None:
    joined, sizes = loaded(embeddings).joined, []
    finish = rows_of(lambda rows: sizes.append(len(rows)))
    calls = [lambda: joined.run((), [Segment([5] * 10)] * 2, finish, 50) for _ in range(7)]
    runs: list[int] = []
    original = joined._forward
    joined._forward = lambda taken, budget: (runs.append(len(taken)), original(taken, budget))[1]
    for call in start_together(joined._waiting, calls):
        assert call.result(30).shape == (2, 512)
    del joined._forward
    assert runs == [2, 2, 2, 1]
    assert sizes == [2] * 7


def test_a_call_that_fails_fails_alone(embeddings: QwenEmbeddings) -> None:
    model = loaded(embeddings)
    good = Segment([7, 8, 9])
    expected = model.joined.run((), [good], to_rows, 1000)

    def refuse(hidden: Tensor) -> Any:
        raise ZeroDivisionError

    calls = [
        lambda: model.joined.run((), [good], to_rows, 1000),
        lambda: model.joined.run((), [Segment([10**7])], to_rows, 1000),  # no such token
        lambda: model.joined.run((), [good], refuse, 1000),
        lambda: model.joined.run((), [good], to_rows, 1000),
    ]
    first, second, third, fourth = start_together(model.joined._waiting, calls)
    with pytest.raises(IndexError):
        second.result(30)
    with pytest.raises(ZeroDivisionError):
        third.result(30)
    for one in (first, fourth):
        assert np.abs(one.result(30) - expected).max() <= 100 * LARGEST  # hidden states are not of length one


def test_what_is_deterministic_is_computed_alone(embeddings: QwenEmbeddings) -> None:
    exact = embeddings.model_copy(update={"deterministic": True})
    alone = [exact.embed_query(text) for text in TEXTS]
    with ThreadPoolExecutor(2 * len(TEXTS)) as pool:
        others = [pool.submit(embeddings.embed_query, text) for text in TEXTS]
        together = list(pool.map(exact.embed_query, TEXTS))
    assert together == alone  # to the last bit
    assert all(one.result() for one in others)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of threads")
def test_an_interrupt_of_one_caller_ends_no_other_call(
    embeddings: QwenEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread computes for another thread, too, when it is interrupted."""
    expected = embeddings.embed_query(TEXTS[1])
    main, interrupted = threading.main_thread().ident or 0, threading.Event()
    waiting = waiting_for(embeddings)

    def slow(model: Any, segments: Sequence[Segment]) -> Tensor:
        if not interrupted.is_set():
            interrupted.set()
            signal.pthread_kill(main, signal.SIGINT)
            while True:
                raise_if_cancelled()
                time.sleep(0.001)
        return forward(model, segments)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(2) as pool:
            gate = threading.Event()
            pool.submit(run_on_device, "cpu", lambda: gate.wait(30))

            def call_second() -> list[float]:
                while not waiting:  # the main thread's call is the first
                    time.sleep(0.001)
                threading.Timer(0.2, gate.set).start()
                return embeddings.embed_query(TEXTS[1])

            other = pool.submit(call_second)
            monkeypatch.setattr(joining, "forward", slow)
            with pytest.raises(KeyboardInterrupt):
                embeddings.embed_query(TEXTS[0])
            assert np.abs(np.array(other.result(30)) - expected).max() <= LARGEST
    finally:
        signal.signal(signal.SIGINT, before)
    assert not waiting


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_computes_nothing_for_threads_it_does_not_have(
    embeddings: QwenEmbeddings, forwards: list[int]
) -> None:
    def child() -> None:
        del forwards[:]
        embeddings.embed_query(TEXTS[1])
        sys.exit(0 if forwards == [1] else 1)

    with ThreadPoolExecutor(1) as pool:
        with busy_device():
            call = pool.submit(embeddings.embed_query, TEXTS[0])
            while not waiting_for(embeddings):
                time.sleep(0.001)
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join(30)
            code = process.exitcode
            process.kill()
        assert len(call.result(30)) == 512
    assert code == 0


def loaded(embeddings: QwenEmbeddings) -> Any:
    backend: Any = embeddings._backend
    return backend.loaded


def to_rows(hidden: Tensor) -> Any:
    return hidden.numpy()


def rows_of(look: Callable[[Any], None]) -> Callable[[Tensor], Any]:
    def finish(hidden: Tensor) -> Any:
        look(hidden)
        return hidden.numpy()

    return finish
