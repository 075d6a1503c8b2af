"""Chats with one model of a server, as the events that the engine yields. Knows the route, no LangChain."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from qwen_agentkit.chat.parsing import ContentEvent, Event
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.chat.sampling import usually_thinks
from qwen_agentkit.chat.stops import StopStrings
from qwen_agentkit.errors import ServerFailedError
from qwen_agentkit.server.body import write_body
from qwen_agentkit.server.flavors import Flavor, check_model, context_of, detect_server
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.reader import AnswerReader, StoppedThoughtError

__all__ = ["ChatServer"]


class ChatServer:
    """Chat with one model of a server.

    Args:
        server: Where it is.
        model: As the server names it.
        flavor: Kind of server, a name in `FLAVORS`; None asks the server.

    Attributes:
        flavor: The kind of server.
        context: Tokens of its context; None if it does not say.

    Raises:
        InputError: There is no such kind of server.
        ServerError: The server does not answer, or does not have the model.
    """

    def __init__(self, server: Server, model: str, flavor: str | None = None) -> None:
        models = server.models()
        self.flavor = detect_server(server, flavor, models)
        check_model(server, self.flavor, model, models)
        self.context = next((context_of(row) for row in models if row["id"] == model), None)
        self._server, self._model = server, model

    def answer(
        self, request: Request, cancelled: threading.Event, *, streams: bool = True
    ) -> Iterator[Event | Done]:
        """Answer a chat: events while the server writes, then one `Done`.

        Args:
            request: What is asked.
            cancelled: Set it from another thread to close the connection soon.
            streams: Whether the caller reads events while they come. If not, a server that reports more in
                one piece is asked for one.

        Raises:
            InputTooLongError: The chat does not fit the context.
            ServerUnsupportedError: The server cannot do what is asked, or did something else.
            ServerError: There was no whole answer.
        """
        request = _without_empty_budget(request, self.flavor)
        thinks = request.thinking or (request.thinking is None and usually_thinks(self._model))
        if request.stop and thinks and (streams or request.thinking):
            yield from self._stopped(request, cancelled, streams=streams)
        elif request.stop and not streams:
            try:
                yield from [*self._answer(request, cancelled, streams=streams)]
            except StoppedThoughtError:
                yield from self._stopped(request, cancelled, streams=streams)
        else:
            yield from self._answer(request, cancelled, streams=streams)

    def _stopped(
        self, request: Request, cancelled: threading.Event, *, streams: bool
    ) -> Iterator[Event | Done]:
        """Answer up to a stop string. Servers would end a thought at it, too, so they are not told."""
        stops = StopStrings(request.stop)
        with closing(self._answer(replace(request, stop=()), cancelled, streams=streams)) as events:
            for event in events:
                if isinstance(event, ContentEvent):
                    if text := stops.feed(event.text):
                        yield ContentEvent(text)
                    if stops.reached:
                        yield Done(None, None, None, None, "stop", thinking_truncated=False)
                        return
                    continue
                if text := stops.release():
                    yield ContentEvent(text)
                yield event

    def _answer(
        self, request: Request, cancelled: threading.Event, *, streams: bool
    ) -> Generator[Event | Done]:
        body = write_body(self._model, self.flavor, request)
        reader = AnswerReader(self._server.root, self._model, request, streams=streams)
        if streams or not self.flavor.quiet_streams:
            yield from self._read(body, reader, cancelled)
        # A quiet stream that ends before it has begun does not say why.
        if self.flavor.quiet_streams and not reader.begun and not cancelled.is_set():
            yield from self._read({**body, "stream": False}, reader, cancelled)
        if not cancelled.is_set():
            yield from reader.close()

    def _read(
        self, body: dict[str, Any], reader: AnswerReader, cancelled: threading.Event
    ) -> Iterator[Event]:
        try:
            with self._server.stream("/v1/chat/completions", body, cancelled) as chunks:
                for chunk in chunks:
                    yield from reader.feed(chunk)
        except ServerFailedError as error:
            if not self.flavor.loads_models:
                raise
            raise ServerFailedError(
                f"{error} It loads models on request: check that it can find the model {self._model!r}."
            ) from error
        except RecursionError as error:
            raise reader.failure("answered with JSON that is nested too deeply") from error


def _without_empty_budget(request: Request, flavor: Flavor) -> Request:
    """Return a request for no thought at all, where a server could only close a thought without a word.

    A model that is stopped so goes on thinking in its answer.
    """
    if request.thinking_budget != 0 or flavor.budget_words or flavor.budget is None:
        return request
    return replace(request, thinking=False, thinking_budget=None)
