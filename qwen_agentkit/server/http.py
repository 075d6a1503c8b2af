"""One OpenAI-compatible server, asked over HTTP. Knows JSON and routes, no models and no chats."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ServerError,
    ServerFailedError,
    ServerRefusedError,
)
from qwen_agentkit.server.address import check_address, shown_address, split_address
from qwen_agentkit.server.connections import client_for
from qwen_agentkit.server.events import END, read_events
from qwen_agentkit.server.failures import Failures, error_message
from qwen_agentkit.server.retries import LONGEST_WAIT, backoff, is_retryable, requested_wait, wait

__all__ = ["Server"]

# Seconds. Prompts of other users may be ahead of the first token; a connection is made soon or never.
_SILENCE, _CONNECT = 600.0, 10.0

_RETRIES = 2


class Server:
    """An OpenAI-compatible server. Objects with the same address share its connections.

    Servers differ in what they do with a request: llama-cpp-python, for one, cuts long texts to embed without
    an error.

    Args:
        base_url: Such as "http://localhost:8000/v1", "https://host/api/v3" or "https://host/v1beta/openai".
            A "/v1" may be left out, and a route such as "/chat/completions" may follow.
        api_key: Sent as a bearer token.
        timeout: Seconds of silence after which a request is given up. None: 600.
        max_retries: Times a request is sent again; never one whose answer has begun. None: 2.

    Attributes:
        root: The address for messages, without "/v1" and without a name and a password.

    Raises:
        InputError: `base_url` is not an address, or has a query or a fragment; or the key is damaged.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> None:
        base_url = base_url.strip()
        check_address(base_url)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise InputError(
                "api_key holds characters that no key has, such as a line break; expected the key alone. "
                "Copy it again."
            )
        self._address, self._version = split_address(base_url)
        self.root = shown_address(self._address)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._silence = _SILENCE if timeout is None else timeout
        self._timeout = httpx.Timeout(self._silence, connect=min(_CONNECT, self._silence))
        self._attempts = 1 + (_RETRIES if max_retries is None else max_retries)
        self._failures = Failures(
            self.root,
            self._version,
            silence=self._silence,
            attempts=self._attempts,
            longest_wait=LONGEST_WAIT,
        )

    def path(self, path: str) -> str:
        """Return where this server keeps a route: "/v1/models" elsewhere may be "/v3/models" here."""
        return self._version + path.removeprefix("/v1") if path.startswith("/v1/") else path

    def get(self, path: str) -> Any:
        """Return the JSON at a path, such as "/v1/models".

        Raises:
            ServerError: There was no whole answer.
        """
        with self._open("GET", path, None, threading.Event()) as response:
            return self._json(response)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON and return the JSON that comes back.

        Raises:
            InputTooLongError: The server says that the text does not fit its context.
            ServerError: There was no whole answer.
        """
        with self._open("POST", path, body, threading.Event()) as response:
            answer = self._json(response)
        return self._object(answer) if isinstance(answer, dict) else answer

    @contextmanager
    def stream(
        self, path: str, body: Mapping[str, Any], cancelled: threading.Event
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Send JSON and yield an iterator over the JSON objects that stream back.

        The end mark of a stream becomes `{"done": True}`. A server that does not stream sends one object.

        Args:
            path: Such as "/v1/chat/completions".
            body: The request.
            cancelled: Set it to close the connection soon, and to send no more retries.

        Raises:
            InputTooLongError: The server says that the text does not fit its context.
            ServerError: There was no whole answer.
        """
        with self._open("POST", path, body, cancelled) as response:
            if cancelled.is_set():
                yield iter(())
            elif _streams(response):
                events = read_events(response, cancelled, self._silence)
                yield ({"done": True} if data == END else self._object(self._parse(data)) for data in events)
            else:
                yield iter([self._object(self._json(response))])

    def models(self) -> list[dict[str, Any]]:
        """Return what the server says about its models, each with an "id"; [] if it has no list.

        Raises:
            ServerError: It does not answer, is busy, or wants a key.
        """
        try:
            found = self.get("/v1/models")
        except (ServerRefusedError, ServerFailedError):
            return []  # `transformers serve` fails here on a machine without a hub cache, and chats well
        rows = found.get("data") if isinstance(found, dict) else None
        return [row for row in rows or [] if isinstance(row, dict) and "id" in row]

    def choices(self) -> str:
        """Say which models there are, for an error."""
        try:
            names = [repr(row["id"]) for row in self.models()]
        except ServerError:
            names = []
        if not names:
            return "Pass model= as the server names it."
        return f"The server has {', '.join(names)}; pass one of them as model=."

    @contextmanager
    def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancelled: threading.Event
    ) -> Iterator[httpx.Response]:
        """Yield a successful response with its content still to be read; translate what interrupts it."""
        response = self._send(method, path, body, cancelled)
        try:
            yield response
        except httpx.TimeoutException as error:
            raise self._failures.timed_out(error) from error
        except httpx.RequestError as error:
            raise self._failures.broken_off(error) from error
        finally:
            response.close()

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancelled: threading.Event
    ) -> httpx.Response:
        """Send a request until it succeeds or fails for good."""
        for attempt in range(self._attempts):
            answer, requested = self._send_once(method, path, body, cancelled)
            if isinstance(answer, httpx.Response):
                return answer
            if not cancelled.is_set():
                last = attempt + 1 == self._attempts or not is_retryable(answer)
                if last or (requested or 0) > LONGEST_WAIT:
                    raise answer
                wait(cancelled, backoff(attempt) if requested is None else requested)
            if cancelled.is_set():
                return httpx.Response(204)  # not read by anyone
        raise AssertionError("the last attempt returns or raises")

    def _send_once(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancelled: threading.Event
    ) -> tuple[httpx.Response | ServerError | InputTooLongError, float | None]:
        """Send a request once.

        Returns:
            The response or what went wrong, and the seconds that the server asks to wait.
        """
        client, path = client_for(self._address), self.path(path)
        request = client.build_request(
            method,
            self._address + path,
            content=None if body is None else _encode(body),
            headers=self._headers | ({} if body is None else {"Content-Type": "application/json"}),
            timeout=self._timeout,
            extensions={"cancelled": cancelled},
        )
        try:
            response = client.send(request, stream=True)
        except httpx.TransportError as error:
            failure = self._failures.without_answer(error)
            failure.__cause__ = error
            return failure, None
        if response.is_success:
            return response, None
        model, requested = str((body or {}).get("model") or ""), requested_wait(response)
        return self._failures.from_response(response, path, model, requested, self.choices), requested

    def _object(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._failures.not_json(json.dumps(value))
        if error := value.get("error"):
            raise self._failures.while_answering(error_message(value) or str(error))
        return value

    def _json(self, response: httpx.Response) -> Any:
        response.read()
        # JSON is UTF-8, whatever the content type says, and may begin with a byte order mark.
        return self._parse(response.content.decode("utf-8-sig", "replace"))

    def _parse(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise self._failures.not_json(text) from error


def _streams(response: httpx.Response) -> bool:
    """Whether a response is a stream of events; some proxies change its content type."""
    if "text/event-stream" in response.headers.get("content-type", "").lower():
        return True
    return response.read().lstrip().startswith((b"data:", b"event:", b":"))


def _encode(body: Mapping[str, Any]) -> bytes:
    """Write JSON; lone surrogates, which are not characters, become U+FFFD."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    # UTF-16 also joins the two halves of a character, which broken JSON decoders leave apart.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
