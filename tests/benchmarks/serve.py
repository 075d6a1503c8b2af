"""`qwen-agentkit serve` with the nano models and the handbook, over sockets on this machine.

What its API costs beside the graph in a process, how long the page's files take while questions are answered,
embeddings beside another server of the same checkpoint, and a thousand open streams. The client is a few
lines of asyncio, so that it takes little of the cores that it shares with the server.

    INFINITY=/path/to/infinity_emb python -m tests.benchmarks serve

INFINITY names the command of infinity-emb in an environment of its own; without it nothing is beside our
embeddings.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.cli.commands import handbook_folder, ingest, load_demo_questions
from qwen_agentkit.graphs import create_rag_graph
from qwen_agentkit.serve.page_files import page_files
from qwen_agentkit.stack import Stack
from tests.benchmarks.machine import machine, say
from tests.benchmarks.work import Effort

READERS, ASKING, STREAMS = 64, 8, 1000
PAUSE = 1.0
"""Seconds between two views of the page by one reader."""


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack("nano", Path(folder, "store"))
        ingest(stack, [handbook_folder()])
        shutil.copytree(stack.folder, Path(folder, "served"))
        with _served(Path(folder, "served")) as port:
            results = {
                "chat": asyncio.run(_chat(port, stack, effort)),
                "page": asyncio.run(_page(port, effort)),
                "embeddings": _embeddings(port, effort, Path(folder)),
                "streams": asyncio.run(_streams(port, effort)),
            }
    return {**machine(), **results}


class Line:
    """One connection to a server, which is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, method: str, path: str, body: Any = None) -> None:
        """Send a request."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\naccept-encoding: gzip\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        await self._writer.drain()

    async def read_head(self) -> tuple[int, int | None]:
        """Read the head of an answer: its status and its length; None for a stream."""
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next((line.split(":")[1] for line in head if line.startswith("content-length:")), None)
        return int(head[0].split()[1]), None if length is None else int(length)

    async def read_part(self) -> bytes:
        """Read one piece of a stream."""
        assert self._reader is not None
        size = int((await self._reader.readline()).strip(), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request and read its whole answer."""
        await self.send(method, path, body)
        status, length = await self.read_head()
        assert self._reader is not None
        content = await self._reader.readexactly(length or 0)
        if status != 200:
            raise RuntimeError(f"{method} {path} was answered with {status}: {content!r}")
        return content

    def close(self) -> None:
        """Go, without a word."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """Start a server, and yield its port once its models are in memory."""
    command = [sys.executable, "-m", "qwen_agentkit.cli", "serve", "--preset", "nano", "--port", "0"]
    process = subprocess.Popen([*command, "--store", str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
    try:
        asyncio.run(Line(port).ask("POST", "/v1/chat/completions", _asked("When does the library open?")))
        yield port
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _asked(question: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": "rag", "stream": stream, "messages": [{"role": "user", "content": question}]}


async def _chat(port: int, stack: Stack, effort: Effort) -> dict[str, Any]:
    """Questions a second over the API, as a share of those of the graph in this process, in turn."""
    known = [one["question"] for one in load_demo_questions()]
    questions = [f"{n}: {known[n % len(known)]}" for n in range(effort.few(48))]
    shares: dict[str, list[float]] = {"one_after_another": [], "8_at_once": []}
    with stack.store() as store:
        graph = create_rag_graph(stack.answering, store, reranker=stack.reranker)

        async def ask_graph(question: str) -> None:
            await graph.ainvoke({"messages": [HumanMessage(question)]})

        lines = [Line(port) for _ in range(ASKING)]
        free = list(lines)

        async def ask_server(question: str) -> None:
            line = free.pop()
            await line.ask("POST", "/v1/chat/completions", _asked(question))
            free.append(line)

        rates: dict[str, list[float]] = {"graph": [], "server": []}
        for _ in range(effort.rounds + 1):  # the first warms up
            for name, at_once in (("one_after_another", 1), ("8_at_once", ASKING)):
                seconds = {}
                for who, ask in (("graph", ask_graph), ("server", ask_server)):
                    start = time.perf_counter()
                    await _run_at_once(ask, questions, at_once)
                    seconds[who] = time.perf_counter() - start
                    rates[who].append(len(questions) / seconds[who])
                shares[name].append(seconds["graph"] / seconds["server"])
        for line in lines:
            line.close()
    found = {
        "questions_a_second": {who: round(max(each), 1) for who, each in rates.items()},
        **{name: round(statistics.median(each[1:]), 2) for name, each in shares.items()},
    }
    say(f"  chat: {found}")
    return found


async def _run_at_once(
    ask: Callable[[str], Coroutine[Any, Any, None]], questions: Sequence[str], at_once: int
) -> None:
    left = list(questions)

    async def work() -> None:
        while left:
            await ask(left.pop())

    await asyncio.gather(*(work() for _ in range(at_once)))


async def _page(port: int, effort: Effort) -> dict[str, Any]:
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
                await line.ask("POST", "/v1/chat/completions", _asked(question))
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


def _embeddings(port: int, effort: Effort, folder: Path) -> dict[str, Any]:
    """Requests a second of one text each, one after another and 8 at once, beside infinity-emb."""
    command = os.environ.get("INFINITY")
    texts = [f"{n}: {one['question']}" for n in range(16) for one in load_demo_questions()][: effort.few(200)]
    ours = (port, "/v1/embeddings", {"model": _embedder()})
    if command is None:
        return asyncio.run(_embed_in_turn({"qwen-agentkit": ours}, texts, effort))
    with _infinity(command, folder) as other:
        servers = {"qwen-agentkit": ours, "infinity": (other, "/embeddings", {"model": "nano"})}
        return asyncio.run(_embed_in_turn(servers, texts, effort))


def _embedder() -> str:
    return str(Stack("nano", Path()).embeddings.model)


async def _embed_in_turn(
    servers: dict[str, tuple[int, str, dict[str, Any]]], texts: Sequence[str], effort: Effort
) -> dict[str, Any]:
    seconds: dict[str, dict[str, list[float]]] = {name: {"1": [], "8": []} for name in servers}
    vectors: dict[str, Any] = {}
    for _ in range(effort.rounds + 1):  # the first warms up
        for name, (port, path, body) in servers.items():
            lines = [Line(port) for _ in range(ASKING)]
            free = list(lines)

            async def ask(
                text: str,
                free: list[Line] = free,
                path: str = path,
                body: dict[str, Any] = body,
                name: str = name,
            ) -> None:
                line = free.pop()
                answer = json.loads(await line.ask("POST", path, {**body, "input": [text]}))
                vectors[name] = answer["data"][0]["embedding"]
                free.append(line)

            for at_once in (1, ASKING):
                start = time.perf_counter()
                await _run_at_once(ask, texts, at_once)
                seconds[name][str(at_once)].append(time.perf_counter() - start)
            await ask("When does the library open?")
            for line in lines:
                line.close()
    rates = {
        name: {at: round(len(texts) / min(each[1:]), 1) for at, each in times.items()}
        for name, times in seconds.items()
    }
    found: dict[str, Any] = {"requests_a_second": rates}
    if len(servers) > 1:
        ours, theirs = rates["qwen-agentkit"], rates["infinity"]
        found["times_as_many"] = {at: round(ours[at] / theirs[at], 2) for at in ours}
        one, other = (np.array(vectors[name]) for name in servers)
        found["cosine"] = round(float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), 5)
    say(f"  embeddings: {found}")
    return found


@contextmanager
def _infinity(command: str, folder: Path) -> Iterator[int]:
    """infinity-emb with nano-embedding, told how to pool, without waiting for others to join."""
    model = _with_pooling(folder / "nano")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    words = [command, "v2", "--model-id", str(model), "--served-model-name", "nano", "--port", str(port)]
    words += ["--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            if process.poll() is not None:
                raise RuntimeError(f"infinity-emb has ended with {process.returncode}: {' '.join(words)}")
            with suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
                asyncio.run(Line(port).ask("GET", "/health"))
                break
            time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _with_pooling(folder: Path) -> Path:
    """nano-embedding in sentence-transformers' form: the last token, scaled to length one."""
    weights = nano_folder("nano-embedding")
    assert weights is not None
    (folder / "1_Pooling").mkdir(parents=True)
    for file in weights.iterdir():
        (folder / file.name).symlink_to(file)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": "" if not place else f"{place}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    size = json.loads((weights / "config.json").read_text())["hidden_size"]
    pooling = {
        "word_embedding_dimension": size,
        "pooling_mode_lasttoken": True,
        "pooling_mode_mean_tokens": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


async def _streams(port: int, effort: Effort) -> dict[str, Any]:
    """Seconds to open a thousand streams, and to free the server when their clients go."""
    count = effort.few(STREAMS)
    start = time.perf_counter()
    lines = [Line(port) for _ in range(count)]
    question = _asked("When does the library open? " * 20, stream=True)

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
