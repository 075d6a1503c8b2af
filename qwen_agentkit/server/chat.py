"""Chats with one model of a server, as the events that the engine yields. Knows the route, no LangChain."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from qwen_agentkit.chat.parsing import Event
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.errors import ServerFailedError
from qwen_agentkit.server.body import write_body
from qwen_agentkit.server.flavors import check_model, detect_server
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.reader import AnswerReader

__all__ = ["ChatServer"]


class ChatServer:
    """Chat with one model of a server.

    Args:
        server: Where it is.
        model: As the server names it.
        flavor: Kind of server, a name in `FLAVORS`; None asks the server.

    Attributes:
        flavor: The kind of server.

    Raises:
        InputError: There is no such kind of server.
        ServerError: The server does not answer, or does not have the model.
    """

    def __init__(self, server: Server, model: str, flavor: str | None = None) -> None:
        models = server.models()
        self.flavor = detect_server(server, flavor, models)
        check_model(server, self.flavor, model, models)
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
