"""Against a real socket on this machine: one pool of connections, cut and silent streams, cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import ServerAnswerError, ServerTimeoutError
from qwen_agentkit.server.http import Server
from tests.fakes.loopback import SEPARATED, Handler

pytestmark = pytest.mark.enable_socket


def chat(address: str, timeout: float = 10) -> ChatQwen:
    return ChatQwen(model="served", base_url=address, timeout=timeout, max_retries=0)


def test_connections_are_kept_and_shared(address: str) -> None:
    assert [chat(address).invoke(f"one two {n}").content for n in range(5)] == [
        f"one two {n} " for n in range(5)
    ]
    assert len(Handler.connections) == 1


def test_sixty_four_calls_at_once(address: str) -> None:
    llm = chat(address)
    llm.invoke("first")
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: llm.invoke(f"word {n}").content, range(64)))
    assert answers == [f"word {n} " for n in range(64)]


def test_waiting_for_the_end_harms_no_other_call(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "qwen_agentkit.server.events._LAST_WAIT", 0.003
    )  # as long as it takes the end to come, here
    llm = chat(address)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: llm.invoke(f"word {n}").content, range(400)))
    assert answers == [f"word {n} " for n in range(400)]


def test_a_stream_that_is_closed_closes_its_connection(address: str) -> None:
    stream = chat(address).stream("endless")
    assert next(stream).content == "on "
    stream.close()  # type: ignore[attr-defined]  # a generator, typed as an iterator
    assert Handler.gone.wait(30)


async def test_an_async_stream_leaves_the_loop_free_and_can_be_cancelled(address: str) -> None:
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for _ in chat(address).astream("endless"):
            seen += 1

    task = asyncio.create_task(read())
    pauses = []
    while seen < 5:
        start = time.perf_counter()
        await asyncio.sleep(0.001)
        pauses.append(time.perf_counter() - start)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(Handler.gone.wait, 30)
    assert len(pauses) > 5


@pytest.mark.parametrize("how", ["hangs", "stalls"])
async def test_cancelling_closes_the_connection_of_a_silent_server(address: str, how: str) -> None:
    llm = chat(address, timeout=60)
    await llm.ainvoke("first")  # the request to cancel goes through a connection that is there
    Handler.asked.clear()
    task = asyncio.create_task(llm.ainvoke(how))
    await asyncio.to_thread(Handler.asked.wait, 30)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(Handler.gone.wait, 30)
    assert (await llm.ainvoke("again")).content == "again "


def test_an_answer_that_is_cancelled_ends_without_an_error(address: str) -> None:
    cancelled = threading.Event()
    body = {"messages": [{"role": "user", "content": "stalls"}]}
    with Server(address).stream("/v1/chat/completions", body, cancelled) as chunks:
        next(chunks)
        cancelled.set()
        assert list(chunks) == []


def test_a_stream_of_nothing_but_comments_times_out(address: str) -> None:
    with pytest.raises(ServerTimeoutError, match="comments"):
        chat(address, timeout=0.3).invoke("stalls loudly")


def test_a_silent_stream_times_out(address: str) -> None:
    with pytest.raises(ServerTimeoutError, match=r"silent for 0\.2 s"):
        chat(address, timeout=0.2).invoke("silent")


@pytest.mark.parametrize("end", ["lingers", "goes on"])
def test_what_follows_the_last_word_is_not_waited_for(address: str, end: str) -> None:
    Handler.ended.clear()
    assert chat(address, timeout=60).invoke(end).content == f"{end} "
    assert not Handler.ended.is_set(), "the client waited for the end of the stream"
    assert chat(address).invoke("again").content == "again "


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_in_three_ways_wherever_pieces_are_cut(address: str, end: str) -> None:
    assert chat(address).invoke(end).content == SEPARATED


def test_a_cut_stream_is_no_answer(address: str) -> None:
    stream = chat(address).stream("cut")
    assert next(stream).content == "cut "
    with pytest.raises(ServerAnswerError, match="broke off before the answer was complete"):
        list(stream)
