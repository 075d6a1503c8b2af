"""GGUF files in llama.cpp: what cannot be loaded, who chooses the engine, and how a model is let go."""

from __future__ import annotations

import gc
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import numpy as np
import psutil
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage
from pydantic import ValidationError

from qwen_agentkit import ChatQwen, QwenEmbeddings
from qwen_agentkit.engine.llama import binding, model, tokens
from qwen_agentkit.errors import (
    InputError,
    MissingExtraError,
    ModelInUseError,
    ModelNotFoundError,
    ModelUnsupportedError,
    OutOfMemoryError,
)
from tests.conftest import bundled
from tests.gguf_files import write_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(bundled("nano-chat"), tmp_path_factory.mktemp("gguf") / "nano-chat.gguf")


def chat(file: Path, **settings: object) -> ChatQwen:
    return ChatQwen(model=str(file), engine="llama.cpp", temperature=0, max_tokens=8, **settings)


def test_a_gguf_file_runs_in_llama_cpp_unasked(file: Path) -> None:
    llm = ChatQwen(model=str(file), temperature=0, max_tokens=4)
    llm.invoke("Hello")
    assert [type(held) for held in llm._held.values()] == [model.LlamaModel]


@pytest.mark.parametrize("settings", [{"dtype": "float32"}, {"quantize": "int8"}, {"device": "cuda:0"}])
def test_what_torch_alone_has_chooses_torch(file: Path, settings: dict[str, str]) -> None:
    assert not ChatQwen(model=str(file), **settings)._runs_in_llama
    with pytest.raises(ValidationError, match=rf"{next(iter(settings))}=.*engine='torch'"):
        chat(file, **settings)


def test_llama_cpp_runs_gguf_files_alone() -> None:
    with pytest.raises(ValidationError, match="model='nano-chat' is none"):
        ChatQwen(model="nano-chat", engine="llama.cpp")
    with pytest.raises(ValidationError, match="engine='torch'"):
        ChatQwen(model="x.gguf", engine="torch", base_url="http://localhost:8000/v1")


