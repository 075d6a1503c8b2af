"""Memory manners: models let go of their weights when they are told to, idle, or in the way of another."""

from __future__ import annotations

import copy
import gc
import threading
from pathlib import Path
from typing import Any
from weakref import ref

import psutil
import pytest
from pydantic import ValidationError

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint import loading
from qwen_agentkit.engine.checkpoint.residence import MEMORY, Residence
from qwen_agentkit.errors import InputError, ModelInUseError, OutOfMemoryError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tiny_qwen3_dir: Path) -> None:
    """Models of other tests are none of ours."""
    monkeypatch.setattr("tests.test_unloading.MODEL", str(tiny_qwen3_dir))
    monkeypatch.setattr(loading, "_loaded", type(loading._loaded)())
    monkeypatch.setattr(loading, "_weights", type(loading._weights)())


MODEL = ""  # a checkpoint of random weights, which loads fast


def use(model: Any) -> Any:
    if isinstance(model, ChatQwen):
        return model.invoke("Hello").content
    if isinstance(model, QwenEmbeddings):
        return model.embed_query("Hello")
    return model.score([("Hello", "Hello there.")])


def make(kind: Any, **settings: Any) -> Any:
    more = {"max_tokens": 20, "temperature": 0} if kind is ChatQwen else {}
    return kind(model=MODEL, **more, **settings)


def in_memory() -> int:
    return len(loading._loaded)


KINDS = [ChatQwen, QwenEmbeddings, QwenReranker]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_freed_and_loaded_again(kind: Any) -> None:
    model = make(kind)
    model.unload()  # nothing is loaded yet
    first = use(model)
    assert in_memory() == 1
    model.unload()
    assert in_memory() == 0
    assert use(model) == first
    model.unload()
    model.unload()
    assert in_memory() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_at_once_or_after_a_while(kind: Any) -> None:
    use(make(kind, keep_alive=0))
    assert in_memory() == 0
    model = make(kind, keep_alive=3600)
    use(model)
    timer = model._residence._timer
    assert (in_memory(), timer.interval, timer.daemon) == (1, 3600, True)
    timer.function()  # an hour later
    assert in_memory() == 0
    assert use(model)
    model.unload()


@pytest.mark.parametrize("kind", KINDS)
def test_copies_share_the_weights_and_pickles_keep_the_setting(kind: Any) -> None:
    model = make(kind, keep_alive=100)
    use(model)
    copied = copy.deepcopy(model)
    use(copied)
    assert in_memory() == 1
    assert copied.keep_alive == 100
    model.unload()
    copied.unload()
    assert in_memory() == 0


def test_what_another_object_uses_stays() -> None:
    one, other = make(ChatQwen), make(ChatQwen)
    use(one), use(other)
    one.unload()
    assert in_memory() == 1
    other.unload()
    assert in_memory() == 0


def test_unloading_while_a_call_runs_is_an_error() -> None:
    llm = make(ChatQwen)
    stream = llm.stream("Hello")
    next(stream)
    for model in (llm, copy.copy(llm)):
        with pytest.raises(ModelInUseError, match=r"1 calls use the model.*streams"):
            model.unload()
    assert list(stream)
    llm.unload()
    assert in_memory() == 0


def test_an_abandoned_stream_uses_nothing() -> None:
    llm = make(ChatQwen)
    stream = llm.stream("Hello")
    next(stream)
    stream.close()
    llm.unload()
    assert in_memory() == 0


def test_a_served_model_has_nothing_to_unload() -> None:
    ChatQwen(model="x", base_url="http://localhost:1/v1").unload()
    with pytest.raises(ValidationError, match="applies to a model in this process"):
        ChatQwen(model="x", base_url="http://localhost:1/v1", keep_alive=3)


def test_the_timer_does_not_keep_a_model_alive() -> None:
    model = make(QwenEmbeddings, keep_alive=100)
    use(model)
    known = ref(model)
    del model
    gc.collect()
    assert known() is None
    assert in_memory() == 0


def test_idle_models_make_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, reranker, chat = make(QwenEmbeddings), make(QwenReranker), make(ChatQwen)
    use(embedder)
    use(reranker)
    both = loading.memory_in_use("cpu")
    monkeypatch.setenv(MEMORY, str(both / 1e9))
    use(chat)  # the embedder was used longest ago
    assert "_backend" not in embedder.__dict__
    assert "_backend" in reranker.__dict__
    assert use(embedder)
    assert loading.memory_in_use("cpu") <= both


def test_a_model_in_use_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    chat, embedder = make(ChatQwen), make(QwenEmbeddings)
    stream = chat.stream("Hello")
    next(stream)
    monkeypatch.setenv(MEMORY, str(1.5 * loading.memory_in_use("cpu") / 1e9))
    with pytest.raises(OutOfMemoryError, match=r"GB of QWEN_AGENTKIT_MEMORY"):
        use(embedder)
    assert list(stream)
    assert use(embedder)
    monkeypatch.setenv(MEMORY, "much")
    with pytest.raises(InputError, match="number of gigabytes"):
        use(make(QwenReranker))


def test_twenty_rounds_leave_no_memory_behind() -> None:
    models = [make(kind) for kind in KINDS]

    def resident() -> int:
        for model in models:
            use(model)
        for model in models:
            model.unload()
        return int(psutil.Process().memory_info().rss)

    first = resident()
    for _ in range(18):
        resident()
    assert resident() <= 1.1 * first


def test_many_threads_and_one_that_unloads() -> None:
    dropped: list[int] = []
    residence = Residence(lambda: dropped.append(1))
    inside, leave = threading.Barrier(5), threading.Event()

    def work() -> None:
        with residence.use():
            inside.wait()
            leave.wait()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert not residence.try_unload()
    leave.set()
    for thread in threads:
        thread.join()
    assert residence.try_unload()
    assert dropped == [1]
