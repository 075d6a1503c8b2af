"""The connections below httpx: errors by name, proxies of the environment, reads that can be ended."""

from __future__ import annotations

import inspect
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpcore
import httpx
import pytest

from qwen_agentkit.server.connections import CancellableStream, client_for, close_connections
from qwen_agentkit.server.http import Server
from tests.fakes.server import listed


def test_httpx_has_every_error_of_httpcore() -> None:
    errors = [
        error
        for name in httpcore.__all__
        if inspect.isclass(error := getattr(httpcore, name)) and issubclass(error, Exception)
    ]
    assert len(errors) > 10
    for error in errors:
        if error is not httpcore.ConnectionNotAvailable:  # handled by the pool itself
            assert issubclass(getattr(httpx, error.__name__), httpx.TransportError)


class Proxy(BaseHTTPRequestHandler):
    """Answers what it is asked to pass on, and notes it."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Proxy-Authorization"]))
        body = json.dumps(listed("served", "vllm")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def proxy() -> Iterator[str]:
    Proxy.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    close_connections()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.enable_socket
def test_the_proxy_of_the_environment_is_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://ann:secret@{proxy}")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    for name in ("http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert [row["id"] for row in Server("http://outside.test/v1").models()] == ["served"]
    assert Proxy.seen == [("http://outside.test/v1/models", "Basic YW5uOnNlY3JldA==")]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Server(f"http://{proxy}/v1").models()
    assert Proxy.seen[1:] == [("/v1/models", None)]


@pytest.mark.enable_socket
@pytest.mark.parametrize("how", ["cancelled", "deadline"])
def test_a_read_ends_long_before_its_timeout(how: str) -> None:
    cancelled = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                connection.recv(4096)  # until the client closes

        thread = threading.Thread(target=answer)
        thread.start()
        client = client_for(f"http://127.0.0.1:{listening.getsockname()[1]}")
        request = client.build_request("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=300)
        request.extensions = {**request.extensions, "cancelled": cancelled}
        response = client.send(request, stream=True)
        pieces = response.iter_raw()
        assert next(pieces) == b"half"
        if how == "cancelled":
            threading.Timer(0.05, cancelled.set).start()
            expected: type[Exception] = httpx.ReadError
        else:
            stream = response.extensions["network_stream"]
            assert isinstance(stream, CancellableStream)
            stream.stop_at(time.monotonic() + 0.05)
            expected = httpx.ReadTimeout
        with pytest.raises(expected):
            next(pieces)
        response.close()
        thread.join(60)
        assert not thread.is_alive()
    close_connections()
