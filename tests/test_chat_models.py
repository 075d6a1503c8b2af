"""`ChatQwen`: LangChain's conformance class, and behavior on a tiny Qwen3 that is made to want a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import ValidationError

from qwen_agentkit.chat.messages import to_template
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import InputError, InputTooLongError, ModelNotFoundError
from tests.fakes.scripted_chat import Scripted
from tests.fakes.weather import CALL, CALLED, Weather, get_weather, now


class TestConformance(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatQwen

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "nano"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        # The class reads no environment: a stray variable changes nothing.
        return {"QWEN_AGENTKIT_API_KEY": "secret"}, {"model": "nano"}, {"model": "nano-chat", "api_key": None}


def test_thoughts_come_apart_from_the_answer(scripted: Scripted) -> None:
    message = scripted("<think>\nA capital.\n</think>\n\nParis 🗼").invoke("Capital of France?")
    assert message.content == "Paris 🗼"
    assert message.additional_kwargs == {"reasoning_content": "A capital."}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.response_metadata["finish_reason"] == "stop"
    assert "thinking_truncated" not in message.response_metadata


def test_usage_adds_up(scripted: Scripted) -> None:
    llm = scripted("<think>\nA capital.\n</think>\n\nParis")
    loaded = llm._load()
    usage = llm.invoke("Capital?").usage_metadata
    assert usage is not None
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] == len(loaded.encode_prompt("<think>\nA capital.\n</think>\n\nParis")) + 1
    thought = loaded.encode_prompt("<think>\nA capital.\n</think>")
    assert usage["output_token_details"] == {"reasoning": len(thought)}


def test_thinking_can_be_switched_for_one_call(scripted: Scripted) -> None:
    on, off = scripted("a"), scripted("a")
    with_thought = on.invoke("Hello", thinking=True).usage_metadata
    without = off.invoke("Hello", thinking=False).usage_metadata
    assert with_thought is not None
    assert without is not None
    assert without["input_tokens"] > with_thought["input_tokens"]  # the empty think block
    assert off.thinking is None


def test_stream_sums_to_invoke(scripted: Scripted) -> None:
    text = f"<think>\nHm.\n</think>\n\nLooking.\n{CALL}"
    chunks = list(scripted(text).bind_tools([get_weather]).stream("Weather?"))
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    whole = scripted(text).bind_tools([get_weather]).invoke("Weather?")
    assert total.content == whole.content == "Looking."
    assert total.additional_kwargs == whole.additional_kwargs == {"reasoning_content": "Hm."}
    assert total.usage_metadata == whole.usage_metadata
    assert [c["args"] for c in total.tool_calls] == [c["args"] for c in whole.tool_calls] == [CALLED]
    assert total.response_metadata["finish_reason"] == "tool_calls"
    assert sum(chunk.chunk_position == "last" for chunk in chunks if isinstance(chunk, AIMessageChunk)) == 1


def test_calls_survive_content_blocks(scripted: Scripted) -> None:
    llm = scripted(f"<think>\nHm.\n</think>\n\nLooking.\n{CALL}{CALL}", output_version="v1")
    chunks = list(llm.bind_tools([get_weather]).stream("Weather?"))
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert [block["type"] for block in total.content] == ["reasoning", "text", "tool_call", "tool_call"]
    assert [block["args"] for block in total.content[2:]] == [CALLED, CALLED]


def test_call_ids_differ_between_turns(scripted: Scripted) -> None:
    ids = {
        call["id"]
        for _ in range(2)
        for call in scripted(CALL + CALL).bind_tools([get_weather]).invoke("Weather?").tool_calls
    }
    assert len(ids) == 4


def test_damaged_call_is_kept_raw(scripted: Scripted) -> None:
    llm = scripted(CALL + CALL, thinking=False)
    tokens = len(llm._load().encode_prompt(CALL + CALL))
    message = llm.bind_tools([get_weather]).invoke("Weather?", max_tokens=tokens - 4)
    assert [call["args"] for call in message.tool_calls] == [CALLED]
    [damaged] = message.invalid_tool_calls
    assert CALL.startswith(str(damaged["args"]))
    assert message.response_metadata["finish_reason"] == "length"


@pytest.mark.parametrize("thinking", [False, True])
def test_a_named_tool_is_called(scripted: Scripted, thinking: bool) -> None:
    thought = "<think>\nHm.\n</think>\n\n" if thinking else ""
    called = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    llm = scripted(thought + called, thinking=thinking)
    message = llm.bind_tools([get_weather, now], tool_choice="get_weather").invoke("Hello")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Oslo"})
    ]
    assert message.additional_kwargs.get("reasoning_content", "") == ("Hm." if thinking else "")


def test_any_tool_is_called(scripted: Scripted) -> None:
    llm = scripted('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>', thinking=False)
    message = llm.bind_tools([get_weather, now], tool_choice="any").invoke("Hello")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("now", {})]


def test_no_tool_is_shown(scripted: Scripted) -> None:
    shown = scripted("a").bind_tools([now]).invoke("Hello").usage_metadata
    hidden = scripted("a").bind_tools([now], tool_choice="none").invoke("Hello").usage_metadata
    assert shown is not None
    assert hidden is not None
    assert hidden["input_tokens"] < shown["input_tokens"]


def test_unknown_tool_choice() -> None:
    with pytest.raises(InputError, match=r"'fly' is not among the tools \(now\)"):
        ChatQwen().bind_tools([now], tool_choice="fly")


@pytest.mark.parametrize("budget", [0, 3])
def test_thinking_budget_closes_the_thought(scripted: Scripted, budget: int) -> None:
    llm = scripted("<think>one two three four five six</think>\n\nDone.")
    message = llm.invoke("Hello", thinking_budget=budget)
    assert message.content == "Done."
    assert str(message.additional_kwargs["reasoning_content"]).endswith("based on the thinking directly now.")
    assert message.response_metadata["thinking_truncated"] is True
    assert message.response_metadata["finish_reason"] == "stop"


def test_a_thought_cut_off_says_so(scripted: Scripted) -> None:
    message = scripted("<think>one two three four five</think>", max_tokens=3).invoke("Hello")
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["thinking_truncated"] is True


def test_stop_ends_the_answer_but_no_thought(scripted: Scripted) -> None:
    text = "<think>\nNot END yet.\n</think>\n\nOne. END Two."
    message = scripted(text, stop=["nothing"]).invoke("Count", stop=["END"])
    assert message.content == "One. "
    assert message.additional_kwargs["reasoning_content"] == "Not END yet."
    assert message.response_metadata["finish_reason"] == "stop"


def test_structured_output(scripted: Scripted) -> None:
    body = json.dumps(CALLED, ensure_ascii=False)
    called = f'<tool_call>\n{{"name": "Weather", "arguments": {body}}}\n</tool_call>'
    calling = scripted(called, thinking=False).with_structured_output(Weather, method="function_calling")
    assert calling.invoke("Weather?") == Weather.model_validate(CALLED)
    writing = scripted(f"<think>\nHm.\n</think>\n\n{body}").with_structured_output(Weather, include_raw=True)
    result = writing.invoke("Weather?")
    assert result["parsed"] == Weather.model_validate(CALLED)
    assert result["raw"].additional_kwargs == {"reasoning_content": "Hm."}
    with pytest.raises(InputError, match="Unknown method 'guess'"):
        ChatQwen().with_structured_output(Weather, method="guess")


def test_messages_for_the_template() -> None:
    chat = [
        SystemMessage([{"type": "text", "text": "Be "}, "brief."]),
        HumanMessage("Weather?"),
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "Hm."},
                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
            ],
            tool_calls=[{"name": "get_weather", "args": CALLED, "id": "1"}],
        ),
        ToolMessage([{"type": "text", "text": "sunny"}], tool_call_id="1", status="error"),
        AIMessage("Sunny.", additional_kwargs={"reasoning_content": "So."}),
    ]
    assert to_template(chat) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"type": "function", "id": "1", "function": {"name": "get_weather", "arguments": CALLED}}
            ],
        },
        {"role": "tool", "content": "Error: sunny", "tool_call_id": "1"},
        {"role": "assistant", "content": "Sunny.", "reasoning_content": "So."},
    ]


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (HumanMessage([{"type": "image", "url": "http://localhost/a.png"}]), "type 'image'"),
        (RemoveMessage(id="1"), "RemoveMessage"),
    ],
)
def test_what_a_text_model_cannot_read(message: Any, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        to_template([message])


def test_a_whole_tool_loop_renders(scripted: Scripted) -> None:
    asked = scripted(CALL).bind_tools([get_weather]).invoke("Weather?")
    result = ToolMessage("sunny", tool_call_id=asked.tool_calls[0]["id"])
    answer = scripted("Sunny.").bind_tools([get_weather]).invoke([HumanMessage("Weather?"), asked, result])
    assert answer.content == "Sunny."


def test_settings_are_checked(scripted: Scripted, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="thinking_budget"):
        ChatQwen(thinking_budget=-1)
    with pytest.raises(ValidationError, match="empty string"):
        ChatQwen(stop=[""])
    with pytest.raises(ValidationError, match="temprature"):
        ChatQwen(temprature=1)
    with pytest.raises(InputError, match="Unknown setting 'temprature'"):
        scripted("a").invoke("Hello", temprature=1)
    with pytest.raises(InputError, match="temperature=-1 cannot be used"):
        scripted("a").invoke("Hello", temperature=-1)
    with pytest.raises(ModelNotFoundError):
        ChatQwen(model=str(tmp_path / "nothing")).invoke("Hello")
    with pytest.raises(InputTooLongError, match="context of 2048"):
        scripted("a").invoke("long " * 2048)


def test_names_of_the_model(tiny_qwen3_dir: Path) -> None:
    assert ChatQwen(model="4b").model == ChatQwen(model_name="Qwen/Qwen3-4B").model == "Qwen/Qwen3-4B"
    profile = ChatQwen(model="4b").profile
    assert profile is not None
    assert profile["max_input_tokens"] == 32768
    other = ChatQwen(model="4b", max_tokens=1).invoke("Hello", model=str(tiny_qwen3_dir))
    assert other.response_metadata["model_name"] == str(tiny_qwen3_dir)
