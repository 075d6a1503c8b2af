"""What servers hold only if they are asked in their own words: schemas, objects, budgets, stop strings."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.chat.tags import CLOSING_WORDS
from qwen_agentkit.errors import ServerUnsupportedError
from tests.fakes.server import URL, Serve, call, delta, sse

CHAT = "/v1/chat/completions"
HELLO = sse([delta(content="Hello"), delta("stop")])
CALL = sse([delta(tool_calls=[call(0, "add", '{"a": 1, "b": 2}', "1")]), delta("tool_calls")])


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def chat(**settings: Any) -> ChatQwen:
    return ChatQwen(**{"model": "Qwen/Qwen3-8B", "base_url": URL, **settings})


def body_of(serve: Serve, owner: str, reply: Any = HELLO, **settings: Any) -> dict[str, Any]:
    server = serve({CHAT: reply}, owner=owner)
    chat().bind(**settings).invoke("Hi")
    return server.bodies()[-1]


@pytest.mark.parametrize("choice", ["auto", "any", "add"])
@pytest.mark.parametrize("strict", [None, True, False])
def test_vllm_is_told_to_hold_calls_to_their_schema(serve: Serve, choice: str, strict: bool | None) -> None:
    server = serve({CHAT: CALL})
    chat().bind_tools([add], tool_choice=choice, strict=strict).invoke("Add.")
    [tool] = server.bodies()[0]["tools"]
    assert tool["function"]["strict"] is (strict is not False)


def test_other_servers_hold_calls_unasked(serve: Serve) -> None:
    server = serve({CHAT: CALL}, owner="llamacpp")
    chat().bind_tools([add], tool_choice="any").invoke("Add.")
    assert "strict" not in server.bodies()[0]["tools"][0]["function"]


def test_any_object_has_a_schema_where_the_server_needs_one(serve: Serve) -> None:
    answer, form = sse([delta(content="{}"), delta("stop")]), {"type": "json_object"}
    wanted = body_of(serve, "llamacpp", answer, response_format=form)["response_format"]
    assert wanted == {"type": "json_object", "schema": {"type": "object"}}
    assert body_of(serve, "vllm", answer, response_format=form)["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("budget", [0, 3])
def test_a_thought_ends_with_the_trained_words(serve: Serve, budget: int) -> None:
    body = body_of(serve, "llamacpp", thinking_budget=budget)
    assert (body["thinking_budget_tokens"], body["reasoning_budget_message"]) == (budget, CLOSING_WORDS)


def test_no_budget_is_no_thought_where_a_server_has_no_words(serve: Serve) -> None:
    body = body_of(serve, "vllm", thinking_budget=0)
    assert "thinking_token_budget" not in body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body_of(serve, "vllm", thinking_budget=3)["thinking_token_budget"] == 3


THOUGHT = [delta(reasoning_content="Hello, who"), delta(reasoning_content=" are you?")]
ANSWER = [delta(content="Hello, w"), delta(content="ho are you?"), delta("stop")]


def stopping(body: dict[str, Any]) -> Any:
    """A server that looks for stop strings in thoughts, too."""
    if body.get("stop"):
        return sse([delta(reasoning_content="Hello, "), delta("stop")])
    return sse([*THOUGHT, *ANSWER])


@pytest.mark.parametrize("thinking", [None, True])
async def test_stop_strings_end_the_answer_and_not_the_thought(serve: Serve, thinking: bool | None) -> None:
    serve({CHAT: stopping})
    llm = chat(thinking=thinking, stop=["who"])
    for message in (llm.invoke("Hi"), await llm.ainvoke("Hi")):
        assert message.content == "Hello, "
        assert message.additional_kwargs["reasoning_content"] == "Hello, who are you?"
        assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("thinking", [None, True])
def test_stop_strings_end_a_streamed_answer_and_not_its_thought(serve: Serve, thinking: bool | None) -> None:
    serve({CHAT: stopping})
    chunks = list(chat(stop=["who"], thinking=thinking).stream("Hi"))
    assert "".join(str(chunk.content) for chunk in chunks) == "Hello, "


def test_a_stream_of_an_unknown_model_that_a_stop_string_ends_in_its_thought(serve: Serve) -> None:
    serve({CHAT: stopping}, model="my-alias")
    with pytest.raises(ServerUnsupportedError, match=r"ended the thought.*thinking=True"):
        list(chat(model="my-alias", stop=["who"]).stream("Hi"))


def test_without_thoughts_the_server_looks_for_stop_strings(serve: Serve) -> None:
    body = body_of(
        serve, "vllm", sse([delta(content="Hello, "), delta("stop")]), stop=["who"], thinking=False
    )
    assert body["stop"] == ["who"]
