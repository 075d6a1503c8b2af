"""Against a real socket on this machine: one pool of connections, cut and silent streams, cancellation."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import ServerAnswerError, ServerTimeoutError
from qwen_agentkit.server.connections import close_connections
from qwen_agentkit.server.http import Server
from tests.fake_server import delta, listed

pytestmark = pytest.mark.enable_socket

SEPARATED = "für\u2028alle"


class Handler(BaseHTTPRequestHandler):
    """Streams as the user message says: words, "endless", "cut" or "silent".

    A line end is answered byte by byte, with lines that end so. After its last word comes nothing, silence
    ("lingers") or more of it ("goes on"). "hangs" is never answered, "stalls" not after its first word, and
    "stalls loudly" with comments only; `gone` is set when nobody waits any more.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # small writes would wait 40 ms for each other
    connections: ClassVar[set[object]] = set()
    asked: ClassVar[threading.Event] = threading.Event()
    gone: ClassVar[threading.Event] = threading.Event()
    over: ClassVar[threading.Event] = threading.Event()
    ended: ClassVar[threading.Event] = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = json.dumps(listed("served", "vllm")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.connections.add(self.client_address)
        self.asked.set()
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        if wanted == "hangs":
            self._wait_for_the_end()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._stream(wanted)
        except OSError:
            self.gone.set()
            self.close_connection = True

    def _stream(self, wanted: str) -> None:
        if wanted == "endless":
            while not self.over.wait(0.005):
                self._chunk(f"data: {json.dumps(delta(content='on '))}\n\n")
            return
        if not wanted.strip():
            event = json.dumps(delta("stop", content=SEPARATED), ensure_ascii=False)
            for byte in wanted.join((f"data: {event}", "", "data: [DONE]", "", "")).encode():
                self._bytes(bytes([byte]))
        for word in wanted.split():
            self._chunk(f"data: {json.dumps(delta(content=word + ' '))}\n\n")
        if wanted == "stalls":
            self._wait_for_the_end()
            return
        while wanted == "stalls loudly" and not self.over.wait(0.02):
            self._chunk(": ping\n\n")
        if wanted == "silent":
            self.over.wait(5)
        if wanted in ("cut", "silent"):
            self.close_connection = True
            return
        if wanted.strip():
            self._chunk(f"data: {json.dumps(delta('stop'))}\n\ndata: [DONE]\n\n")
        if wanted == "lingers":
            self.over.wait(30)
            self.ended.set()
        if wanted == "goes on":
            while not self.over.wait(0.005):
                self._chunk(": ping\n\n")
            self.ended.set()
        self._chunk("")

    def _wait_for_the_end(self) -> None:
        self.connection.settimeout(5)
        if self.rfile.read(1) == b"":
            self.gone.set()
        self.close_connection = True

    def _chunk(self, text: str) -> None:
        self._bytes(text.encode())

    def _bytes(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@pytest.fixture
def address() -> Iterator[str]:
    Handler.asked.clear()
    Handler.gone.clear()
    Handler.over.clear()
    Handler.connections.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    close_connections()
    Handler.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


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
