"""One server, asked over HTTP: connections, retries, streams, errors. Knows no models.

An error answer is read as the servers write it: `{"error": {"message"}}`, `{"error": "..."}`, `{"detail"}` or
`{"message"}`. Streams are server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import atexit
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ServerAccessError,
    ServerAnswerError,
    ServerBusyError,
    ServerError,
    ServerModelError,
    ServerRefusedError,
    ServerTimeoutError,
    ServerUnreachableError,
)

__all__ = ["FailingRouteError", "NoRouteError", "Server", "close_connections", "shown_address"]

# Seconds. A queue of other users' prompts may stand before the first token; a connection is made or is not.
_SILENCE, _CONNECT = 600.0, 10.0

_RETRIES = 2

# Seconds before the first retry, doubled each time, and the longest wait, also where the server names one.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0

# Seconds for the end of a response whose last event is there: a new connection costs less than more of them.
_END = 0.2

# Nothing of the request can have been answered yet.
_BEFORE_ANSWER = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.RemoteProtocolError)

_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum (context|input|model)|max_model_len|too long|input length|"
    r"must have less than",
    re.IGNORECASE,
)

_NO_MODEL = re.compile(r"not (found|exist)|no such|unknown|pinned", re.IGNORECASE)

_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


class NoRouteError(ServerRefusedError):
    """The server has no such route: another server's dialect."""


class FailingRouteError(ServerBusyError):
    """The server has the route and fails there, however often it is asked."""


