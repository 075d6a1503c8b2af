"""Thoughts without an opening tag in a server's content: a closing tag ends them, calls there are drafts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from tests.fakes.server import URL, Serve, delta, sse

CHAT = "/v1/chat/completions"
NAMES = ["my-qwen", "qwen3", "default", "Qwen/QwQ-32B", "Qwen3_5-4B", "Qwen/Qwen3-8B"]
CALL = '<tool_call>\n{"name": "wipe", "arguments": {}}\n</tool_call>'


def wipe(pattern: str = "*") -> str:
    """Remove what matches."""
    return pattern


class Hours(BaseModel):
    """When a place is open."""

    opens: int


def reply(serve: Serve, text: str, model: str = "my-qwen") -> ChatQwen:
    cuts = [0, *range(3, len(text), 7), len(text)]
    pieces = [delta(content=text[start:end]) for start, end in itertools.pairwise(cuts)]
    serve({CHAT: sse([*pieces, delta("stop")])}, model=model)
    return ChatQwen(model=model, base_url=URL)


def thought(message: Any) -> str:
    assert isinstance(message, AIMessage)
    return str(message.additional_kwargs.get("reasoning_content", ""))


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("thinking", [None, True])
def test_the_closing_tag_ends_a_thought_of_any_model(serve: Serve, model: str, thinking: bool | None) -> None:
    message = reply(serve, "Let me see.\n</think>\n\nFour.", model).invoke("x", thinking=thinking)
    assert (thought(message), message.content) == ("Let me see.", "Four.")


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("streams", [False, True])
def test_a_draft_in_such_a_thought_is_not_called(serve: Serve, model: str, streams: bool) -> None:
    llm = reply(serve, f"Maybe {CALL}? No.\n</think>\n\nHello.", model).bind_tools([wipe])
    if streams:
        message: Any = sum(llm.stream("x"), AIMessageChunk(""))
    else:
        message = llm.invoke("x")
        assert message.content == "Hello."
    assert message.tool_calls == message.invalid_tool_calls == []
    assert CALL in thought(message)


@pytest.mark.parametrize("streams", [False, True])
def test_the_call_after_such_a_thought_is_made(serve: Serve, streams: bool) -> None:
    llm = reply(serve, f"Maybe {CALL}.\n</think>\n\n{CALL}").bind_tools([wipe])
    message: Any = sum(llm.stream("x"), AIMessageChunk("")) if streams else llm.invoke("x")
    assert [call["name"] for call in message.tool_calls] == ["wipe"]


def test_an_object_after_such_a_thought_is_read(serve: Serve) -> None:
    llm = reply(serve, 'At nine.\n</think>\n\n{"opens": 9}')
    assert llm.with_structured_output(Hours).invoke("x") == Hours(opens=9)


TALK = [
    "The tag </think> ends a thought.",
    "Write `</think>`\nat the end.",
    "So:\n<think>\nHm.\n</think>\nand then the answer.",
]


@pytest.mark.parametrize("text", TALK)
@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_may_speak_of_the_tags(serve: Serve, text: str, streams: bool) -> None:
    llm = reply(serve, text)
    message: Any = sum(llm.stream("x"), AIMessageChunk("")) if streams else llm.invoke("x")
    assert (thought(message), message.content) == ("", text)


def test_text_streams_as_it_comes_where_the_name_tells_nothing(serve: Serve) -> None:
    text = "One two three four five."
    chunks = [chunk.text for chunk in reply(serve, text).stream("x") if chunk.text]
    assert "".join(chunks) == text
    assert len(chunks) > 2
