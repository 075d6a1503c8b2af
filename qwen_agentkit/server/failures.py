"""What went wrong with a request, as this package's errors. Knows statuses and messages, sends nothing.

Servers write an error as `{"error": {"message"}}`, `{"error": "..."}`, `{"detail"}` or `{"message"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx

from qwen_agentkit.errors import (
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
from qwen_agentkit.server.address import shown_address, split_address

__all__ = ["Failures", "error_message", "is_tls_mismatch"]

_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum (context|input|model)|max_model_len|too long|input length|"
    r"must have less than",
    re.IGNORECASE,
)

# What llama.cpp says with status 500 of a text that is longer than a batch.
_TOO_LARGE = re.compile(r"too large to process|physical batch size", re.IGNORECASE)

# What a server says with status 500 when it was started for something else: llama-cpp-python, for one.
_UNSUPPORTED = re.compile(r"must be created with|not support|unsupported|not implemented", re.IGNORECASE)

_NO_MODEL = re.compile(r"not (found|exist)|no such|unknown|pinned", re.IGNORECASE)


class Failures:
    """Translates what goes wrong at one server.

    Args:
        root: Address of the server for messages, without secrets.
        version: Folder of its routes, such as "/v1".
        silence: Seconds of silence after which a request is given up.
        attempts: Times a request is sent at most.
        longest_wait: Seconds between two attempts at most.
    """

    def __init__(
        self, root: str, version: str, *, silence: float, attempts: int, longest_wait: float
    ) -> None:
        self._root, self._version = root, version
        self._silence, self._attempts, self._longest_wait = silence, attempts, longest_wait

    def without_answer(self, error: httpx.TransportError) -> ServerError:
        """Translate an error that came before any part of a response."""
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            return self.timed_out(error)
        message = f"No server answers at {self._root}: {_text(error)}"
        if not is_tls_mismatch(error):
            return ServerUnreachableError(
                f"{message}. Start it, or correct base_url; {self._attempts} attempts were made."
            )
        if "CERTIFICATE" in _text(error):
            return ServerUnreachableError(
                f"{message}. Expected a certificate that this machine trusts; set SSL_CERT_FILE to the file "
                "of the authority that signed it."
            )
        plain = re.sub("^https", "http", self._root + self._version)
        return ServerUnreachableError(
            f"{message}. Expected a server that speaks TLS; try base_url={plain!r}."
        )

    def timed_out(self, error: Exception) -> ServerTimeoutError:
        """Translate a silence that lasted too long."""
        return ServerTimeoutError(
            f"The server at {self._root} was silent for {self._silence:g} s ({_text(error)}). Raise "
            "timeout=, or ask for less."
        )

    def broken_off(self, error: Exception) -> ServerAnswerError:
        """Translate a response that ended before it was complete."""
        return ServerAnswerError(
            f"The connection to {self._root} broke off before the answer was complete: {_text(error)}. Ask "
            "again; if it happens again, look into the server's log."
        )

    def while_answering(self, reason: str) -> ServerAnswerError | InputTooLongError:
        """Translate an error that the server reports in its answer, or in place of one."""
        if _TOO_LONG.search(reason):
            return InputTooLongError(
                f"{self._root} answered: {reason}. Shorten the text, or serve the model with a longer "
                "context."
            )
        return ServerAnswerError(
            f"The server at {self._root} failed while it answered: {reason}. Ask again; if it happens again, "
            "look into the server's log."
        )

    def not_json(self, text: str) -> ServerAnswerError | InputTooLongError:
        """Translate an answer that is not the JSON it should be."""
        if text.startswith('{"error"'):  # with quotes or line breaks in it that are not escaped
            return self.while_answering(_shorten(text))
        return ServerAnswerError(
            f"{self._root} answered {_shorten(text)!r}, which is not a JSON object; expected an "
            "OpenAI-compatible server. Check base_url: it ends where '/chat/completions' begins."
        )

    def from_response(
        self, response: httpx.Response, path: str, model: str, wait: float | None, choices: Callable[[], str]
    ) -> ServerError | InputTooLongError:
        """Translate a response whose status is an error, and close it.

        Args:
            response: Its content is still to be read.
            path: The route that was asked.
            model: The model that was asked for; "" if none was.
            wait: Seconds that the server asks to wait before the next attempt.
            choices: Says which models there are.
        """
        status, reason = response.status_code, _read_reason(response)
        message = f"{self._root}{path} answered {status}: {reason}"
        if response.next_request is not None:
            target = "".join(split_address(shown_address(str(response.next_request.url))))
            return ServerAnswerError(
                f"{message}. Expected an answer, not another address; pass base_url={target!r}."
            )
        if status in (401, 403):
            return ServerAccessError(f"{message}. Expected a valid key; pass api_key=.")
        too_long = _TOO_LARGE if status == 500 else _TOO_LONG
        if status in (400, 413, 422, 500) and too_long.search(reason):
            return InputTooLongError(
                f"{message}. Shorten the text, or serve the model with a longer context."
            )
        if status in (400, 404) and model and model in reason and _NO_MODEL.search(reason):
            return ServerModelError(f"{message}. {choices()}")
        if status in (404, 405):
            return ServerRouteError(
                f"{message}. Check base_url, and that the server serves this kind of model."
            )
        asked = response.request.method == "POST"
        if asked and (status == 501 or (status == 500 and _UNSUPPORTED.search(reason))):
            return ServerUnsupportedError(
                f"{message}. Expected a server that was started for this; start it with what it names, or "
                "ask another one."
            )
        if status in (408, 429) or status >= 500:
            kind = ServerFailedError if status in (500, 501) else ServerBusyError
            return kind(f"{message}. {self._advise_later(wait or 0)}")
        return ServerRefusedError(f"{message}. Change what it names, or leave it out.")

    def _advise_later(self, wait: float) -> str:
        if wait > self._longest_wait:
            return (
                f"It asks to wait {wait:.0f} s, but a retry waits {self._longest_wait:.0f} s at most; ask "
                "again then."
            )
        return (
            f"{self._attempts} attempts were made at most; ask later, ask fewer at a time, or raise "
            "max_retries."
        )


def is_tls_mismatch(error: BaseException | None) -> bool:
    """Whether TLS failed for good; a handshake that was cut off may succeed later."""
    return "[SSL: " in str(error) and "EOF" not in str(error)


def error_message(value: Any) -> str:
    """Find the sentence in the JSON of an error; "" if there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (error_message(item) for item in value)))
    if isinstance(value, dict):
        messages = (error_message(value.get(key)) for key in ("error", "message", "detail", "msg"))
        location = value.get("loc")
        place = ".".join(map(str, location)) if isinstance(location, list) else ""
        return ": ".join(filter(None, (place, next(filter(None, messages), ""))))
    return ""


def _read_reason(response: httpx.Response) -> str:
    """Read what a response with an error status says, and close it."""
    try:
        response.read()
        text = response.text
    except httpx.HTTPError:
        text = ""
    finally:
        response.close()
    try:
        reason = error_message(json.loads(text))
    except (ValueError, RecursionError):  # not JSON, or nested too deeply
        reason = ""
    return (reason or _shorten(text) or "no reason given").rstrip(".")


def _shorten(text: str) -> str:
    """Return the beginning of a text, without the tags of a web page."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:200]


def _text(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