class Server:
    """An OpenAI-compatible server. All that ask the same one share its connections.

    Args:
        base_url: Such as "http://localhost:8000/v1"; the "/v1" may be left out.
        api_key: Sent as a bearer token.
        timeout: Seconds of silence after which a request is given up. None: 600.
        max_retries: Times a request is sent again. None: 2. Never one whose answer has begun.

    Attributes:
        root: The address for messages: without "/v1", and without a name and a password.

    Raises:
        InputError: The address is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> None:
        if not _is_address(base_url):
            shown = base_url.rpartition("@")[2]
            raise InputError(
                f"base_url={shown!r} is no address; expected one like 'http://localhost:8000/v1'."
            )
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise InputError("api_key holds characters that no key has, such as a line break; copy it again.")
        self._address = base_url.rstrip("/").removesuffix("/v1")
        self.root = shown_address(self._address)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        silence = _SILENCE if timeout is None else timeout
        self._timeout = httpx.Timeout(silence, connect=min(_CONNECT, silence))
        self._silence = silence
        self._retries = _RETRIES if max_retries is None else max_retries

    def get(self, path: str) -> Any:
        """Return the JSON found at a path, such as "/v1/models".

        Raises:
            ServerError: It could not be had.
        """
        with self._send("GET", path, None, threading.Event()) as response:
            return self._json(response)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON and return the JSON that comes back.

        Raises:
            InputTooLongError: The server says that the text does not fit its context.
            ServerError: There was no answer.
        """
        with self._send("POST", path, body, threading.Event()) as response:
            return self._json(response)

    @contextmanager
    def stream(
        self, path: str, body: Mapping[str, Any], cancelled: threading.Event
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Send JSON and give the JSON objects that stream back; a server that does not stream gives one.

        Args:
            path: Such as "/v1/chat/completions".
            body: What is asked.
            cancelled: Set it to close the connection at the next read, or instead of the next retry.

        Raises:
            InputTooLongError: The server says that the text does not fit its context.
            ServerError: There was no answer, or it was cut off.
        """
        with self._send("POST", path, body, cancelled) as response:
            if "text/event-stream" in response.headers.get("content-type", ""):
                yield self._events(response, cancelled)
            else:
                yield iter([self._object(self._json(response))])

    @contextmanager
    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancelled: threading.Event
    ) -> Iterator[httpx.Response]:
        """Give the response whose status says that all is well, with its content still to be read."""
        response = self._answer(method, path, body, cancelled)
        try:
            yield response
        except httpx.TimeoutException as error:
            raise self._silent(error) from error
        except httpx.RequestError as error:
            raise ServerAnswerError(
                f"The server at {self.root} cut its answer off: {_words(error)}. Ask again; if it happens "
                "again, look into the server's log."
            ) from error
        finally:
            response.close()

    def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancelled: threading.Event
    ) -> httpx.Response:
        client = _client(self._address)
        content = None if body is None else _encoded(body)
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        for attempt in range(self._retries + 1):
            last = attempt == self._retries or cancelled.is_set()
            request = client.build_request(
                method, self._address + path, content=content, headers=headers, timeout=self._timeout
            )
            wait = None
            try:
                response = client.send(request, stream=True)
            except _BEFORE_ANSWER as error:
                if last:
                    raise self._unreachable(error) from error
            except httpx.TimeoutException as error:
                raise self._silent(error) from error
            except httpx.TransportError as error:
                if last:
                    raise self._unreachable(error) from error
            else:
                if response.is_success:
                    return response
                failure = self._failure(response, path, body)
                wait = _retry_after(response)
                hopeless = not isinstance(failure, ServerBusyError)
                if last or hopeless or (wait or 0) > _LONGEST_WAIT:
                    raise failure
            _pause(cancelled, _backoff(attempt) if wait is None else wait)
        raise AssertionError("the last attempt returns or raises")

    def _events(self, response: httpx.Response, cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        """Read server-sent events; those after "[DONE]" do not exist."""
        data: list[str] = []
        pieces = response.iter_bytes()
        for line in _lines(pieces):
            if cancelled.is_set():
                return
            if line.startswith("data:"):
                data.append(line[5:].strip())
            if data == ["[DONE]"]:
                yield {"done": True}
                _read_end(response, pieces)
                return
            if not line and data:
                text, data = "\n".join(data), []
                yield self._object(self._parsed(text))
        if data:
            yield self._object(self._parsed("\n".join(data)))

    def _object(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._strange(json.dumps(value))
        if error := value.get("error"):
            raise self._failed(_reason(value) or str(error))
        return value

    def _failed(self, reason: str) -> ServerAnswerError:
        return ServerAnswerError(
            f"The server at {self.root} failed while it answered: {reason}. Ask again; if it happens again, "
            "look into the server's log."
        )

    def _json(self, response: httpx.Response) -> Any:
        response.read()
        return self._parsed(response.text)

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            if text.startswith('{"error"'):  # with quotes or line breaks in it that nobody escaped
                raise self._failed(_short(text)) from error
            raise self._strange(text) from error

    def _strange(self, text: str) -> ServerAnswerError:
        return ServerAnswerError(
            f"{self.root} answered {_short(text)!r}, which is no JSON object; expected an OpenAI-compatible "
            "server. Check base_url: it ends where '/chat/completions' begins."
        )

    def _silent(self, error: Exception) -> ServerTimeoutError:
        return ServerTimeoutError(
            f"The server at {self.root} was silent for {self._silence:g} s ({_words(error)}). Raise "
            "timeout=, or ask for less."
        )

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"No server answers at {self.root}: {_words(error)}. Start it, or correct base_url; "
            f"{self._retries + 1} attempts were made."
        )

    def _failure(
        self, response: httpx.Response, path: str, body: Mapping[str, Any] | None
    ) -> ServerError | InputTooLongError:
        """Translate an answer whose status is an error, and close it."""
        try:
            response.read()
            text = response.text
        except httpx.HTTPError:
            text = ""
        finally:
            response.close()
        status, reason = response.status_code, _reason_of(text).rstrip(".")
        said = f"{self.root}{path} answered {status}: {reason}"
        model = str((body or {}).get("model") or "")
        if response.next_request is not None:
            there = shown_address(str(response.next_request.url)).removesuffix(path.removeprefix("/v1"))
            return ServerAnswerError(
                f"{said}. Expected an answer, not another address; pass base_url={there!r}."
            )
        if status in (401, 403):
            return ServerAccessError(f"{said}. Expected a valid key; pass api_key=.")
        if status in (400, 413, 422) and _TOO_LONG.search(reason):
            return InputTooLongError(f"{said}. Shorten the text, or serve the model with a longer context.")
        if status in (400, 404) and model and model in reason and _NO_MODEL.search(reason):
            return ServerModelError(f"{said}. {self.choices()}")
        if status in (404, 405):
            return NoRouteError(f"{said}. Check base_url, and that the server serves this kind of model.")
        if status in (408, 429) or status >= 500:
            kind = FailingRouteError if status in (500, 501) else ServerBusyError
            return kind(
                f"{said}. {self._retries + 1} attempts were made at most; ask later, ask fewer at a time, or "
                "raise max_retries."
            )
        return ServerRefusedError(f"{said}. Change what it names, or leave it out.")

    def models(self) -> list[dict[str, Any]]:
        """Return what the server says of its models, each with an "id"; none if it has no list.

        Raises:
            ServerError: It is not there, is busy, or wants a key.
        """
        try:
            found = self.get("/v1/models")
        except (ServerRefusedError, FailingRouteError):
            return []  # `transformers serve` fails here on a machine without a hub cache, and chats well
        rows = found.get("data") if isinstance(found, dict) else None
        return [row for row in rows or [] if isinstance(row, dict) and "id" in row]

    def choices(self) -> str:
        """Say which models can be asked, for an error."""
        try:
            names = [repr(row["id"]) for row in self.models()]
        except ServerError:
            names = []
        if not names:
            return "Pass model= as the server names it."
        return f"The server has {', '.join(names)}; pass one of them as model=."


def close_connections() -> None:
    """Close all connections that no request uses; later requests open new ones."""
    with _clients_lock:
        while _clients:
            _clients.popitem()[1].close()


atexit.register(close_connections)


def _is_address(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def shown_address(address: str) -> str:
    """An address without the name and the password that may stand in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", address)


def _client(address: str) -> httpx.Client:
    with _clients_lock:
        if address not in _clients:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
            _clients[address] = httpx.Client(limits=limits)
        return _clients[address]


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Write JSON; lone surrogates, which are no characters, become U+FFFD."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    # UTF-16 also joins the two halves of a character, which broken JSON decoders leave apart.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Split server-sent events: CR, LF and CRLF end a line, and no other character does."""
    rest = b""
    for piece in pieces:
        # The LF of a CR at the end may still come.
        *lines, rest = re.split(rb"\r\n|\n|\r(?!\Z)", rest + piece)
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.removesuffix(b"\r").decode(errors="replace")


def _read_end(response: httpx.Response, pieces: Iterable[bytes]) -> None:
    """Read what follows the last event, so that the connection can be used again; not for long."""
    network = response.extensions.get("network_stream")
    if network is None:
        return
    timer = threading.Timer(_END, _hang_up, [network.get_extra_info("socket")])
    timer.daemon = True
    timer.start()
    with suppress(httpx.HTTPError):
        for _ in pieces:
            pass
    timer.cancel()


def _hang_up(connection: socket.socket) -> None:
    """End a read that waits in another thread, which closing alone does not."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _pause(cancelled: threading.Event, seconds: float) -> None:
    """Wait, unless the caller no longer does."""
    cancelled.wait(seconds)


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt, with some chance in them so that clients do not come back as one."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds the server asks to wait: a number or a date, RFC 9110 section 10.2.3."""
    value = str(response.headers.get("retry-after", "")).strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value).timestamp()
        return max(0.0, moment - time.time())
    except ValueError:
        return None


def _reason_of(text: str) -> str:
    try:
        reason = _reason(json.loads(text))
    except (ValueError, RecursionError):  # no JSON, or deeper than anybody reads
        reason = ""
    return reason or _short(text) or "nothing more"


def _reason(value: Any) -> str:
    """Find the sentence in an error answer."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_reason(item) for item in value)))
    if isinstance(value, dict):
        said = (_reason(value.get(key)) for key in ("error", "message", "detail", "msg"))
        where = value.get("loc")
        place = ".".join(map(str, where)) if isinstance(where, list) else ""
        return ": ".join(filter(None, (place, next(filter(None, said), ""))))
    return ""


def _short(text: str) -> str:
    """The beginning of a text, without the tags of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:200]


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