def test_without_the_binding_torch_runs_it_and_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise binding.PackageNotFoundError(name)

    monkeypatch.setattr(binding, "version", absent)
    with pytest.warns(UserWarning, match=r"full size.*qwen-agentkit\[gguf\]"):
        assert not ChatQwen(model=str(file))._runs_in_llama
    with pytest.raises(MissingExtraError, match=r"not installed.*qwen-agentkit\[gguf\]"):
        chat(file).invoke("Hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not ChatQwen(model=str(file), engine="torch")._runs_in_llama


@pytest.mark.parametrize("old", ["0.2.14", "2026.9.11063", "unknown"])
def test_a_binding_that_is_too_old(file: Path, monkeypatch: pytest.MonkeyPatch, old: str) -> None:
    monkeypatch.setattr(binding, "version", lambda name: old)
    with pytest.raises(MissingExtraError, match=rf"xllamacpp {old} is installed; expected 2026.10"):
        chat(file).invoke("Hello")


def test_damaged_files(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for name, content in (
        ("none.gguf", b"no gguf at all"),
        ("empty.gguf", b""),
        ("header.gguf", whole[:5000]),
        ("cut.gguf", whole[: len(whole) // 2]),
        ("last.gguf", whole[:-4]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelUnsupportedError, match="not a readable GGUF file"):
            chat(tmp_path / name).invoke("Hello")
    with pytest.raises(ModelNotFoundError, match="no such folder or GGUF file"):
        chat(tmp_path / "absent.gguf").invoke("Hello")


def test_a_file_that_llama_cpp_refuses(save_random_model, tmp_path: Path) -> None:
    part = write_gguf(save_random_model(seed=31), tmp_path / "part.gguf", without="blk.1.")
    with pytest.raises(ModelUnsupportedError, match=r"llama.cpp cannot load 'part.gguf'"):
        QwenEmbeddings(model=str(part)).embed_query("Hello")


def test_another_architecture_and_tokenizer(save_random_model, tmp_path: Path) -> None:
    folder = save_random_model(seed=32)
    other = write_gguf(folder, tmp_path / "llama.gguf", architecture="llama")
    with pytest.raises(ModelUnsupportedError, match=r"'llama'.*qwen2, qwen3, "):
        chat(other).invoke("Hello")
    foreign = write_gguf(folder, tmp_path / "foreign.gguf", splits="llama-bpe")
    with pytest.raises(ModelUnsupportedError, match="does not split texts as Qwen does"):
        QwenEmbeddings(model=str(foreign)).embed_query("Hello")


def test_types_that_transformers_does_not_read(save_random_model, tmp_path: Path) -> None:
    folder = save_random_model(seed=33)
    five, full = (
        QwenEmbeddings(model=str(write_gguf(folder, tmp_path / f"{kind}.gguf", kind=kind)))
        for kind in ("Q5_0", "F32")
    )
    assert np.dot(five.embed_query("Hello"), full.embed_query("Hello")) > 0.9


def test_a_file_larger_than_the_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "free_memory", lambda device: 1_000_000)
    with pytest.raises(OutOfMemoryError, match=r"'nano-chat.gguf' takes 0.0 GB.*smaller quantization"):
        chat(file, context_window=4000).invoke("Hello")


def test_a_prompt_without_room_and_a_window_that_is_too_long(file: Path) -> None:
    with pytest.raises(ContextOverflowError, match="context of 256 tokens"):
        chat(file, context_window=256).invoke("word " * 300)
    with pytest.raises(InputError, match=r"context_window=100000.*engine='torch'"):
        chat(file, context_window=100_000).invoke("Hello")


def test_room_grows_with_the_texts(file: Path) -> None:
    llm = chat(file, context_window=3000)
    short = llm.invoke("Hello").content_blocks
    [held] = llm._held.values()
    assert held._room == 512
    long = "The boat leaves at noon. " * 120
    expected = ChatQwen(model=str(file), engine="torch", temperature=0, max_tokens=8).invoke(long)
    assert llm.invoke(long).content_blocks == expected.content_blocks
    assert held._room in (1024, 2048)
    assert llm.invoke("Hello").content_blocks == short


def test_an_answer_in_parts_is_the_whole_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = chat(file).bind(max_tokens=60, thinking=True)
    whole = llm.invoke("When does the library open?")
    monkeypatch.setattr(tokens, "_PART", 7)
    parts = llm.invoke("When does the library open?")
    assert parts.content_blocks == whole.content_blocks
    assert parts.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"] > 7


def test_closing_ends_the_work_at_the_next_token() -> None:
    done = []

    def endless(take: Callable[[dict[str, int]], bool]) -> None:
        number = 0
        while not take({"number": number}):
            number += 1
        done.append(number)

    chunks = binding.stream(endless, threading.Event())
    assert next(chunks) == {"number": 0}
    chunks.close()
    assert done
    cancelled = threading.Event()
    chunks = binding.stream(endless, cancelled)
    next(chunks)
    cancelled.set()
    assert [chunk["number"] for chunk in chunks] == list(range(1, done[-1] + 1))


def test_a_model_is_not_let_go_while_it_writes(file: Path) -> None:
    llm = chat(file, context_window=1500)
    stream = llm.stream("Tell me about boats.")
    next(stream)
    [held] = llm._held.values()
    with pytest.raises(ModelInUseError):
        llm.unload()
    stream.close()
    assert held._running == 0
    gone = ref(held)
    del held
    llm.unload()
    gc.collect()
    assert gone() is None
    assert llm.invoke("Hello").content_blocks


def test_servers_end_before_the_process_does(file: Path) -> None:
    llm = chat(file)
    llm.invoke("Hello")
    server = psutil.Process().num_threads()
    model._stop_all()
    gc.collect()
    assert psutil.Process().num_threads() < server
    assert llm.invoke("Hello").content_blocks


def test_a_cancelled_answer_ends(file: Path) -> None:
    llm = chat(file)
    cancelled = threading.Event()
    request = llm._request([HumanMessage("Tell me about boats.")], None, {"max_tokens": 3000})[1]
    events = llm._events(request, cancelled, streams=True)
    next(events)
    cancelled.set()
    assert len(list(events)) < 5
    [held] = llm._held.values()
    assert held._running == 0


def test_a_paused_stream_holds_up_no_other_call(file: Path) -> None:
    llm = chat(file, context_window=4000)
    stream = llm.stream("Tell me about boats.")
    next(stream)
    assert llm.invoke("The boat leaves at noon. " * 60).content is not None
    assert list(stream)


def test_many_threads_get_their_own_answers(file: Path) -> None:
    llm = chat(file)
    questions = [f"What is {number}?" for number in range(6)]
    alone = [llm.invoke(question).content_blocks for question in questions]
    assert [message.content_blocks for message in llm.batch(questions)] == alone


def test_nothing_listens_and_signals_stay(file: Path) -> None:
    this = psutil.Process()
    signals = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    before = {one.laddr for one in this.net_connections("inet")}
    chat(file, context_window=1111).invoke("Hello")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == signals
    assert {one.laddr for one in this.net_connections("inet")} <= before
    paths = [str(one.laddr) for one in this.net_connections("unix")]
    assert not [path for path in paths if path.endswith(".sock") and Path(path).exists()]
