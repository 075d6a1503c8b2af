"""Messages on their way to a template, and answers on their way to LangChain's two kinds of streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGenerationChunk
from pydantic import PrivateAttr

from qwen_agentkit.chat.messages import from_events, to_template
from qwen_agentkit.chat.parsing import StreamParser
from qwen_agentkit.chat.request import Done
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.checkpoint.template import ChatTemplate
from qwen_agentkit.errors import InputError
from tests.parser_table import READ, SEARCH

DAMAGED = '<tool_call>\n{"name": "search", "arguments": {"q": "cats"\n</tool_call>'
ASKED = AIMessage("", tool_calls=[{"name": "now", "args": {}, "id": "1"}])


def shown(message: BaseMessage) -> dict[str, Any]:
    [converted] = to_template([message])
    return converted


def result(content: Any, **fields: Any) -> Any:
    return to_template([ASKED, ToolMessage(content, tool_call_id="1", **fields)])[1]["content"]


def test_roles_and_texts() -> None:
    chat = [
        SystemMessage([{"type": "text", "text": "Be "}, "brief."]),
        HumanMessage(""),
        ChatMessage(content="Hello.", role="assistant"),
        FunctionMessage(content="12:00", name="now"),
        AIMessage([], additional_kwargs={"reasoning_content": "So."}),
    ]
    assert to_template(chat) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "Hello."},
        {"role": "tool", "content": "12:00", "tool_call_id": "now"},
        {"role": "assistant", "content": "", "reasoning_content": "So."},
    ]


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (HumanMessage([{"type": "image", "url": "http://localhost/a.png"}]), "type 'image'"),
        (HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}]), "type 'image_url'"),
        (SystemMessage([{"type": "audio", "base64": ""}]), "type 'audio'"),
        (RemoveMessage(id="1"), "RemoveMessage"),
        (ChatMessage(content="Hello.", role="narrator"), "ChatMessage of role 'narrator'"),
        (ToolMessage("12:00", tool_call_id="call_9"), "answers the call 'call_9'"),
    ],
)
def test_what_a_text_model_cannot_read(message: Any, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        to_template([HumanMessage("Hello"), message])


IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


@pytest.mark.parametrize(
    ("block", "note"),
    [
        (IMAGE, "[image/png left out]"),
        ({"type": "image_url", "image_url": {"url": "data:,"}}, "[image_url left out]"),
        ({"type": "image", "url": "data:image/png;base64,aGk="}, "[image left out]"),
        ({"type": "audio", "base64": "", "mime_type": "audio/wav"}, "[audio/wav left out]"),
        (
            {"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"},
            "[application/pdf left out: https://example.com/a.pdf]",
        ),
        (
            {"type": "resource_link", "uri": "file:///a.txt", "name": "تقرير"},
            "[resource_link left out: تقرير]",
        ),
    ],
)
def test_what_a_tool_returns_beside_text_is_noted(block: Any, note: str) -> None:
    with pytest.warns(UserWarning, match="reads text only"):
        assert result([{"type": "text", "text": "Seen: "}, block]) == f"Seen: {note}"


def test_an_image_that_another_model_drew_is_noted() -> None:
    with pytest.warns(UserWarning, match="image/png"):
        assert shown(AIMessage(["Here: ", IMAGE]))["content"] == "Here: [image/png left out]"


def test_data_that_a_tool_returns_in_no_form_is_json() -> None:
    assert result([{"größe": 1}]) == '{"größe": 1}'
    assert result([{"type": "resource", "resource": {"uri": "a", "text": "words"}}]) == "words"


SYSTEMS = [SystemMessage("a"), ChatMessage(content="b", role="system"), SystemMessage("")]


@pytest.mark.parametrize(("number", "text"), [(1, "a"), (2, "a\n\nb"), (3, "a\n\nb")])
def test_leading_system_messages_are_one(number: int, text: str) -> None:
    chat = to_template([*SYSTEMS[:number], HumanMessage("Hello"), SystemMessage("c")])
    assert [turn["role"] for turn in chat] == ["system", "user", "system"]
    assert chat[0]["content"] == text


def test_no_messages() -> None:
    with pytest.raises(InputError, match="no messages"):
        to_template([])


@pytest.mark.parametrize("streamed", [False, True])
def test_the_reason_of_an_invalid_call_is_kept(streamed: bool) -> None:
    llm = scripted(DAMAGED)
    message = summed(list(llm.stream("Hello"))) if streamed else llm.invoke("Hello")
    [reason] = message.response_metadata["invalid_tool_call_errors"]
    assert "delimiter" in reason
    [call] = message.invalid_tool_calls
    assert call["error"] == (None if streamed else reason)  # LangChain's sum of chunks has no place for it


def test_a_result_comes_after_its_call() -> None:
    with pytest.raises(InputError, match="'1', which no AI message before it makes"):
        to_template([ToolMessage("12:00", tool_call_id="1"), ASKED])


def test_a_content_that_is_missing() -> None:
    message = AIMessage("")
    message.content = None  # type: ignore[assignment]  # as some stores of chats bring it back
    assert shown(message)["content"] == ""
    assert shown(HumanMessage([{"type": "text", "text": None}, {"type": "text"}]))["content"] == ""


@pytest.mark.parametrize(
    ("content", "status", "expected"),
    [
        ("12:00", "success", "12:00"),
        ("", "success", ""),
        (
            [{"type": "text", "text": "12"}, {"type": "json", "json": {"小时": 12}}],
            "success",
            '12{"小时": 12}',
        ),
        ("no clock", "error", "Error: no clock"),
        ("Error: no clock\n Please fix it.", "error", "Error: no clock\n Please fix it."),
        ([{"type": "text", "text": "no clock"}], "error", "Error: no clock"),
        ("", "error", "Error:"),
    ],
)
def test_results_of_tools(content: Any, status: Any, expected: str) -> None:
    assert result(content, status=status) == expected


def test_calls_of_tools_known_and_unknown() -> None:
    calls = [
        {"name": "nonesuch", "args": {"城市": "北京"}, "id": "1"},
        {"name": "now", "args": {}, "id": "2"},
    ]
    assert shown(AIMessage("Let me see.", tool_calls=calls)) == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"type": "function", "id": "1", "function": {"name": "nonesuch", "arguments": {"城市": "北京"}}},
            {"type": "function", "id": "2", "function": {"name": "now", "arguments": {}}},
        ],
    }


def test_unread_calls_are_shown_as_written() -> None:
    unread = [
        {"name": "search", "args": DAMAGED, "id": "1", "error": None},
        {"name": "now", "args": '{"zone": ', "id": "2", "error": None},  # as other providers cut it out
    ]
    chat = [AIMessage("Let me see.", invalid_tool_calls=unread), ToolMessage("broken", tool_call_id="1")]
    assert to_template(chat)[0] == {
        "role": "assistant",
        "content": f"Let me see.\n{DAMAGED}\n"
        '<tool_call>\n{"name": "now", "arguments": {"zone": }\n</tool_call>',
    }


@pytest.mark.parametrize(
    "content",
    [
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "text", "text": "Look."},
            {"type": "tool_use", "id": "1", "name": "search", "input": {"q": "cats"}},
        ],
        [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "Look.", "annotations": []},
            {"type": "tool_call", "id": "1", "name": "search", "args": {"q": "cats"}},
        ],
    ],
    ids=["Anthropic", "LangChain v1"],
)
@pytest.mark.parametrize("listed", [True, False], ids=["with tool_calls", "in the content only"])
def test_messages_of_other_providers(content: list[Any], listed: bool) -> None:
    calls = [{"name": "search", "args": {"q": "cats"}, "id": "1"}]
    chat = [AIMessage(content, tool_calls=calls if listed else []), ToolMessage("Tom", tool_call_id="1")]
    assert to_template(chat) == [
        {
            "role": "assistant",
            "content": "Look.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"type": "function", "id": "1", "function": {"name": "search", "arguments": {"q": "cats"}}}
            ],
        },
        {"role": "tool", "content": "Tom", "tool_call_id": "1"},
    ]


def test_broken_characters_are_mended() -> None:
    with pytest.warns(UserWarning, match="lone surrogates"):
        assert shown(HumanMessage("a\ud800b"))["content"] == "a\ufffdb"
    calls = [{"name": "search", "args": {"q": ["cats\ud800", 1]}, "id": "1"}]
    message = AIMessage("", additional_kwargs={"reasoning_content": "Hm\ud800"}, tool_calls=calls)
    with pytest.warns(UserWarning, match="lone surrogates"):
        turn = shown(message)
    assert turn["reasoning_content"] == "Hm\ufffd"
    assert turn["tool_calls"][0]["function"]["arguments"] == {"q": ["cats\ufffd", 1]}


def test_the_caller_keeps_his_messages() -> None:
    calls = [{"name": "search", "args": {"q": "cats"}, "id": "1"}]
    message = AIMessage([{"type": "text", "text": "Look."}], tool_calls=calls)
    before = message.model_copy(deep=True)
    to_template([message])
    assert message == before


def test_the_template_takes_every_history(nano_chat_dir: Any) -> None:
    chat = [
        HumanMessage([{"type": "text", "text": "Time?"}]),
        AIMessage("", invalid_tool_calls=[{"name": "now", "args": DAMAGED, "id": "0", "error": None}]),
        ToolMessage("broken", tool_call_id="0", status="error"),
        ASKED,
        ToolMessage([{"type": "text", "text": ""}], tool_call_id="1"),
    ]
    loaded = load(str(nano_chat_dir), device="cpu", dtype="float32")
    text = loaded.tokenizer.decode(ChatTemplate(loaded).prompt(to_template(chat)).tokens)
    places = [
        text.index(part) for part in ("Time?", DAMAGED, "Error: broken", '{"name": "now", "arguments": {}}')
    ]
    assert places == sorted(places)


class Scripted(ChatQwen):
    """A `ChatQwen` whose engine is a text, written in pieces of seven characters."""

    _text: str = PrivateAttr()

    def _answer(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in from_events(self._events(), "scripted"):
            yield ChatGenerationChunk(message=chunk)

    def _events(self) -> Iterator[Any]:
        parser = StreamParser()
        for start in range(0, len(self._text), 7):
            yield from parser.feed(self._text[start : start + 7])
        yield from parser.close()
        yield Done(
            input_tokens=5,
            cached_tokens=0,
            output_tokens=7,
            reasoning_tokens=2,
            finish_reason="tool_calls",
            thinking_truncated=False,
        )


def scripted(text: str, **settings: Any) -> Scripted:
    llm = Scripted(model="nano", **settings)
    llm._text = text
    return llm


WHOLE = f"<think>\nLet me think.\n</think>\n\nLet me look.\n{SEARCH}\n{READ}\n{DAMAGED}"
KINDS = ["reasoning", "text", "tool_call", "tool_call"]


def summed(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def parts(message: AIMessage) -> tuple[Any, ...]:
    """What a message says, without the ids that are new each time."""
    return (
        message.text,
        message.additional_kwargs,
        [(call["name"], call["args"]) for call in message.tool_calls],
        [(call["name"], call["args"]) for call in message.invalid_tool_calls],
        message.usage_metadata,
        message.response_metadata,
    )


EXPECTED = (
    "Let me look.",
    {"reasoning_content": "Let me think."},
    [("search", {"q": "cats"}), ("read", {"path": "/a.txt"})],
    [("search", DAMAGED)],
)


async def test_chunks_sum_to_the_message() -> None:
    llm = scripted(WHOLE)
    chunks = list(llm.stream("Hello"))
    assert sum(bool(chunk.additional_kwargs) for chunk in chunks) > 1
    assert sum(bool(chunk.content) for chunk in chunks) > 1
    whole = llm.invoke("Hello")
    assert parts(whole)[:4] == EXPECTED
    assert parts(summed(chunks)) == parts(whole)
    assert parts(summed([chunk async for chunk in llm.astream("Hello")])) == parts(whole)
    assert parts(await llm.ainvoke("Hello")) == parts(whole)


async def test_blocks_of_output_version_v1() -> None:
    llm = scripted(WHOLE, output_version="v1")
    streamed = summed(list(llm.stream("Hello")))
    awaited = summed([chunk async for chunk in llm.astream("Hello")])
    for message in (streamed, awaited, llm.invoke("Hello"), await llm.ainvoke("Hello")):
        content: Any = message.content
        blocks = [block for block in content if block["type"] in KINDS]
        assert [block["type"] for block in blocks] == KINDS
        assert [blocks[0]["reasoning"], blocks[1]["text"]] == ["Let me think.", "Let me look."]
        assert [(block["name"], block["args"]) for block in blocks[2:]] == EXPECTED[2]
        assert [(call["name"], call["args"]) for call in message.invalid_tool_calls] == EXPECTED[3]


def check_v3(message: AIMessage) -> None:
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == [*KINDS, "invalid_tool_call"]
    assert [(call["name"], call["args"]) for call in message.tool_calls] == EXPECTED[2]
    assert message.text == "Let me look."


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_events_of_version_v3() -> None:
    llm = scripted(WHOLE)
    stream = llm.stream_events("Hello", version="v3")
    events = list(stream)
    started = [event["content"]["type"] for event in events if event["event"] == "content-block-start"]
    assert started == ["reasoning", "text", *["tool_call_chunk"] * 3]
    check_v3(stream.output)
    astream = await llm.astream_events("Hello", version="v3")
    assert [event["event"] async for event in astream] == [event["event"] for event in events]
    check_v3(await astream.output)


def test_a_call_is_one_chunk() -> None:
    pieces = [
        chunk.tool_call_chunks
        for chunk in scripted(WHOLE).stream("Hello")
        if isinstance(chunk, AIMessageChunk)
    ]
    calls = [piece for piece in pieces if piece]
    assert [len(piece) for piece in calls] == [1, 1, 1]
    assert [json.loads(str(piece[0]["args"])) for piece in calls[:2]] == [args for _, args in EXPECTED[2]]
