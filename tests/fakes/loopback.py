"""A server on a real socket of this machine that streams, hangs and breaks off as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from qwen_agentkit.server.connections import close_connections
from tests.fakes.server import delta, listed

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
