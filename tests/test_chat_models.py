"""`ChatQwen`: LangChain's conformance class, and behaviour on a tiny Qwen3 that is made to want a text."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.exceptions import OutputParserException
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
from pydantic import BaseModel, ValidationError

from qwen_agentkit.chat.messages import to_template
from qwen_agentkit.chat.threads import side_by_side
from qwen_agentkit.chat.tool_choice import read_choice
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import InputError, InputTooLongError, ModelNotFoundError
from tests.fakes.scripted_chat import Scripted


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


def get_weather(city: str, days: int = 1) -> str:
    """Get the weather of a city."""
    return f"{city}: {days}"


CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "القاهرة", "days": 2}}\n</tool_call>'
CALLED = {"city": "القاهرة", "days": 2}


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


def now() -> str:
    """Tell the time."""
    return "12:00"


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


class Weather(BaseModel):
    """Weather of a city."""

    city: str
    days: int


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


ENDLESS = " ".join(map(str, range(400)))


def steps_of(llm: ChatQwen) -> list[int]:
    """Return a list that grows by one at each step of the model."""
    steps: list[int] = []

    def count(module: torch.nn.Module, given: Any) -> None:
        steps.append(1)

    llm._load().model.lm_head.register_forward_pre_hook(count)
    return steps


def test_closing_a_stream_stops_computing(scripted: Scripted) -> None:
    llm = scripted(ENDLESS, thinking=False)
    steps = steps_of(llm)
    stream: Iterator[Any] = llm.stream("Hello")
    next(stream)
    stream.close()
    assert len(steps) <= 2


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_an_async_stream_stops_computing(scripted: Scripted, how: str) -> None:
    llm = scripted(ENDLESS, thinking=False)
    steps = steps_of(llm)
    if how == "close":
        stream: Any = llm.astream("Hello")
        await anext(stream)
        await stream.aclose()
    else:
        task = asyncio.create_task(llm.ainvoke("Hello"))
        while len(steps) < 3:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.05)
    after = len(steps)
    await asyncio.sleep(0.1)
    assert len(steps) == after


async def test_the_event_loop_stays_free(scripted: Scripted) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    llm = scripted("<think>\nHm.\n</think>\n\n" + "word " * 50)
    message = await llm.ainvoke("Hello")
    ticking.cancel()
    assert str(message.content).startswith("word word")
    assert ticks > 50


async def test_async_errors_arrive(scripted: Scripted) -> None:
    with pytest.raises(InputError, match="Unknown setting"):
        await scripted("a").ainvoke("Hello", temprature=1)


async def test_many_streams_run_at_once(scripted: Scripted) -> None:
    llm = scripted("one two three", thinking=False)
    began = 0

    async def read() -> None:
        nonlocal began
        stream = llm.astream("Hello")
        await anext(stream)
        began += 1
        while began < 64:  # none may wait for another to end
            await asyncio.sleep(0.005)
        await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator

    await asyncio.wait_for(asyncio.gather(*(read() for _ in range(64))), 60)


@pytest.mark.parametrize("how", ["generate", "agenerate"])
async def test_several_answers(tiny_qwen3_dir: Path, how: str) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), n=3, seed=7, max_tokens=6, thinking=False)
    chat = [[HumanMessage("Hello")]]
    result = llm.generate(chat) if how == "generate" else await llm.agenerate(chat)
    messages: list[Any] = [generation.message for generation in result.generations[0]]
    alone = [llm.invoke(chat[0], n=1, seed=seed).content for seed in (7, 8, 9)]
    assert [message.content for message in messages] == alone
    assert len(set(alone)) == 3
    used = [message.usage_metadata["output_tokens"] for message in messages]
    assert used == [6, 6, 6]
    assert result.llm_output is not None
    with pytest.raises(InputError, match="Stream with n=1"):
        next(llm.stream("Hello"))
    with pytest.raises(ValidationError, match="n\n"):
        ChatQwen(n=0)


def test_tokens_from_the_cache_are_counted(scripted: Scripted) -> None:
    llm = scripted("one", thinking=False)
    first, again = (llm.invoke("A word that was not said before").usage_metadata for _ in range(2))
    assert first is not None
    assert again is not None
    assert again["input_token_details"]["cache_read"] > first["input_token_details"]["cache_read"]
    assert again["input_token_details"]["cache_read"] <= again["input_tokens"]


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
