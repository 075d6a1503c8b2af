"""How long the files of the page take, alone and while questions are answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from qwen_agentkit.cli.commands import load_demo_questions
from qwen_agentkit.serve.page_files import page_files
from tests.benchmarks.http_line import Line, asked
from tests.benchmarks.machine import say
from tests.benchmarks.work import Effort

READERS, ASKING = 64, 8
PAUSE = 1.0
"""Seconds between two views of the page by one reader."""


async def measure_page(port: int, effort: Effort) -> dict[str, Any]:
    """Milliseconds of the page's files for 64 readers, with 8 asking and with none."""
    known = [one["question"] for one in load_demo_questions()]
    words = [path for path in page_files() if "/words/" in path and not path.endswith("/en.json")]
    paths = [path for path in page_files() if path not in words]
    found = {}
    for asking in (0, ASKING):
        times: list[float] = []
        answered = 0
        end = time.perf_counter() + (2 if effort.quick else 10)

        async def read(number: int, times: list[float] = times, end: float = end) -> None:
            line = Line(port)
            await asyncio.sleep(PAUSE * number / READERS)
            while time.perf_counter() < end:
                for path in paths:
                    start = time.perf_counter()
                    await line.ask("GET", path)
                    times.append(time.perf_counter() - start)
                await asyncio.sleep(PAUSE)
            line.close()

        async def ask(number: int, end: float = end) -> int:
            line, count = Line(port), 0
            while time.perf_counter() < end:
                question = f"{number}.{count}: {known[(number + count) % len(known)]}"
                await line.ask("POST", "/v1/chat/completions", asked(question))
                count += 1
            line.close()
            return count

        results = await asyncio.gather(*map(ask, range(asking)), *map(read, range(READERS)))
        answered = sum(count for count in results if count)
        times.sort()
        found[f"{asking}_asking"] = {
            "files": len(times),
            "answers": answered,
            "milliseconds": {
                name: round(1000 * times[int(part * (len(times) - 1))], 1)
                for name, part in (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("most", 1.0))
            },
        }
    say(f"  page: {found}")
    return found
