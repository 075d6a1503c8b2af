"""Server-sent events: lines and events as the standard has them, comments as silence, a soft end."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import httpx
import pytest

from qwen_agentkit.server.events import read_events


def events(
    pieces: Iterable[bytes], silence: float = 600, content_type: str = "text/event-stream"
) -> list[str]:
    response = httpx.Response(200, headers={"content-type": content_type}, content=iter(pieces))
    return list(read_events(response, threading.Event(), silence))


STREAMS = {
    "three line ends": (b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n", ["a", "b", "c", "d"]),
    "several lines of data": (b"data: a\ndata: b\n\n", ["a\nb"]),
    "fields without data": (b"id: 1\n\nevent: ping\n\nretry: 3\n\ndata: a\n\n", ["a"]),
    "no space after the colon": (b"data:a\n\n", ["a"]),
    "other separators are text": (
        "data: a\u2028b\u2029c\x85d\x0b\x0ce\x1c\x1d\x1ef\n\n".encode(),
        ["a\u2028b\u2029c\x85d\x0b\x0ce\x1c\x1d\x1ef"],
    ),
    "byte order mark": ("\ufeffdata: a\n\n".encode(), ["a"]),
    "nothing after the end mark": (b"data: a\n\ndata: [DONE]\n\ndata: b\n\n", ["a", "[DONE]"]),
    "no empty line at the end": (b"data: a\n\ndata: b", ["a", "b"]),
    "broken characters": (b"data: a\xff\n\n", ["a\ufffd"]),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_events_are_read_wherever_pieces_are_cut(stream: bytes, expected: list[str]) -> None:
    assert events([stream]) == expected
    assert events([stream[n : n + 1] for n in range(len(stream))]) == expected


def test_a_stream_is_utf8_whatever_its_type_says() -> None:
    assert events(["data: für\n\n".encode()], content_type="text/event-stream; charset=latin-1") == ["für"]


def test_comments_are_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10_000, 100))
    monkeypatch.setattr("qwen_agentkit.server.events.time.monotonic", lambda: next(times))
    pings = [b": ping\n\n", b":\r\n"] * 10
    with pytest.raises(httpx.ReadTimeout, match="comments"):
        events([b"data: a\n\n", *pings, b"data: b\n\n"], silence=600)
    assert events([b"data: a\n\n", *pings, b"data: b\n\n"], silence=5000) == ["a", "b"]
    # Data that comes slowly is no silence, even before its event is whole.
    assert events([b"data: a", *[b"a"] * 20, b"\n\n"], silence=600) == ["a" * 21]


def test_cancelled_events_end_without_an_error() -> None:
    cancelled = threading.Event()

    def content() -> Iterable[bytes]:
        yield b"data: a\n\n"
        cancelled.set()
        raise httpx.ReadError("cancelled")

    response = httpx.Response(200, content=content())
    assert list(read_events(response, cancelled, 600)) == ["a"]
