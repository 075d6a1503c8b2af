"""Figures about a server, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwen_agentkit.serve.watching import Watched

__all__ = ["CountRequests", "Metrics"]

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """The figures of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "qwen_agentkit"
        registry = self.registry
        self.requests = Counter(
            f"{name}_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            f"{name}_request_seconds",
            "Seconds until the first byte",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.answers = Counter(
            f"{name}_answers", "Questions answered", ["graph", "outcome"], registry=registry
        )
        self.tokens = Counter(f"{name}_tokens", "Tokens of the chat model", ["kind"], registry=registry)
        self.running = Gauge(f"{name}_running_answers", "Questions being answered", registry=registry)
        self.waiting = Gauge(
            f"{name}_waiting_questions", "Questions that wait for a place", registry=registry
        )
        self.loaded = Gauge(
            f"{name}_model_loaded", "Whether a model is in memory", ["model"], registry=registry
        )
        self.watching = Gauge(
            f"{name}_watching", "The state of the watched folders", ["state"], registry=registry
        )
        self.failing = Gauge(
            f"{name}_watched_files_failing", "Files of watched folders that cannot be read", registry=registry
        )

    def show_watched(self, watched: Watched) -> None:
        """Set the figures about watched folders, which only a server that watches has."""
        for state in ("reading", "waiting", "failed"):
            self.watching.labels(state).set(watched.state == state)
        self.failing.set(len(watched.failing))

    def count_answer(self, graph: str, answer: Mapping[str, Any]) -> None:
        """Count an answer and its tokens."""
        self.answers.labels(graph, "abstained" if answer["abstained"] else "answered").inc()
        for kind, count in answer["tokens"].items():
            self.tokens.labels(kind).inc(count)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class CountRequests:
    """Counts the requests of an app by route, never by path: a path may be anything."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - start)
            await send(message)

        await self._app(scope, receive, send_counted)
