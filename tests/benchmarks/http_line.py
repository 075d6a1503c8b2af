"""A client of a few lines of asyncio, so that it takes little of the cores that it shares with a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any


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


def asked(question: str, *, stream: bool = False) -> dict[str, Any]:
    """The body of a question to the graph `rag`."""
    return {"model": "rag", "stream": stream, "messages": [{"role": "user", "content": question}]}


async def run_at_once(
    ask: Callable[[str], Coroutine[Any, Any, None]], questions: Sequence[str], at_once: int
) -> None:
    """Ask every question, so many at once."""
    left = list(questions)

    async def work() -> None:
        while left:
            await ask(left.pop())

    await asyncio.gather(*(work() for _ in range(at_once)))
