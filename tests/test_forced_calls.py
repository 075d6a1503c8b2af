"""Forced calls: `tool_choice` in a form that the server takes, and no call of another tool for an answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import ServerUnsupportedError
from tests.fakes.server import URL, Serve, call, delta, sse

CHAT = "/v1/chat/completions"
WORDS_ONLY = ["lmstudio", "llama.cpp"]
NAMES = ["vllm", "sglang", "ollama", "llama-cpp-python", "openai"]


class Person(BaseModel):
    """Somebody."""

    age: int


def look(query: str) -> str:
    """Look."""
    return query


def wipe(query: str) -> str:
    """Remove."""
    return query


def chat(kind: str) -> ChatQwen:
    return ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, server=kind, max_retries=0)


def calls(name: str, arguments: str = '{"query": "x"}') -> httpx.Response:
    return sse([delta("tool_calls", tool_calls=[call(0, name, arguments, "a")])])


@pytest.mark.parametrize("kind", WORDS_ONLY)
def test_a_server_without_names_is_offered_the_one_tool(serve: Serve, kind: str) -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        if not isinstance(body["tool_choice"], str):
            return httpx.Response(400, json={"error": "Invalid tool_choice type: 'object'"})
        return calls(body["tools"][0]["function"]["name"])

    server = serve({CHAT: answer})
    for tools in ([look, wipe], [wipe]):
        [made] = chat(kind).bind_tools(tools, tool_choice="wipe").invoke("x").tool_calls
        assert made["name"] == "wipe"
    for body in server.bodies():
        assert body["tool_choice"] == "required"
        assert [tool["function"]["name"] for tool in body["tools"]] == ["wipe"]


@pytest.mark.parametrize("kind", WORDS_ONLY)
def test_an_object_by_a_call_needs_no_name(serve: Serve, kind: str) -> None:
    server = serve({CHAT: calls("Person", '{"age": 9}')})
    llm = chat(kind).with_structured_output(Person, method="function_calling")
    assert llm.invoke("x") == Person(age=9)
    assert server.bodies()[0]["tool_choice"] == "required"


@pytest.mark.parametrize("kind", NAMES)
def test_other_servers_are_told_the_name(serve: Serve, kind: str) -> None:
    server = serve({CHAT: calls("look")})
    chat(kind).bind_tools([look, wipe], tool_choice="look").invoke("x")
    [body] = server.bodies()
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert len(body["tools"]) == 2


@pytest.mark.parametrize("kind", [*WORDS_ONLY, *NAMES])
def test_any_call_is_asked_for_by_a_word(serve: Serve, kind: str) -> None:
    server = serve({CHAT: calls("wipe")})
    [made] = chat(kind).bind_tools([look, wipe], tool_choice="any").invoke("x").tool_calls
    assert made["name"] == "wipe"
    [body] = server.bodies()
    assert body["tool_choice"] == "required"
    assert len(body["tools"]) == 2


@pytest.mark.parametrize("kind", [*WORDS_ONLY, *NAMES])
@pytest.mark.parametrize("arguments", ['{"query": "x"}', '{"query": '])
def test_the_call_of_another_tool_is_an_error(serve: Serve, kind: str, arguments: str) -> None:
    serve({CHAT: calls("wipe", arguments)})
    llm = chat(kind).bind_tools([look, wipe], tool_choice="look")
    with pytest.raises(ServerUnsupportedError, match=r"has to be a call of 'look'.*a call of 'wipe'"):
        llm.invoke("x")
    with pytest.raises(ServerUnsupportedError, match="a call of 'wipe'"):
        list(llm.stream("x"))
