"""What `/v1/chat/completions` costs beside the graph in a process of its own."""

from __future__ import annotations

import statistics
import time
from typing import Any

import psutil
from langchain_core.messages import HumanMessage

from qwen_agentkit.cli.commands import load_demo_questions
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.stack import Stack
from tests.benchmarks.http_line import Line, asked, run_at_once
from tests.benchmarks.machine import say
from tests.benchmarks.work import Effort

AT_ONCE = (1, 8)


async def measure_chat(port: int, server: int, stack: Stack, effort: Effort) -> dict[str, Any]:
    """Questions a second over the API, as a share of those of the graph in this process, in turn.

    While the one works, the other waits. The share of processor time is the steadier one: other programs on
    the machine hardly change it.

    Args:
        port: Of the server.
        server: Its process.
        stack: The same models and passages, for this process.
        effort: How much to do.
    """
    known = [one["question"] for one in load_demo_questions()]
    found: dict[str, Any] = {}
    with stack.store() as store:
        graph = create_rag_graph(stack.answering, store, reranker=stack.reranker)
        lines: list[Line] = []

        async def ask_graph(question: str) -> None:
            await graph.ainvoke({"messages": [HumanMessage(question)]})

        async def ask_server(question: str) -> None:
            line = lines.pop()
            await line.ask("POST", "/v1/chat/completions", asked(question))
            lines.append(line)

        for at_once in AT_ONCE:
            seconds: dict[str, list[float]] = {"graph": [], "server": []}
            busy: dict[str, list[float]] = {"graph": [], "server": []}
            for turn in range(effort.rounds + 1):  # the first warms up
                # New in each turn, since a question that was asked before costs less.
                questions = [f"{turn}.{n}: {known[n % len(known)]}" for n in range(effort.few(48))]
                for who, ask, process in (
                    ("graph", ask_graph, psutil.Process()),
                    ("server", ask_server, psutil.Process(server)),
                ):
                    # New connections: the server closes those that were idle for five seconds.
                    lines[:] = [Line(port) for _ in range(at_once)]
                    start, used = time.perf_counter(), _processor_seconds(process)
                    await run_at_once(ask, questions, at_once)
                    seconds[who].append(time.perf_counter() - start)
                    busy[who].append(_processor_seconds(process) - used)
                    for line in lines:
                        line.close()
            found[f"{at_once}_at_once"] = {
                "questions_a_second": {
                    who: round(len(questions) / min(each[1:]), 1) for who, each in seconds.items()
                },
                "share": _shares(seconds),
                "share_of_processor_time": _shares(busy),
            }
    say(f"  chat: {found}")
    return found


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _shares(seconds: dict[str, list[float]]) -> dict[str, float]:
    """What the graph needs of what the server needs: the median, the least and the most of the turns."""
    each = [graph / server for graph, server in zip(seconds["graph"][1:], seconds["server"][1:], strict=True)]
    shares = {"median": statistics.median(each), "least": min(each), "most": max(each)}
    return {name: round(share, 2) for name, share in shares.items()}
