"""`ChatQwen`: LangChain's conformance class, and behaviour on a tiny Qwen3 whose choices are scripted."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
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
from torch import Tensor

from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.engine.loading import Loaded, load
from qwen_agentkit.errors import InputError, InputTooLongError, ModelNotFoundError
from qwen_agentkit.messages import to_template


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


class Script(torch.nn.Module):
    """A language model head that writes a script, one token at each choice, whatever the model thinks."""

    def __init__(self, loaded: Loaded, text: str) -> None:
        super().__init__()
        self._size = len(loaded.tokenizer)
        self.left = [*loaded.encode_prompt(text), loaded.token_id("<|im_end|>")]

    def forward(self, hidden: Tensor) -> Tensor:
        logits = torch.full((len(hidden), self._size), -1e4)
        logits[:, self.left.pop(0)] = 1e4
        return logits


Scripted = Callable[..., ChatQwen]


@pytest.fixture
def scripted(tiny_qwen3_dir: Path) -> Scripted:
    """A `ChatQwen` that writes the given text wherever the choice is the model's."""
    shared = load(str(tiny_qwen3_dir), device="cpu", dtype="float32")

    def make(text: str, **settings: Any) -> ChatQwen:
        loaded = replace(shared, model=copy.deepcopy(shared.model))
        loaded.model.lm_head = Script(loaded, text)
        llm = ChatQwen(model=str(tiny_qwen3_dir), **settings)
        llm._held[llm.model, None, None, None] = loaded
        return llm

    return make


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
    chunks = list(
        scripted(f"<think>\nHm.\n</think>\n\nLooking.\n{CALL}{CALL}", output_version="v1").stream("Weather?")
    )
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert [block["type"] for block in total.content] == ["reasoning", "text", "tool_call", "tool_call"]
    assert [block["args"] for block in total.content[2:]] == [CALLED, CALLED]


def test_call_ids_differ_between_turns(scripted: Scripted) -> None:
    ids = {
        call["id"]
        for _ in range(2)
        for call in scripted(CALL + CALL).invoke("Weather?", thinking=False).tool_calls
    }
    assert len(ids) == 4


def test_damaged_call_is_kept_raw(scripted: Scripted) -> None:
    damaged = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"\n</tool_call>'
    message = scripted(f"{damaged}\n{CALL}").invoke("Weather?", thinking=False)
    assert [call["args"] for call in message.tool_calls] == [CALLED]
    assert [call["args"] for call in message.invalid_tool_calls] == [damaged]


@pytest.mark.parametrize("thinking", [False, True])
def test_a_named_tool_is_called(scripted: Scripted, thinking: bool) -> None:
    thought = "Hm.\n</think>" if thinking else ""
    llm = scripted(f'{thought} {{"city": "Oslo"}}}}\n</tool_call>', thinking=thinking)
    message = llm.bind_tools([get_weather, print], tool_choice="get_weather").invoke("Hello")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Oslo"})
    ]
    assert message.additional_kwargs.get("reasoning_content", "") == ("Hm." if thinking else "")


def now() -> str:
    """Tell the time."""
    return "12:00"


def test_any_tool_is_called(scripted: Scripted) -> None:
    llm = scripted('now", "arguments": {}}\n</tool_call>', thinking=False)
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
    words = "one two three four five six"
    llm = scripted(f"<think>{words}</think>")
    script = llm._load().model.lm_head
    answer = iter([*llm._load().encode_prompt("Done."), llm._load().token_id("<|im_end|>")])
    assert isinstance(script, Script)
    script.left = [*script.left[: budget + 1], *answer]
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
    class Weather(BaseModel):
        """Weather of a city."""

        city: str
        days: int

    body = json.dumps(CALLED, ensure_ascii=False)
    calling = scripted(f" {body}}}\n</tool_call>", thinking=False).with_structured_output(Weather)
    assert calling.invoke("Weather?") == Weather.model_validate(CALLED)
    writing = scripted(body).with_structured_output(Weather, method="json_schema")
    assert writing.invoke("Weather?") == Weather.model_validate(CALLED)
    raw = scripted("no JSON").with_structured_output(Weather, method="json_mode", include_raw=True)
    result = raw.invoke("Weather?")
    assert result["raw"].content == "no JSON"
    assert result["parsed"] is None
    assert result["parsing_error"] is not None
    with pytest.raises(InputError, match="Unknown method 'guess'"):
        ChatQwen().with_structured_output(Weather, method="guess")  # type: ignore[arg-type]


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
            "tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": CALLED}}],
        },
        {"role": "tool", "content": "sunny"},
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
        ChatQwen(temprature=1)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="Unknown setting 'temprature'"):
        scripted("a").invoke("Hello", temprature=1)
    with pytest.raises(ValidationError, match="temperature"):
        scripted("a").invoke("Hello", temperature=-1)
    with pytest.raises(ModelNotFoundError):
        ChatQwen(model=str(tmp_path / "nothing")).invoke("Hello")
    with pytest.raises(InputTooLongError, match="context of 2048"):
        scripted("a").invoke("long " * 2048)


def test_names_of_the_model(tiny_qwen3_dir: Path) -> None:
    assert ChatQwen(model="4b").model == ChatQwen(model_name="Qwen/Qwen3-4B").model == "Qwen/Qwen3-4B"  # type: ignore[call-arg]
    profile = ChatQwen(model="4b").profile
    assert profile is not None
    assert profile["max_input_tokens"] == 32768
    other = ChatQwen(model="4b", max_tokens=1).invoke("Hello", model=str(tiny_qwen3_dir))
    assert other.response_metadata["model_name"] == str(tiny_qwen3_dir)


def endless(llm: ChatQwen) -> list[int]:
    """Make the model write for ever; returns a list that grows by one at each step."""
    steps: list[int] = []

    def again(module: torch.nn.Module, given: Any) -> None:
        assert isinstance(module, Script)
        steps.append(1)
        module.left = [100]

    llm._load().model.lm_head.register_forward_pre_hook(again)
    return steps


def test_closing_a_stream_stops_computing(scripted: Scripted) -> None:
    llm = scripted("a", thinking=False)
    steps = endless(llm)
    stream: Iterator[Any] = llm.stream("Hello")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(steps) <= 2


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_an_async_stream_stops_computing(scripted: Scripted, how: str) -> None:
    llm = scripted("a", thinking=False)
    steps = endless(llm)
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
