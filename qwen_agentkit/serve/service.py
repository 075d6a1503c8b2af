"""The parts of one server, which its routes share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.requests import Request

from qwen_agentkit.errors import AccessError
from qwen_agentkit.serve.access import TokenFile, User
from qwen_agentkit.serve.conversations import Conversations
from qwen_agentkit.serve.library import Library
from qwen_agentkit.serve.metrics import Metrics
from qwen_agentkit.serve.running import Runner
from qwen_agentkit.serve.watching import Watcher

__all__ = ["Service", "current_user", "service_of", "user_of"]

MOST_UPLOAD = 64 << 20
"""Bytes of an uploaded file."""
MOST_BODY = 16 << 20
"""Bytes of any other body."""


@dataclass
class Service:
    """The parts of a server.

    Attributes:
        graph: The graph that the page begins with.
        watcher: Keeps the store in step with folders; None if there are none.
        writing: Held while documents change, so that those who wait hold no thread.
    """

    library: Library
    runner: Runner
    conversations: Conversations
    metrics: Metrics
    tokens: TokenFile | None
    graph: str = "rag"
    watcher: Watcher | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


# FastAPI would hand plain functions to a thread, for every request.
async def service_of(request: Request) -> Service:
    """The server that a request came to."""
    service: Service = request.app.state.service
    return service


async def current_user(request: Request) -> User:
    """As `user_of`, for routes."""
    return user_of(request)


def user_of(request: Request) -> User:
    """The user of a request that passed the guard.

    Raises:
        AccessError: There is none, which no route with a guard before it sees.
    """
    user: User | None = request.scope.get("state", {}).get("user")
    if user is None:
        raise AccessError("No user is known for this request; expected one with a token.")
    return user
