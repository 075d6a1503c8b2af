"""When a request is sent again, and how long it waits before. Knows errors and times, sends nothing."""

from __future__ import annotations

import random
import threading
import time
from email.utils import parsedate_to_datetime

import httpx

from qwen_agentkit.errors import ServerBusyError, ServerUnreachableError
from qwen_agentkit.server.failures import is_tls_mismatch

__all__ = ["LONGEST_WAIT", "backoff", "is_retryable", "requested_wait", "wait"]

LONGEST_WAIT = 60.0
"""Seconds between two attempts at most, also where the server asks for more."""

# Seconds before the first retry, doubled each time.
_FIRST_WAIT = 0.5


def is_retryable(failure: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(failure, ServerUnreachableError):
        return not is_tls_mismatch(failure.__cause__)
    return isinstance(failure, ServerBusyError)


def backoff(attempt: int) -> float:
    """Return the seconds to wait after an attempt, counted from 0; random, so that clients spread out."""
    return min(LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def requested_wait(response: httpx.Response) -> float | None:
    """Return the seconds that a server asks to wait: a number or a date, RFC 9110 section 10.2.3."""
    value = str(response.headers.get("retry-after", "")).strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def wait(cancelled: threading.Event, seconds: float) -> None:
    """Wait, but not longer than until the request is cancelled."""
    cancelled.wait(seconds)
