"""One server, asked over HTTP: connections, retries, streams, errors. Knows no models.

An error answer is read as the servers write it: `{"error": {"message"}}`, `{"error": "..."}`, `{"detail"}` or
`{"message"}`. Streams are server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import atexit
import json
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx

from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ServerAccessError,
    ServerAnswerError,
    ServerBusyError,
    ServerError,
    ServerFailedError,
    ServerModelError,
    ServerRefusedError,
    ServerRouteError,
    ServerTimeoutError,
    ServerUnreachableError,
    ServerUnsupportedError,
)

__all__ = ["Server", "close_connections", "shown_address"]

# Seconds. A queue of other users' prompts may stand before the first token; a connection is made or is not.
_SILENCE, _CONNECT = 600.0, 10.0

_RETRIES = 2

# Seconds before the first retry, doubled each time, and the longest wait, also where the server names one.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0

# Seconds for the end of a response whose last event is there: a new connection costs less than more of them.
_END = 0.2

# Seconds a read may last before somebody looks whether the answer is still wanted.
_LOOK = 0.05

# Routes that come along when an address is copied, and the folders below which servers keep their routes.
_PASTED = re.compile(r"/(chat/completions|completions|embeddings|rerank|score|models)$", re.IGNORECASE)
_VERSION = re.compile(r"(/v\d[\w.]*)?/openai$|/v\d[\w.]*$", re.IGNORECASE)

_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum (context|input|model)|max_model_len|too long|input length|"
    r"must have less than",
    re.IGNORECASE,
)

# What a server says with status 500 when it was started for something else: llama-cpp-python, for one.
_NEVER = re.compile(r"must be created with|not support|unsupported|not implemented", re.IGNORECASE)

_NO_MODEL = re.compile(r"not (found|exist)|no such|unknown|pinned", re.IGNORECASE)

_clients: dict[str, httpx.Client] = {}
_clients_lock = threading.Lock()


class Server:
    """An OpenAI-compatible server. All that ask the same one share its connections.

    Args:
        base_url: Such as "http://localhost:8000/v1", "https://host/api/v3" or "https://host/v1beta/openai".
            A "/v1" may be left out, and a route such as "/chat/completions" may follow. The servers decide
            what they make of a request: llama-cpp-python, for one, cuts long texts to embed without a word.
        api_key: Sent as a bearer token.
        timeout: Seconds of silence after which a request is given up. None: 600.
        max_retries: Times a request is sent again. None: 2. Never one whose answer has begun.

    Attributes:
        root: The address for messages: without "/v1", and without a name and a password.

    Raises:
        InputError: The address is none, or has a query or a fragment.
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
        _check_address(base_url)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise InputError("api_key holds characters that no key has, such as a line break; copy it again.")
        self._address, self._version = _split(base_url)
        self.root = shown_address(self._address)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        silence = _SILENCE if timeout is None else timeout
        self._timeout = httpx.Timeout(silence, connect=min(_CONNECT, silence))
        self._silence = silence
        self._retries = _RETRIES if max_retries is None else max_retries

    def path(self, path: str) -> str:
        """Return where this server keeps a route: what is below "/v1" elsewhere may be below "/v3" here."""
        return self._version + path.removeprefix("/v1") if path.startswith("/v1/") else path

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
            cancelled: Set it to close the connection at once, and to send no more retries.

        Raises:
            InputTooLongError: The server says that the text does not fit its context.
            ServerError: There was no answer, or it was cut off.
        """
        with self._send("POST", path, body, cancelled) as response:
            if cancelled.is_set():
                yield iter(())
            elif "text/event-stream" in response.headers.get("content-type", ""):
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
        url = self._address + self.path(path)
        for attempt in range(self._retries + 1):
            request = client.build_request(
                method, url, content=content, headers=headers, timeout=self._timeout, extensions=_TRACED
            )
            _asking.cancelled = cancelled
            asked_to_wait = None
            try:
                response = client.send(request, stream=True)
            except httpx.TransportError as error:
                failure: ServerError | InputTooLongError = self._unanswered(error)
                failure.__cause__ = error
            else:
                if response.is_success:
                    return response
                failure, asked_to_wait = self._failure(response, path, body), _retry_after(response)
            last = attempt == self._retries or not _may_pass(failure)
            if not cancelled.is_set():
                if last or (asked_to_wait or 0) > _LONGEST_WAIT:
                    raise failure
                _pause(cancelled, _backoff(attempt) if asked_to_wait is None else asked_to_wait)
            if cancelled.is_set():
                return httpx.Response(204)  # nobody reads it
        raise AssertionError("the last attempt returns or raises")

    def _events(self, response: httpx.Response, cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        """Read server-sent events; those after "[DONE]" do not exist, and comments are silence."""
        data: list[str] = []
        heard = time.monotonic()
        pieces = _wanted(response.iter_bytes(), cancelled)
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
                heard = time.monotonic()  # not before: the reader may take its time
            elif time.monotonic() - heard > self._silence:
                raise self._silent(httpx.ReadTimeout("nothing but comments came"))
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

    def _unanswered(self, error: httpx.TransportError) -> ServerError:
        """Translate that no answer has begun."""
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            return self._silent(error)
        said = f"No server answers at {self.root}: {_words(error)}"
        if not _is_tls(error):
            return ServerUnreachableError(
                f"{said}. Start it, or correct base_url; {self._retries + 1} attempts were made."
            )
        if "CERTIFICATE" in _words(error):
            return ServerUnreachableError(
                f"{said}. Expected a certificate that this machine trusts; set SSL_CERT_FILE to the file of "
                "who signed it."
            )
        plain = re.sub("^https", "http", self.root + self._version)
        return ServerUnreachableError(f"{said}. Expected a server that speaks TLS; try base_url={plain!r}.")

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
        said = f"{self.root}{self.path(path)} answered {status}: {reason}"
        model = str((body or {}).get("model") or "")
        if response.next_request is not None:
            there = "".join(_split(shown_address(str(response.next_request.url))))
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
            return ServerRouteError(f"{said}. Check base_url, and that the server serves this kind of model.")
        if body is not None and (status == 501 or (status == 500 and _NEVER.search(reason))):
            return ServerUnsupportedError(
                f"{said}. Expected a server that was started for this; start it with what it names, or ask "
                "another one."
            )
        if status in (408, 429) or status >= 500:
            kind = ServerFailedError if status in (500, 501) else ServerBusyError
            return kind(f"{said}. {self._later(_retry_after(response) or 0)}")
        return ServerRefusedError(f"{said}. Change what it names, or leave it out.")

    def _later(self, wait: float) -> str:
        if wait > _LONGEST_WAIT:
            return (
                f"It asks to wait {wait:.0f} s, and {_LONGEST_WAIT:.0f} s at most are waited for here; ask "
                "again then."
            )
        return (
            f"{self._retries + 1} attempts were made at most; ask later, ask fewer at a time, or raise "
            "max_retries."
        )

    def models(self) -> list[dict[str, Any]]:
        """Return what the server says of its models, each with an "id"; none if it has no list.

        Raises:
            ServerError: It is not there, is busy, or wants a key.
        """
        try:
            found = self.get("/v1/models")
        except (ServerRefusedError, ServerFailedError):
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


def _check_address(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        shown = re.split(r"[?#]", url.rpartition("@")[2])[0]
        raise InputError(f"base_url={shown!r} is no address; expected one like 'http://localhost:8000/v1'.")
    if "?" in url or "#" in url:
        raise InputError(
            f"base_url, an address at {parsed.host!r}, has a query or a fragment; expected one like "
            "'http://localhost:8000/v1'. Leave out what begins with '?' or '#', and pass a key as api_key=."
        )


def _split(address: str) -> tuple[str, str]:
    """Tell where a server is from the folder of its routes there: ("http://host", "/v1")."""
    scheme, _, rest = address.partition("://")
    host, *folders = rest.split("/")
    path = _PASTED.sub("", "".join(f"/{folder}" for folder in folders if folder))
    version = _VERSION.search(path)
    if version is None:
        return f"{scheme}://{host}{path}", "/v1"
    return f"{scheme}://{host}{path[: version.start()]}", version[0].lower()


def shown_address(address: str) -> str:
    """An address without what may be a secret: a name and a password, a query, a fragment."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", address)


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


