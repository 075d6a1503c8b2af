"""Connections to servers, one pool an address, whose reads can be cancelled. Knows no routes and no retries.

httpx reads from a socket until data comes or its timeout ends, and offers no way to stop it. Its layer
below, httpcore, takes a network backend, https://www.encode.io/httpcore/network-backends/; the one here reads
in short slices and checks between them whether the answer is still wanted.
"""

from __future__ import annotations

import atexit
import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

__all__ = ["CancellableStream", "client_for", "close_connections"]

# Seconds a read may last before it is checked whether the answer is still wanted.
_SLICE = 0.05

# Idle connections that a pool keeps, and the seconds it keeps them. Any number may be in use.
_IDLE, _IDLE_SECONDS = 64, 5.0

# What cancels the request that the current thread sends.
_cancelled: ContextVar[threading.Event] = ContextVar("cancelled")

_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


def client_for(address: str) -> httpx.Client:
    """Return the client of an address, such as "http://localhost:8000"; all its users share the connections.

    A request is cancelled by the `threading.Event` in its extension "cancelled".
    """
    with _clients_lock:
        if address not in _clients:
            _clients[address] = httpx.Client(transport=_Transport(address))
        return _clients[address]


def close_connections() -> None:
    """Close the connections of all clients; later requests open new ones."""
    with _clients_lock:
        while _clients:
            _clients.popitem()[1].close()


atexit.register(close_connections)


class CancellableStream(httpcore.NetworkStream):
    """A connection whose reads end early, when its request is cancelled or at a deadline.

    Only the reading thread can end a read without harm to the request that uses the connection next.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._cancelled, self._deadline = threading.Event(), math.inf

    def stop_at(self, deadline: float) -> None:
        """Let all reads of this request end at a time of `time.monotonic`."""
        self._deadline = deadline

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a part of a request; its answer may be read by another thread."""
        self._cancelled, self._deadline = _cancelled.get(), math.inf
        self._stream.write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for data in short slices.

        Raises:
            httpcore.ReadTimeout: Nothing came before the timeout or the deadline.
            httpcore.ReadError: The request was cancelled.
        """
        end = self._deadline if timeout is None else min(self._deadline, time.monotonic() + timeout)
        while not self._cancelled.is_set():
            left = end - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout("timed out")
            with suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, min(_SLICE, left))
        raise httpcore.ReadError("cancelled")

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the encrypted connection."""
        return CancellableStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows under a name, such as "socket"."""
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Opens connections that can be cancelled."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host."""
        return CancellableStream(
            self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        )


class _Transport(httpx.BaseTransport):
    """Sends the requests of an httpx client through a pool of httpcore with the backend above."""

    def __init__(self, address: str) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            proxy=_find_proxy(httpx.URL(address)),
            max_connections=None,
            max_keepalive_connections=_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its response."""
        url = request.url
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        before = _cancelled.set(request.extensions.get("cancelled") or threading.Event())
        try:
            with _httpx_errors():
                response = self._pool.handle_request(sent)
        finally:
            _cancelled.reset(before)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Content(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Content(httpx.SyncByteStream):
    """The bytes of a response, as they come."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        """Give the connection back, or close it if bytes are left."""
        with _httpx_errors():
            self._response.close()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise errors of httpcore as those of the same name in httpx."""
    try:
        yield
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.TimeoutException,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def _find_proxy(url: httpx.URL) -> httpcore.Proxy | None:
    """Return the proxy that the environment names for an address, in variables such as HTTPS_PROXY."""
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.host):
        return None
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)
