"""What every request passes first: the Host and Origin headers, the token, the size of the body.

A page of another site may send requests to this machine from a reader's browser. Its Origin gives it away; a
name that it lets point to this machine (DNS rebinding) is refused by the Host. Written as plain ASGI, since
Starlette's own base class for middleware hides from a stream that the client has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwen_agentkit.errors import AccessError
from qwen_agentkit.serve.access import LOCAL, TokenFile, User
from qwen_agentkit.serve.failures import failure

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine that no other machine can reach."""

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Refuses requests before any route sees them, and adds the headers of a page that runs nothing else.

    Args:
        app: What it guards.
        tokens: Who may ask; None lets this machine ask without a token.
        is_public: Tells whether a path needs no token.
        most_bytes: Bytes of a body, by the beginning of the path; "" for all others.
        hosts: Names that the Host header may have when no tokens are needed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: TokenFile | None,
        is_public: Callable[[str], bool],
        most_bytes: dict[str, int],
        hosts: Iterable[str] = LOOPBACK,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._is_public = is_public
        self._most_bytes = most_bytes
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["method"] == "HEAD":  # as GET; uvicorn keeps the true method, and sends no body
            scope = {**scope, "method": "GET"}
        headers, path = Headers(scope=scope), scope["path"]
        most = next(bytes for start, bytes in self._most_bytes.items() if path.startswith(start))
        refusal = self._refuse(headers, path, scope, most)
        app = failure(*refusal) if refusal else self._app
        await app(scope, _bounded(receive, most), _with_headers(send))

    def _refuse(self, headers: Headers, path: str, scope: Scope, most: int) -> tuple[int, str, str] | None:
        """Why a request is refused, as status, code and message; None if it is not. Sets the user."""
        if self._tokens is None and _host_name(headers.get("host", "")) not in self._hosts:
            known = ", ".join(sorted(self._hosts))
            return 421, "wrong_host", f"This server answers under the names {known} only. Use one of them."
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("//")[2] != headers.get("host", "").lower():
            told = f"A page of {origin[:100]!r} sent this request; only the page of this server may."
            return 403, "wrong_origin", f"{told} Ask from that, or from a program, which sends no Origin."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return 413, "too_large", f"The request has over {most} bytes, which is the most here."
        user = self._find_user(headers)
        if user is None and not self._is_public(path):
            return 401, "invalid_token", "The token is missing or unknown. Send: Authorization: Bearer TOKEN."
        scope.setdefault("state", {})["user"] = user
        return None

    def _find_user(self, headers: Headers) -> User | None:
        if self._tokens is None:
            return LOCAL
        kind, _, secret = headers.get("authorization", "").partition(" ")
        try:
            return self._tokens.find(secret.strip()) if kind.lower() == "bearer" else None
        except AccessError:
            return None  # the file of tokens is gone or broken


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _bounded(receive: Receive, most: int) -> Receive:
    """Count the bytes of a body, whose announced length may be missing."""
    left = most

    async def receive_bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"The request has over {most} bytes, which is the most here.")
        return message

    return receive_bounded


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
