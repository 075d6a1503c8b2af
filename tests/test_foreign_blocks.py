"""Blocks of content of other providers and of tools: their texts are kept, and the chat goes on."""

from __future__ import annotations

import base64
import warnings
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, FunctionMessage, HumanMessage, ToolMessage

from qwen_agentkit.chat.messages import to_template
from qwen_agentkit.errors import InputError

ASKED = AIMessage("", tool_calls=[{"name": "search", "args": {}, "id": "1"}])
WORDS = "كلمات 文字"
TEXT_BLOCK = {"type": "text", "text": WORDS}
HOLDERS = [
    {"type": "text-plain", "base64": base64.b64encode(WORDS.encode()).decode(), "mime_type": "text/plain"},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": WORDS}},
    {"type": "document", "source": {"type": "content", "content": [TEXT_BLOCK]}},
    {"type": "search_result", "source": "https://a.example", "title": "A", "content": [TEXT_BLOCK]},
    {"type": "tool_result", "tool_use_id": "1", "content": WORDS},
    {"type": "tool_result", "tool_use_id": "1", "content": [TEXT_BLOCK]},
    {"type": "compaction", "content": WORDS},
    {"text": WORDS},
]
"""Blocks that hold a text in other places than ours."""


def answered(content: Any, **fields: Any) -> dict[str, Any]:
    return to_template([AIMessage(content, **fields)])[0]


@pytest.mark.parametrize("block", HOLDERS)
def test_a_text_is_read_wherever_it_is(block: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chat = to_template([HumanMessage([block]), ASKED, ToolMessage([block], tool_call_id="1")])
    assert [chat[0]["content"], chat[2]["content"]] == [WORDS, WORDS]


def test_a_picture_inside_a_document_is_noted() -> None:
    block = {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": [TEXT_BLOCK, {"type": "image", "url": "u"}],
    }
    with pytest.warns(UserWarning, match="reads text only: image"):
        chat = to_template([ASKED, ToolMessage([block], tool_call_id="1")])
    assert chat[1]["content"] == f"{WORDS}[image left out: u]"
    with pytest.raises(InputError, match="'image'"):
        to_template([HumanMessage([block])])


@pytest.mark.parametrize("block", [{"type": "text-plain", "url": "https://a.example/x.txt"}, {"type": ["x"]}])
def test_a_text_that_is_elsewhere_is_not_dropped(block: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="holds a block of type"):
        to_template([HumanMessage([block])])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "reasoning_content", "reasoning_content": {"text": "Hm.", "signature": "x"}},
    ],
    ids=["OpenAI", "Mistral", "Bedrock"],
)
def test_thoughts_of_other_providers(block: dict[str, Any]) -> None:
    turn = answered([block, {"type": "text", "text": "So."}])
    assert (turn["reasoning_content"], turn["content"]) == ("Hm.", "So.")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "1", "name": "search", "input": '{"q": "cats"}'},
        {"type": "tool_use", "id": "1", "name": "search", "partial_json": '{"q": "cats"}'},
        {"type": "function_call", "id": "fc", "call_id": "1", "name": "search", "arguments": '{"q": "cats"}'},
    ],
)
def test_calls_whose_arguments_are_text(block: dict[str, Any]) -> None:
    chat = to_template([AIMessage([block]), ToolMessage("Tom", tool_call_id="1")])
    [call] = chat[0]["tool_calls"]
    assert call["function"] == {"name": "search", "arguments": {"q": "cats"}}


def test_arguments_that_are_cut_short_stay_to_be_seen() -> None:
    turn = answered([{"type": "tool_use", "id": "1", "name": "search", "partial_json": '{"q": "ca'}])
    assert turn["tool_calls"][0]["function"]["arguments"] == {"arguments": '{"q": "ca'}


def test_a_call_in_its_first_form_has_its_result() -> None:
    call = {"name": "search", "arguments": '{"q": "cats"}'}
    chat = [AIMessage("", additional_kwargs={"function_call": call}), FunctionMessage("Tom", name="search")]
    asked, result = to_template(chat)
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"] == "search"
    assert asked["tool_calls"][0]["function"]["arguments"] == {"q": "cats"}


@pytest.mark.parametrize("extra", [{"refusal": "No."}, {"audio": {"transcript": "No.", "data": "aGk="}}])
def test_words_beside_an_empty_content(extra: dict[str, Any]) -> None:
    assert answered("", additional_kwargs=extra)["content"] == "No."


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "cats"}},
        {"type": "server_tool_result", "tool_call_id": "s", "status": "success", "output": [1]},
        {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "cats"}},
        {"type": "code_execution_tool_result", "content": {"stdout": "4"}},
        {"type": "citation", "id": 1},
    ],
)
def test_what_another_provider_ran_ends_no_chat(block: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=block["type"]):
        turn = answered([block, {"type": "text", "text": "So."}])
    assert turn["content"].endswith("So.")
    assert "tool_calls" not in turn


def test_a_call_without_an_id_has_its_result() -> None:
    chat = [AIMessage("", tool_calls=[{"name": "now", "args": {}, "id": None}])]
    assert len(to_template([*chat, ToolMessage("12:00", tool_call_id="")])) == 2


def test_an_unknown_kind_of_message_is_counted_all_the_same() -> None:
    message = ChatMessage("Hello", role="critic")
    assert to_template([message], whole=False) == [{"role": "user", "content": "Hello"}]
    with pytest.raises(InputError, match="of role 'critic'"):
        to_template([message])
