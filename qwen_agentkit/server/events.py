"""The server-sent events of one response. Knows bytes, times and the end mark, not what events mean.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, as httpx-sse reads it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
from httpx_sse import EventSource

from qwen_agentkit.server.connections import CancellableStream

__all__ = ["END", "read_events"]

END = "[DONE]"
"""The data of the event that ends an answer."""

# Names of events that only keep a connection alive.
_PINGS = ("ping", "heartbeat", "keepalive", "keep-alive")

# Seconds to wait for the end of a response after its last event; a new connection costs less than more.
_LAST_WAIT = 0.2


def read_events(response: httpx.Response, cancelled: threading.Event, silence: float) -> Iterator[str]:
    """Yield the data of each event, up to and including `END`; what follows is not read as events.

    The data of an event that is named "error" becomes a JSON object with the key "error".

    Args:
        response: An open response of type text/event-stream.
        cancelled: Set it to end the events without an error.
        silence: Seconds after which a stream of nothing but comments is given up.

    Raises:
        httpx.TransportError: The stream broke off, or was silent for too long.
    """
    content = _Content(response, cancelled, silence)
    # By the standard a stream is UTF-8, whatever its content type says, and may begin with a byte order mark.
    headers = {"content-type": "text/event-stream; charset=utf-8-sig"}
    source = EventSource(httpx.Response(200, headers=headers, content=content.checked()))
    for event in source.iter_sse():
        if cancelled.is_set():
            return
        data = event.data.strip()
        if event.event == "error":
            yield _error(data)
        elif data and event.event.lower() not in _PINGS:
            yield data
        if data == END:
            content.finish()
            return
        content.heard = time.monotonic()  # the caller may have taken long


def _error(data: str) -> str:
    try:
        found = json.loads(data)
    except ValueError:
        found = data
    return (
        data
        if isinstance(found, dict) and found.get("error")
        else json.dumps({"error": found or "no reason given"})
    )


class _Content:
    """The bytes of a response.

    Attributes:
        heard: When something other than comments came last, by `time.monotonic`.
    """

    def __init__(self, response: httpx.Response, cancelled: threading.Event, silence: float) -> None:
        self._response, self._cancelled, self._silence = response, cancelled, silence
        self._pieces = response.iter_bytes()
        self.heard = time.monotonic()

    def checked(self) -> Iterator[bytes]:
        """Yield the bytes until they are no longer wanted; comments count as silence."""
        try:
            for piece in self._pieces:
                if not _is_comment(piece):
                    self.heard = time.monotonic()
                elif time.monotonic() - self.heard > self._silence:
                    raise httpx.ReadTimeout("only comments came")
                yield piece
        except httpx.ReadError:
            if not self._cancelled.is_set():
                raise
        yield b"\n\n"  # some servers leave out the empty line that ends the last event

    def finish(self) -> None:
        """Read to the end, so that the connection can be used again; not for long."""
        stream = self._response.extensions.get("network_stream")
        if isinstance(stream, CancellableStream):
            stream.stop_at(time.monotonic() + _LAST_WAIT)
            with suppress(httpx.HTTPError):
                for _ in self._pieces:
                    pass


def _is_comment(piece: bytes) -> bool:
    return all(not line or line.startswith(b":") for line in piece.splitlines())
