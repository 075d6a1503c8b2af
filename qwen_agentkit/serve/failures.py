"""Errors as responses, in the form that OpenAI's clients read. Knows the tree of errors, no route."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
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
_MESSAGES = {
    Busy: "As many questions as this server takes are being answered or wait. Ask again in a while.",
    PlanLost: "The plan does not wait any more. Ask the question again.",
    ClientGone: "The client closed the connection.",
}


def describe_error(error: BaseException) -> tuple[int, str, str]:
    """The status, code and message of an error. What nobody foresaw is told to the log alone."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return status, code, _MESSAGES.get(kind) or str(error)
    _log.error("A request failed.", exc_info=error)
    return 500, "internal_error", f"{type(error).__name__} inside the server. Its log says more."


def failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as a response."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse(
        {"error": {"message": message, "type": kind, "param": None, "code": code}},
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
        codes = {404: "not_found", 413: "too_large", 405: "wrong_method"}
        return failure(error.status_code, codes.get(error.status_code, "refused"), str(error.detail))

    async def invalid(request: Request, error: Any) -> Response:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"] if one != "body")
        return failure(
            400, "invalid_request", f"The request is not valid at {place or 'its body'}: {first['msg']}."
        )

    for kind, _, _ in _STATUS:
        app.add_exception_handler(kind, foreseen)
    app.add_exception_handler(StarletteHTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, foreseen)
