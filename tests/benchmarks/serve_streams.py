"""A thousand open streams, and how soon the server is free when their clients go."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.benchmarks.http_line import Line, asked
from tests.benchmarks.machine import say
from tests.benchmarks.work import Effort

STREAMS = 1000


async def measure_streams(port: int, effort: Effort) -> dict[str, Any]:
    """Seconds to open a thousand streams, and to free the server when their clients go."""
    count = effort.few(STREAMS)
    start = time.perf_counter()
    lines = [Line(port) for _ in range(count)]
    question = asked("When does the library open? " * 20, stream=True)

    async def begin(line: Line) -> int:
        await line.send("POST", "/v1/chat/completions", question)
        status, _ = await line.read_head()
        await line.read_part()
        return status

    statuses = await asyncio.gather(*map(begin, lines))
    opened = time.perf_counter() - start
    waiting = await _figure(port, "qwen_agentkit_waiting_questions")
    for line in lines:
        line.close()
    left = time.perf_counter()
    while await _figure(port, "qwen_agentkit_waiting_questions") + await _figure(
        port, "qwen_agentkit_running_answers"
    ):
        await asyncio.sleep(0.02)
    found = {
        "streams": count,
        "opened": sum(status == 200 for status in statuses),
        "seconds_to_open": round(opened, 2),
        "waiting_when_all_were_open": waiting,
        "seconds_to_free": round(time.perf_counter() - left, 2),
    }
    say(f"  streams: {found}")
    return found


async def _figure(port: int, name: str) -> float:
    line = Line(port)
    text = (await line.ask("GET", "/metrics")).decode()
    line.close()
    return float(next(row.split()[-1] for row in text.splitlines() if row.startswith(f"{name} ")))
