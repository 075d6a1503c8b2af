"""Streams that are left, cancelled, and run at once; several answers of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.messages import (
    HumanMessage,
)
from pydantic import ValidationError

from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import InputError
from tests.fakes.scripted_chat import Scripted

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
