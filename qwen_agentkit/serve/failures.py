"""Errors as responses, in the form that OpenAI's clients read. Knows the tree of errors, no route."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from qwen_agentkit import errors
from qwen_agentkit.serve.events import ClientGone
from qwen_agentkit.serve.running import Busy, PlanLost

__all__ = ["add_handlers", "describe_error", "failure", "not_found"]

_log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (Busy, 429, "busy"),
    (PlanLost, 409, "plan_lost"),
    (ClientGone, 499, "client_gone"),
    (ClientDisconnect, 499, "client_gone"),
    (errors.LoadError, 422, "unreadable_document"),
    (errors.InputTooLongError, 400, "context_length_exceeded"),
    (errors.InputError, 400, "invalid_request"),
    (errors.AccessError, 403, "not_allowed"),
    (errors.MissingExtraError, 501, "missing_extra"),
    (errors.OutOfMemoryError, 507, "no_space"),
    (errors.ModelError, 503, "model_unavailable"),
    (errors.StoreMismatchError, 409, "other_embedder"),
    (errors.RetrievalTimeoutError, 504, "timeout"),
    (errors.QwenAgentKitError, 503, "unavailable"),
)
_CODES = {404: "not_found", 405: "wrong_method", 413: "too_large", 415: "wrong_content_type"}
_TYPE = re.compile(r"(str|int|list|dict)(\[.*)?")
"""What Pydantic adds to the place of an error in a field of several types."""
_MESSAGES = {
    Busy: "As many questions as this server takes are being answered or wait. Ask again in a while.",
    PlanLost: "The plan does not wait any more. Ask the question again.",
    ClientGone: "The client closed the connection.",
    ClientDisconnect: "The client closed the connection.",
}


def describe_error(error: BaseException) -> tuple[int, str, str]:
    """The status, code and message of an error. What nobody foresaw is told to the log alone."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return status, code, _MESSAGES.get(kind) or str(error)
    _log.error("A request failed.", exc_info=error)
    return 500, "internal_error", f"{type(error).__name__} inside the server. Its log says more."


def failure(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    param: str | None = None,
) -> Response:
    """An error as a response; `param` is the field of the request that is wrong."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse(
        {"error": {"message": message, "type": kind, "param": param, "code": code}},
        status,
        headers={
            **({"www-authenticate": "Bearer"} if status == 401 else {}),
            **({"retry-after": "5"} if status == 429 else {}),
            **(headers or {}),
        },
    )


def not_found(what: str, name: str, expected: str = "") -> HTTPException:
    """The error for something that is not offered, or not to this user."""
    return HTTPException(404, f"There is no {what} {name[:100]!r}. {expected}".strip())


def add_handlers(app: FastAPI) -> None:
    """Answer every error of an app's routes in one form."""

    async def foreseen(request: Request, error: Exception) -> Response:
        return failure(*describe_error(error))

    async def http(request: Request, error: Any) -> Response:
        code, message = _CODES.get(error.status_code, "refused"), str(error.detail)
        asked = f"{request.method} {request.url.path[:100]!r}"
        if message == HTTPStatus.NOT_FOUND.phrase:
            message = (
                f"There is no {asked}. GET /openapi.json lists what there is. A program that speaks OpenAI's "
                "API needs an address that ends in /v1, and chat completions."
            )
        elif message == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
            message = f"There is no {asked}; expected {(error.headers or {}).get('Allow', 'another method')}."
        return failure(error.status_code, code, message, error.headers)

    async def invalid(request: Request, error: Any) -> Response:
        place, reason = _describe_invalid(error.errors())
        message = (
            f"The request is not valid at {place or 'its body'}: {reason}. GET /openapi.json has its form."
        )
        return failure(400, "invalid_request", message, param=place or None)

    for kind, _, _ in _STATUS:
        app.add_exception_handler(kind, foreseen)
    app.add_exception_handler(StarletteHTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, foreseen)


def _describe_invalid(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Where the first wrong field of a request is wrong, and how.

    A field of several types has an error for each. The deepest is about the type that was meant.
    """
    places = [
        [str(one) for one in error["loc"] if one != "body" and not _TYPE.fullmatch(str(one))]
        for error in errors
    ]
    deepest = max((place for place in places if place[:1] == places[0][:1]), key=len)
    reasons = [
        error["msg"].removeprefix("Value error, ").rstrip(".")
        for error, place in zip(errors, places, strict=True)
        if place == deepest
    ]
    return ".".join(deepest), ", or: ".join(dict.fromkeys(reasons))
