"""Answers of a GGUF file that are written at once share its steps and its room."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.llama import model as model_module
from qwen_agentkit.engine.llama.model import LlamaModel, load_llama
from tests.conftest import bundled
from tests.gguf_files import write_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    return write_gguf(bundled("nano-chat"), tmp_path_factory.mktemp("gguf") / "nano-chat.gguf")


@contextmanager
def writing(model: LlamaModel, tokens: int, count: int) -> Iterator[list[int]]:
    """Some answers that pause after their first token; yields the room that was there for each."""
    paused, begun, rooms = threading.Event(), threading.Semaphore(0), []

    def run() -> None:
        first = True

        def take(chunk: dict[str, object]) -> bool:
            nonlocal first
            if first:
                first = False
                rooms.append(model._room)
                begun.release()
                paused.wait(60)
            return False

        body = {"prompt": [5, 6, 7], "max_tokens": 2, "stream": True}
        model.complete(tokens, body, take)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert begun.acquire(timeout=60)
        yield rooms
    finally:
        paused.set()
        for thread in threads:
            thread.join()


def test_what_fits_the_room_is_written_at_once(file: Path) -> None:
    model = load_llama(str(file), "chat", context_window=1024)
    with writing(model, 120, 4) as rooms:
        assert model._running == 4
        assert rooms == [512] * 4
    assert (model._running, model._taken) == (0, 0)


def test_the_room_grows_for_those_that_come_together(file: Path) -> None:
    model = load_llama(str(file), "chat", context_window=2000)
    with writing(model, 400, 1):
        other = threading.Thread(target=model.complete, args=(400, {"prompt": [5], "max_tokens": 1}, print))
        other.start()
        while not model._growing:
            time.sleep(0.01)
    other.join()
    assert model._room == 1024
    with writing(model, 400, 2) as rooms:
        assert rooms == [1024] * 2


def test_without_memory_they_take_turns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_llama(str(file), "chat", context_window=1500)
    with writing(model, 400, 1):
        pass
    monkeypatch.setattr(model_module, "free_memory", lambda device: 0)
    taken = []

    def take(chunk: dict[str, object]) -> bool:
        taken.append(model._taken)
        return False

    with writing(model, 400, 1):
        body = {"prompt": [5], "max_tokens": 1, "stream": True}
        other = threading.Thread(target=model.complete, args=(400, body, take))
        other.start()
        other.join(0.3)  # time in which it could begin too early
    other.join()
    assert set(taken) == {400}
    assert model._room == 512


def test_a_long_answer_fills_the_room_that_others_left(file: Path) -> None:
    llm = ChatQwen(model=str(file), engine="llama.cpp", temperature=0, max_tokens=8, context_window=1200)
    questions = [f"What is {number}?" for number in range(4)]
    alone = [llm.invoke(question).content_blocks for question in questions]
    long = "The boat leaves at noon. " * 100
    expected = ChatQwen(model=str(file), engine="torch", temperature=0, max_tokens=8).invoke(long)
    assert llm.invoke(long).content_blocks == expected.content_blocks
    assert [message.content_blocks for message in llm.batch(questions)] == alone
