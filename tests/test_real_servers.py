"""Against a real server, llama-cpp-python's, with the nano models as GGUF files; `pytest -m server` runs it.

`LLAMA_CPP_PYTHON` names a Python that has `llama-cpp-python[server]`; by default the one that runs the tests.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from qwen_agentkit import ChatQwen, QwenEmbeddings
from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.errors import InputTooLongError, ServerModelError, ServerUnsupportedError
from tests.conftest import bundled
from tests.gguf_files import write_gguf

pytestmark = [pytest.mark.server, pytest.mark.enable_socket]

Start = Callable[..., str]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server and return its address."""
    started = []

    def begin(name: str, *options: str, embeds: bool = False) -> str:
        file = write_gguf(bundled(name), tmp_path_factory.mktemp("gguf") / f"{name}.gguf", embeds=embeds)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        python = os.environ.get("LLAMA_CPP_PYTHON", sys.executable)
        command = [python, "-m", "llama_cpp.server", "--model", str(file), "--model_alias", name, *options]
        command += ["--port", str(port), "--n_ctx", "4096", "--n_threads", "1"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            assert started[-1].poll() is None, "the server did not start; is it installed?"
            try:
                httpx.get(f"{url}/v1/models").raise_for_status()
                return f"{url}/v1"
            except httpx.HTTPError:
                time.sleep(0.25)
        raise AssertionError("the server did not answer within a minute")

    yield begin
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def chat_url(start: Start) -> str:
    return start("nano-chat")


def both(url: str, **settings: object) -> list[ChatQwen]:
    there = ChatQwen(model="nano-chat", base_url=url, temperature=0, max_tokens=80, **settings)
    return [there, ChatQwen(model="nano", temperature=0, max_tokens=80, **settings)]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Ticket(BaseModel):
    title: str
    hours: int


def parts(message: AIMessage) -> tuple[object, ...]:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return message.content, message.additional_kwargs, calls, message.response_metadata["finish_reason"]


@pytest.mark.parametrize("question", ["Hello, who are you?", "Which city is the capital of France?", "متى؟"])
def test_a_greedy_answer_is_the_one_of_this_process(chat_url: str, question: str) -> None:
    there, here = both(chat_url)
    answers = there.invoke(question), here.invoke(question)
    assert parts(answers[0]) == parts(answers[1])
    counted, known = (answer.usage_metadata for answer in answers)
    assert counted is not None
    assert known is not None
    assert counted["input_tokens"] == known["input_tokens"]
    assert known["output_tokens"] - counted["output_tokens"] in (0, 1)  # it leaves out what ends the turn
    streamed = None
    for chunk in there.stream(question):
        streamed = chunk if streamed is None else streamed + chunk
    assert parts(streamed) == parts(here.invoke(question))


def test_a_conversation_with_a_tool_result(chat_url: str) -> None:
    call = {"name": "add", "args": {"a": 2, "b": 3}, "id": "call_1", "type": "tool_call"}
    turns = [
        HumanMessage("Add 2 and 3."),
        AIMessage("", tool_calls=[call]),
        ToolMessage("5", tool_call_id="call_1"),
    ]
    there, here = (llm.bind_tools([add]).invoke(turns) for llm in both(chat_url))
    assert parts(there) == parts(here)


def test_a_forced_call_and_an_object_hold_their_schemas(chat_url: str) -> None:
    there, _ = both(chat_url)
    [call] = there.bind_tools([add], tool_choice="add").invoke("Add 2 and 3.").tool_calls
    assert call["name"] == "add"
    assert {type(value) for value in call["args"].values()} == {int}
    for method in ("json_schema", "function_calling"):
        asking = there.with_structured_output(Ticket, method=method)
        assert isinstance(asking.invoke("Fix the door, 3 hours."), Ticket)


def test_what_it_cannot_do_is_an_error(chat_url: str) -> None:
    there, _ = both(chat_url)
    with pytest.raises(ServerUnsupportedError, match="thinking=False"):
        there.invoke("Hello", thinking=False)
    with pytest.raises(ServerModelError, match="it has 'nano-chat'"):
        ChatQwen(model="other", base_url=chat_url).invoke("Hello")
    for ask in (there.invoke, lambda text: list(there.stream(text))):
        for error in (InputTooLongError, ContextOverflowError):
            with pytest.raises(error, match="maximum context length is 4096"):
                ask("word " * 9000)


def test_doctor_knows_it(chat_url: str) -> None:
    found = check_server(chat_url, None, None)
    assert found["server"] == "llama-cpp-python"
    assert [found[ability] for ability in ("chat", "thoughts", "objects")] == ["yes"] * 3


def test_vectors_are_those_of_this_process(start: Start) -> None:
    url = start("nano-embedding", "--embedding", "true", embeds=True)
    there, here = QwenEmbeddings(model="nano-embedding", base_url=url), QwenEmbeddings(model="nano")
    texts = ["The library opens at nine.", "متى يغادر القارب؟", "你好，世界"]
    assert np.allclose(there.embed_array(texts), here.embed_array(texts), atol=1e-3)
    assert np.allclose(there.embed_query(texts[0]), here.embed_query(texts[0]), atol=1e-3)
