"""One conversation in this process and on servers: the same messages but for what one of them cannot know."""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel

from qwen_agentkit.chat_models import ChatQwen
from tests.fakes.scripted_chat import Scripted
from tests.fakes.server import URL, Serve, call, delta, sse, usage

CHAT = "/v1/chat/completions"

Told = tuple[str, str, dict[str, Any] | None]  # thought, answer, arguments of a call


class Ticket(BaseModel):
    title: str
    hours: int


def get_weather(city: str, days: int = 1) -> str:
    """Get the weather of a city."""
    return f"{city}: {days}"


def spelled(thought: str, answer: str, arguments: dict[str, Any] | None) -> str:
    """What the model writes."""
    text = f"<think>\n{thought}\n</think>\n\n{answer}"
    if arguments is None:
        return text
    days, city = arguments["days"], arguments["city"]
    written = f'{{"name": "get_weather", "arguments": {{"city": "{city}", "days": {days}}}}}'
    return f"{text}<tool_call>\n{written}\n</tool_call>"


def streamed(owner: str, thought: str, answer: str, arguments: dict[str, Any] | None) -> Any:
    """What a server makes of it, with a parser of its own; Ollama sends calls whole."""
    key = "reasoning" if owner in ("vllm", "library") else "reasoning_content"
    chunks = [
        delta(role="assistant", content=""),
        *(delta(**{key: part}) for part in (thought[:3], thought[3:])),
    ]
    chunks += [delta(content=part) for part in (answer[:4], answer[4:]) if part]
    if arguments is not None:
        city, days = arguments["city"], arguments["days"]
        pieces = [f'{{"city": "{city}",', f' "days": {days}}}']
        if owner == "library":
            chunks.append(delta(tool_calls=[call(0, "get_weather", "".join(pieces), "call_7")]))
        else:
            chunks.append(delta(tool_calls=[call(0, "get_weather", pieces[0], "call_7")]))
            chunks.append(delta(tool_calls=[call(0, None, pieces[1])]))
    counts = {
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    end = delta("stop" if arguments is None else "tool_calls")
    return sse([*chunks, end, usage(9, 12, **counts)])


@pytest.fixture(params=["vllm", "sglang", "llamacpp", "library", "raw"])
def models(request: pytest.FixtureRequest, scripted: Scripted, serve: Serve) -> Any:
    """Two models that write the same: in this process, and on a server of one kind; "raw" has no parsers."""

    def make(told: Told) -> tuple[ChatQwen, ChatQwen]:
        owner = "vllm" if request.param == "raw" else request.param
        reply = streamed(owner, *told)
        if request.param == "raw":
            text = spelled(*told)
            halves = [
                delta(role="assistant", content=""),
                delta(content=text[:9]),
                delta("stop", content=text[9:]),
            ]
            reply = sse([*halves, usage(9, 12)])
        serve({CHAT: reply}, owner=owner)
        there = ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, temperature=0)
        return scripted(spelled(*told)), there

    return make


ANSWER: Told = ("A capital.", "Paris 🗼", None)
CALLING: Told = ("I look.", "", {"city": "القاهرة", "days": 2})
OBJECT: Told = ("An object.", '{"title": "door", "hours": 3}', None)


def alike(here: AIMessage, there: AIMessage) -> None:
    """Check all that a caller can read; ids and counts differ in value, never in form."""
    assert type(here) is type(there)
    assert here.content == there.content
    assert here.additional_kwargs == there.additional_kwargs
    assert here.content_blocks == [
        {**block, "id": own["id"]} if "id" in block and "id" in own else block
        for block, own in zip(there.content_blocks, here.content_blocks, strict=True)
    ]
    for one, other in (
        (here.tool_calls, there.tool_calls),
        (here.invalid_tool_calls, there.invalid_tool_calls),
    ):
        assert [{**entry, "id": ""} for entry in one] == [{**entry, "id": ""} for entry in other]
    for message in (here, there):
        assert re.fullmatch(r"lc_run--[0-9a-f-]+", (message.id or "").removesuffix("-0"))
        assert all(re.fullmatch(r"call_[0-9a-f]{32}", entry["id"]) for entry in message.tool_calls)
    names = {**here.response_metadata, "model_name": ""}
    assert names == {**there.response_metadata, "model_name": ""}
    assert here.usage_metadata is not None
    assert there.usage_metadata is not None
    assert here.usage_metadata.keys() >= there.usage_metadata.keys() >= {"input_tokens", "output_tokens"}
    total = there.usage_metadata
    assert total["total_tokens"] == total["input_tokens"] + total["output_tokens"]


def summed(llm: Any, messages: Any) -> AIMessageChunk:
    parts = list(llm.stream(messages))
    assert all(type(part) is AIMessageChunk for part in parts)
    assert parts[-1].chunk_position == "last"
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return whole


@pytest.mark.parametrize("told", [ANSWER, CALLING], ids=["answer", "call"])
def test_a_turn(models: Any, told: Told) -> None:
    here, there = (llm.bind_tools([get_weather]).invoke("Cairo?") for llm in models(told))
    alike(here, there)
    assert here.additional_kwargs == {"reasoning_content": told[0]}
    assert [entry["args"] for entry in here.tool_calls] == ([told[2]] if told[2] else [])


@pytest.mark.parametrize("told", [ANSWER, CALLING], ids=["answer", "call"])
def test_a_streamed_turn(models: Any, told: Told) -> None:
    here, there = (summed(llm.bind_tools([get_weather]), "Cairo?") for llm in models(told))
    alike(here, there)


def test_the_turn_after_a_tool_result(models: Any) -> None:
    first = models(CALLING)[0].bind_tools([get_weather]).invoke("Cairo?")
    result = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])
    turns = [HumanMessage("Cairo?"), first, result]
    here, there = (llm.bind_tools([get_weather]).invoke(turns) for llm in models(ANSWER))
    alike(here, there)


def test_an_object(models: Any) -> None:
    both = [
        llm.with_structured_output(Ticket, include_raw=True).invoke("The door.") for llm in models(OBJECT)
    ]
    here, there = both
    assert here["parsed"] == there["parsed"] == Ticket(title="door", hours=3)
    assert here["parsing_error"] is there["parsing_error"] is None
    alike(here["raw"], there["raw"])
