"""Against `transformers serve` with nano-chat; `pytest -m server` runs it where transformers[serving] is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from qwen_agentkit import ChatQwen
from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.errors import ServerModelError
from tests.conftest import bundled

pytestmark = [pytest.mark.server, pytest.mark.enable_socket]

FOLDER = str(bundled("nano-chat"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Its address; it serves one model, by the name of its folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", FOLDER, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--dtype", "float32"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, "the server did not start; is transformers[serving] installed?"
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield f"{address}/v1"
    finally:
        process.terminate()
        process.wait(10)


def both(url: str) -> list[ChatQwen]:
    there = ChatQwen(model=FOLDER, base_url=url, temperature=0, max_tokens=80, timeout=60)
    return [there, ChatQwen(model="nano", dtype="float32", temperature=0, max_tokens=80)]


def parts(message: AIMessage) -> tuple[object, ...]:
    usage = message.usage_metadata
    assert usage is not None
    finish = message.response_metadata["finish_reason"]
    return message.content, message.additional_kwargs, finish, usage["input_tokens"]


@pytest.mark.parametrize("question", ["Hello, who are you?", "Which city is the capital of France?", "متى؟"])
def test_a_greedy_answer_is_the_one_of_this_process(url: str, question: str) -> None:
    there, here = both(url)
    wanted = parts(here.invoke(question))
    assert parts(there.invoke(question)) == wanted
    streamed = None
    for chunk in there.stream(question):
        streamed = chunk if streamed is None else streamed + chunk
    assert parts(streamed) == wanted


def test_a_conversation_with_a_tool_result(url: str) -> None:
    call = {"name": "add", "args": {"a": 2, "b": 3}, "id": "call_1", "type": "tool_call"}
    turns = [
        HumanMessage("Add 2 and 3."),
        AIMessage("", tool_calls=[call]),
        ToolMessage("5", tool_call_id="call_1"),
    ]
    there, here = (llm.invoke(turns, thinking=False) for llm in both(url))
    assert parts(there) == parts(here)


def test_what_it_does_not_have_is_an_error(url: str) -> None:
    with pytest.raises(ServerModelError, match=r"pinned to .* 'other'"):
        ChatQwen(model="other", base_url=url, timeout=60).invoke("Hello")


def test_doctor_knows_it(url: str) -> None:
    found = check_server(url, FOLDER, None)
    assert found["server"] == "transformers"
    assert found["chat"].startswith("yes")