class _Asking(threading.local):
    """What the request that a thread sends is cancelled by."""

    cancelled = threading.Event()


_asking = _Asking()


def _trace(event: str, info: Mapping[str, Any]) -> None:
    """See new connections, https://www.encode.io/httpcore/extensions/#trace."""
    if event.endswith(("connect_tcp.complete", "start_tls.complete")):
        _Watch(info["return_value"])


_TRACED = {"trace": _trace}


class _Watch:
    """Lets the reads of a connection end early: when its request is cancelled, or at a time.

    Only here is it known which connection a request without an answer uses, and only the thread that reads
    can end it without harm to the request that uses the connection next.
    """

    def __init__(self, stream: Any) -> None:
        self._read, self._write = stream.read, stream.write
        self._cancelled, self.end = threading.Event(), float("inf")
        stream.read, stream.write, stream.watch = self.read, self.write, self

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request: its answer may be read by another thread."""
        self._cancelled, self.end = _asking.cancelled, float("inf")
        self._write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for data in short pieces."""
        end = self.end if timeout is None else min(self.end, time.monotonic() + timeout)
        while not self._cancelled.is_set():
            left = end - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout("timed out")
            with suppress(httpcore.ReadTimeout):
                data: bytes = self._read(max_bytes, min(_LOOK, left))
                return data
        raise httpcore.ReadError("cancelled")


def _wanted(pieces: Iterable[bytes], cancelled: threading.Event) -> Iterator[bytes]:
    """Give pieces until they are not wanted any more."""
    try:
        yield from pieces
    except httpx.ReadError:
        if not cancelled.is_set():
            raise


def _read_end(response: httpx.Response, pieces: Iterable[bytes]) -> None:
    """Read what follows the last event, so that the connection can be used again; not for long."""
    watch = getattr(response.extensions.get("network_stream"), "watch", None)
    if watch is None:
        return
    watch.end = time.monotonic() + _END
    with suppress(httpx.HTTPError):
        for _ in pieces:
            pass


def _pause(cancelled: threading.Event, seconds: float) -> None:
    """Wait, unless the caller no longer does."""
    cancelled.wait(seconds)


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt, with some chance in them so that clients do not come back as one."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def _may_pass(failure: Exception) -> bool:
    """Whether asking again may help."""
    if isinstance(failure, ServerUnreachableError):
        return not _is_tls(failure.__cause__)
    return isinstance(failure, ServerBusyError)


def _is_tls(error: BaseException | None) -> bool:
    """Whether two sides disagree for good, which a connection that was cut in the handshake does not say."""
    return "[SSL: " in str(error) and "EOF" not in str(error)


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
    return str(error).rstrip(".") or type(error).__name__
