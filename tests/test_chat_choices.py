"""Limits, stops and the choice of tools, from the first token to the parsed message."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel

from qwen_agentkit.chat.threads import side_by_side
from qwen_agentkit.chat.tool_choice import read_choice
from qwen_agentkit.chat_models import ChatQwen
from tests.fakes.scripted_chat import Scripted
from tests.fakes.weather import CALL, CALLED, Weather, get_weather, now

ENDLESS = " ".join(map(str, range(400)))


def test_a_thought_leaves_room_for_the_answer(scripted: Scripted) -> None:
    llm = scripted(f"<think>\n{ENDLESS}\n</think>\n\nDone.", max_tokens=80)
    message = llm.invoke("Hello")
    assert message.content == "Done."
    assert str(message.additional_kwargs["reasoning_content"]).endswith("based on the thinking directly now.")
    assert message.response_metadata["thinking_truncated"] is True
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata is not None
    assert 56 < message.usage_metadata["output_tokens"] <= 80
    budget = llm.invoke("Hello", thinking_budget=9).usage_metadata
    assert budget is not None
    assert budget["output_token_details"]["reasoning"] < 50


def test_the_end_of_the_context_is_a_limit_too(scripted: Scripted) -> None:
    llm = scripted(f"<think>\n{ENDLESS}\n</think>\n\nDone.")
    message = llm.invoke("word " * 1900)
    assert message.content == "Done."
    assert message.response_metadata["thinking_truncated"] is True


@pytest.mark.parametrize("stop", ["\n", "\n\n"])
def test_a_newline_may_end_an_answer_after_a_thought(scripted: Scripted, stop: str) -> None:
    message = scripted("<think>\nHm.\n\nYes.\n</think>\n\nOne.\n\nTwo").invoke("Hello", stop=[stop])
    assert message.content == "One."
    assert message.additional_kwargs["reasoning_content"] == "Hm.\n\nYes."


def test_half_a_character_in_a_tool_is_no_error(scripted: Scripted) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "a\ud83d", "parameters": {}}}
    assert scripted("Yes.", thinking=False).bind_tools([tool]).invoke("Hello").content == "Yes."


def test_without_tools_nothing_is_called(scripted: Scripted) -> None:
    text = "It is the `<tool_call>` tag; then\ntext goes on."
    message = scripted(text, thinking=False).invoke("Hello")
    assert message.content == text
    assert not message.tool_calls
    assert not message.invalid_tool_calls


def test_a_choice_of_none_is_held(tiny_qwen3_dir: Path) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), temperature=0, thinking=False, max_tokens=12)
    head, tag = llm._load().model.lm_head, llm._load().token_id("<tool_call>")

    def only_calls(module: Any, args: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, torch.tensor([tag]), 1e4)

    hook = head.register_forward_hook(only_calls)
    try:
        offered = llm.bind_tools([get_weather], tool_choice="none").invoke("Weather in Cairo?")
        assert "<tool_call>" not in offered.text
        assert "<tool_call>" in llm.invoke("Weather in Cairo?").text
    finally:
        hook.remove()


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_half_an_object_is_an_error(scripted: Scripted, method: Any) -> None:
    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    whole = '{"name": "Ali", "age": 35}'
    call = f'<tool_call>\n{{"name": "Person", "arguments": {whole}}}\n</tool_call>'
    llm = scripted(whole if method == "json_schema" else call, thinking=False)
    person = llm.with_structured_output(Person, method=method)
    assert person.invoke("Who?") == Person(name="Ali", age=35)
    cut = llm.with_structured_output(Person, method=method, stop=["5"])
    with pytest.raises(OutputParserException, match="before its object was complete"):
        cut.invoke("Who?")
    raw = llm.with_structured_output(Person, method=method, stop=["5"], include_raw=True).invoke("Who?")
    assert raw["parsed"] is None
    assert "complete" in str(raw["parsing_error"])


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ({"type": "any"}, "any"),
        ({"type": "none"}, "none"),
        ({"type": "auto"}, "auto"),
        ({"type": "tool", "name": "f"}, "f"),
        ({"type": "function", "function": {"name": "g"}}, "g"),
    ],
)
def test_a_choice_may_come_in_anybodys_form(choice: dict[str, Any], read: str) -> None:
    assert read_choice(choice, ["f", "g"]) == read


def test_one_failure_ends_the_answers_beside_it() -> None:
    def waits(cancelled: threading.Event) -> bool:
        assert cancelled.wait(30)
        raise RuntimeError("cancelled")  # which is not what went wrong

    def fails(cancelled: threading.Event) -> bool:
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        side_by_side([waits, fails])


def test_a_named_tool_may_be_called_twice(scripted: Scripted) -> None:
    llm = scripted(f"{CALL}\n{CALL}", thinking=False)
    twice = llm.bind_tools([get_weather, now], tool_choice="get_weather")
    assert [call["args"] for call in twice.invoke("Hello").tool_calls] == [CALLED, CALLED]
    once = llm.bind_tools([get_weather, now], tool_choice="get_weather", parallel_tool_calls=False)
    assert [call["args"] for call in once.invoke("Hello").tool_calls] == [CALLED]
    assert [call["args"] for call in twice.invoke("Hello", parallel_tool_calls=False).tool_calls] == [CALLED]


def test_a_call_in_free_text_is_held_to_its_tool(scripted: Scripted) -> None:
    wrong = '<tool_call>\n{"name": "fly", "arguments": {"planet": 3}}\n</tool_call>'
    message = scripted(f"Looking. {wrong}", thinking=False).bind_tools([now]).invoke("Hello")
    assert message.content == "Looking. "
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("now", {})]
    assert message.invalid_tool_calls == []
    drafted = f"<think>\nMaybe {wrong}\n</think>\n\nNo need."
    message = scripted(drafted).bind_tools([now]).invoke("Hello")
    assert (message.content, message.tool_calls) == ("No need.", [])
    assert wrong in str(message.additional_kwargs["reasoning_content"])


def test_tools_or_an_object(scripted: Scripted) -> None:
    schema = Weather.model_json_schema()
    wanted = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "Weather", "schema": schema}}
    }
    body = json.dumps(CALLED, ensure_ascii=False)
    answering = scripted(body, thinking=False).bind_tools([now], strict=True, **wanted).invoke("Weather?")
    assert json.loads(str(answering.content)) == CALLED
    assert answering.response_metadata["finish_reason"] == "stop"
    calling = scripted('<tool_call>\n{"name": "now", "arguments": {}}', thinking=False)
    message = calling.bind_tools([now], **wanted).invoke("Weather?")
    assert (message.content, [call["name"] for call in message.tool_calls]) == ("", ["now"])
