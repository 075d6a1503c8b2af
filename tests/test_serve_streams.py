"""A thousand open streams: answered, waiting or refused, and freed when their clients go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from qwen_agentkit.cli import hosting
from qwen_agentkit.serve.running import Runner
from qwen_agentkit.stack import Stack
from tests.serve_site import QUESTION, Connection, Site, served
from tests.test_serve_threads import Typist

ASKED = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
PATH = "/v1/chat/completions"


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1200):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")


def runner_of(site: Site, most: int, most_waiting: int) -> Runner:
    """The runner of a site, with other limits."""
    runner: Runner = site.app.state.service.runner
    runner.__init__(runner.library, most, most_waiting)  # type: ignore[misc]  # nothing runs yet
    return runner


async def test_a_thousand_streams_wait_and_are_freed_when_their_clients_go(own_stack: Stack) -> None:
    model = Typist()
    async with served(own_stack, model=model) as site, site.client() as client:
        runner = runner_of(site, 2, 1000)
        streams = [Connection(site.app, PATH, ASKED) for _ in range(1002)]
        await until(lambda: runner.running == 2 and runner.waiting == 1000)
        await asyncio.gather(*(one.read_until(b'"role": "assistant"') for one in streams))
        refused = await client.post(PATH, json=ASKED)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["error"]["code"] == "busy"
        figures = (await client.get("/metrics")).text
        assert "qwen_agentkit_waiting_questions 1000.0" in figures
        assert (await client.get("/health")).status_code == 200
        for one in streams:
            one.go()
        await asyncio.gather(*(one.task for one in streams))
        assert (runner.running, runner.waiting) == (0, 0)
        assert not runner._places.locked()
        # All places are free again: the next two questions do not wait.
        again = [Connection(site.app, PATH, ASKED) for _ in range(2)]
        await until(lambda: runner.running == 2)
        assert runner.waiting == 0
        for one in again:
            one.go()
        await asyncio.gather(*(one.task for one in again))


async def begin_in_order(
    site: Site, runner: Runner, path: str, body: dict[str, Any], count: int
) -> list[Connection]:
    """Streams of which the first is answered and each other waits behind those before it."""
    streams = []
    for number in range(count):
        streams.append(Connection(site.app, path, body))
        await until(lambda number=number: runner.running + runner.waiting == number + 1)  # type: ignore[misc]  # default
    return streams


async def test_who_came_first_is_answered_first(own_stack: Stack) -> None:
    model = Typist()
    async with served(own_stack, model=model) as site:
        runner = runner_of(site, 1, 10)
        streams = await begin_in_order(site, runner, PATH, ASKED, 4)
        for number, one in enumerate(streams):
            await until(lambda number=number: (runner.running, runner.waiting) == (1, 3 - number))  # type: ignore[misc]  # default
            model._permits.release(10)  # a thread of one before takes a permit before it ends
            await one.read_until(b"word.")  # it is this one's turn
            one.go()
            await one.task
        assert runner.running == 0


async def test_the_page_is_told_how_many_questions_come_first(own_stack: Stack) -> None:
    async with served(own_stack, model=Typist()) as site, site.client() as client:
        runner = runner_of(site, 1, 10)
        id = (await client.post("/api/conversations", json={"title": QUESTION})).json()["id"]
        path, body = f"/api/conversations/{id}/ask", {"question": QUESTION, "graph": "rag"}
        streams = await begin_in_order(site, runner, path, body, 3)
        await streams[1].read_until(b'{"type": "waiting", "before": 0}')
        await streams[2].read_until(b'{"type": "waiting", "before": 1}')
        for one in streams:
            one.go()
        await asyncio.gather(*(one.task for one in streams))
        assert runner.waiting == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_server_may_open_a_thousand_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.append(pair))
    for given, wanted in (
        ((1024, 4096), [(4096, 4096)]),
        ((1024, resource.RLIM_INFINITY), [(8192, resource.RLIM_INFINITY)]),
        ((100_000, 200_000), []),
        ((256, 256), []),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, given=given: given)
        del limits[:]
        hosting._allow_many_connections()
        assert limits == wanted
