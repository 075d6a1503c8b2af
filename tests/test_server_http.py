"""What lies between a server and us: addresses as people paste them, what is asked again, what errors say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.errors import (
    InputError,
    ServerAnswerError,
    ServerBusyError,
    ServerFailedError,
    ServerRouteError,
    ServerUnreachableError,
    ServerUnsupportedError,
)
from qwen_agentkit.server import http
from qwen_agentkit.server.address import shown_address
from tests.fakes.server import FakeServer, delta, listed, sse

HELLO = sse([delta(content="Hello"), delta("stop")])
HOST = "http://server.test"


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(http, "wait", lambda _, seconds: found.append(seconds))
    return found


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """One server behind every address."""
    server = FakeServer({}, "vllm", "served")
    client = httpx.Client(transport=httpx.MockTransport(server))
    monkeypatch.setattr(http, "client_for", lambda _: client)
    return server


def chat(base_url: str = f"{HOST}/v1", **settings: Any) -> ChatQwen:
    return ChatQwen(model="served", base_url=base_url, **settings)


# Addresses


@pytest.mark.parametrize(
    ("base_url", "folder"),
    [
        ("", "/v1"),
        ("/", "/v1"),
        ("/v1/", "/v1"),
        ("//v1", "/v1"),
        ("/V1", "/v1"),
        (" /v1 \n", "/v1"),
        ("/v1/chat/completions", "/v1"),
        ("/v1/chat/completions/", "/v1"),
        ("/v1/completions", "/v1"),
        ("/v1/embeddings", "/v1"),
        ("/v1/rerank", "/v1"),
        ("/v1/models", "/v1"),
        ("/score", "/v1"),
        ("/proxy", "/proxy/v1"),
        ("/api/v3", "/api/v3"),
        ("/api/v3/chat/completions", "/api/v3"),
        ("/api/paas/v4/", "/api/paas/v4"),
        ("/v1beta/openai/", "/v1beta/openai"),
        ("/v1/openai", "/v1/openai"),
        ("/openai/v1", "/openai/v1"),
        ("/compatible-mode/v1", "/compatible-mode/v1"),
    ],
)
def test_an_address_is_read_as_it_is_meant(everywhere: FakeServer, base_url: str, folder: str) -> None:
    everywhere.routes = {
        f"{folder}/models": listed("served", "vllm"),
        f"{folder}/chat/completions": HELLO,
    }
    pasted = base_url.replace("/", f"{HOST}/", 1) if base_url else HOST
    assert chat(pasted).invoke("Hi").content == "Hello"
    assert [path for path, _ in everywhere.asked] == list(everywhere.routes)


@pytest.mark.parametrize("rest", ["/v1?key=s3cret", "/v1#s3cret", "?s3cret"])
def test_a_query_is_refused_unshown(rest: str) -> None:
    with pytest.raises(InputError, match=r"'server\.test'.*Leave out what begins with '\?'") as refused:
        chat(HOST + rest).invoke("Hi")
    assert "s3cret" not in str(refused.value)


def test_a_query_is_no_part_of_an_address_that_is_shown() -> None:
    assert shown_address("http://ann:pw@host/v1?key=s3cret") == "http://host/v1"


@pytest.mark.parametrize("base_url", ["/api/v3", "/api", "/api/v1/rerank", "/api/rerank"])
@pytest.mark.parametrize("route", ["/rerank", "/score"])
def test_routes_beside_the_version_are_found(everywhere: FakeServer, base_url: str, route: str) -> None:
    def answer(body: dict[str, Any]) -> Any:
        texts = body.get("texts") or body["text_2"]
        rows = [
            {"index": n, "score": 0.9 if text == "At nine." else 0.1 / (n + 1)}
            for n, text in enumerate(texts)
        ]
        return rows if "texts" in body else {"data": rows}

    everywhere.routes = {f"/api{route}": answer}
    ranker = QwenReranker(model="served", base_url=HOST + base_url)
    assert ranker.score([("When?", "At nine.")]) == [0.9]


def test_messages_name_the_route_that_was_asked(everywhere: FakeServer) -> None:
    with pytest.raises(ServerRouteError, match=r"http://server\.test/api/v3/chat/completions answered 404"):
        chat(f"{HOST}/api/v3").invoke("Hi")
    everywhere.routes["/api/v3/embeddings"] = {"data": None}
    with pytest.raises(ServerAnswerError, match="/api/v3/embeddings gave"):
        QwenEmbeddings(model="served", base_url=f"{HOST}/api/v3").embed_query("a")
    with pytest.raises(ServerUnsupportedError, match="routes /v3/rerank"):
        QwenReranker(model="served", base_url=f"{HOST}/api/v3").score([("q", "a")])


# Retries


def test_a_wait_that_is_too_long_is_named(everywhere: FakeServer, waited: list[float]) -> None:
    long = httpx.Response(429, json={"error": "quota"}, headers={"Retry-After": "3600"})
    everywhere.routes["/v1/chat/completions"] = long
    with pytest.raises(
        ServerBusyError, match=r"quota.*wait 3600 s, but a retry waits 60 s at most"
    ) as refused:
        chat().invoke("Hi")
    assert "attempts" not in str(refused.value)
    assert waited == []


def test_a_call_that_is_cancelled_while_it_waits_is_not_sent_again(
    everywhere: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "wait", lambda cancelled, _: cancelled.set())
    everywhere.routes["/v1/chat/completions"] = httpx.Response(503)
    with http.Server(HOST).stream("/v1/chat/completions", {}, threading.Event()) as chunks:
        assert list(chunks) == []
    assert len(everywhere.asked) == 1


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "try base_url='http://server.test/v1'"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "set SSL_CERT_FILE"),
    ],
)
def test_what_tls_refuses_is_asked_once(
    everywhere: FakeServer, waited: list[float], words: str, advice: str
) -> None:
    everywhere.routes["/v1/models"] = httpx.ConnectError(words)
    with pytest.raises(ServerUnreachableError, match=advice) as refused:
        chat("https://server.test/v1").invoke("Hi")
    assert "attempts" not in str(refused.value)
    assert waited == []


def test_a_handshake_that_was_cut_is_tried_again(everywhere: FakeServer, waited: list[float]) -> None:
    everywhere.routes["/v1/models"] = httpx.ConnectError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred")
    with pytest.raises(ServerUnreachableError, match="3 attempts"):
        chat("https://server.test/v1").invoke("Hi")
    assert len(waited) == 2


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A port that answers anything in plain HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


@pytest.mark.enable_socket
def test_https_at_a_plain_port_says_so(plain_port: int, waited: list[float]) -> None:
    with pytest.raises(ServerUnreachableError, match=f"try base_url='http://127.0.0.1:{plain_port}/v1'"):
        chat(f"https://127.0.0.1:{plain_port}").invoke("Hi")
    assert waited == []


# Errors


def test_errors_have_public_names(everywhere: FakeServer) -> None:
    everywhere.routes["/v1/chat/completions"] = httpx.Response(500, text="boom")
    with pytest.raises(ServerFailedError, match="boom") as failed:
        chat().invoke("Hi")
    assert type(failed.value).__module__ == "qwen_agentkit.errors"
    with pytest.raises(ServerRouteError) as lacking:
        chat(f"{HOST}/else").invoke("Hi")
    assert type(lacking.value).__module__ == "qwen_agentkit.errors"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "Llama model must be created with embedding=True to call this method"),
        (501, "This server does not support embeddings. Start it with `--embeddings`"),
        (501, "No."),
    ],
)
def test_what_can_never_work_is_not_put_off(
    everywhere: FakeServer, waited: list[float], status: int, words: str
) -> None:
    everywhere.routes["/v1/embeddings"] = httpx.Response(status, json={"error": {"message": words}})
    with pytest.raises(ServerUnsupportedError, match="was started for this") as refused:
        QwenEmbeddings(model="served", base_url=HOST).embed_query("a")
    assert "later" not in str(refused.value)
    assert waited == []
