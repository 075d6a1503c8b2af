"""Starts the server of a store, and its MCP server over stdio. Knows addresses and sockets, no route."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen_agentkit.errors import InputError, missing_extra
from qwen_agentkit.stack import Stack

__all__ = ["Hosting", "serve", "serve_mcp"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_STOPPING_SECONDS = 5
"""How long open answers may go on when the server is told to stop."""
_MOST_FILES = 8192
"""Connections and files that a server may have open."""


@dataclass(frozen=True)
class Hosting:
    """How a store is served.

    Attributes:
        model: The chat model that answers; None for the preset's.
        graph: The graph that the page begins with.
        host: Address to listen at.
        port: 0 takes a free one.
        tokens: File of tokens; None lets everybody in who uses this machine.
        watched: Folders that the store is kept in step with.
    """

    model: str | None = None
    graph: str = "rag"
    host: str = "127.0.0.1"
    port: int = 8100
    tokens: Path | None = None
    watched: Sequence[Path] = ()


def serve(stack: Stack, hosting: Hosting, on_start: Callable[[str], None]) -> None:
    """Serve a store until the process is told to stop; `on_start` gets the address.

    Raises:
        InputError: The address needs tokens, or it is in use, or there is no such graph, or a folder cannot
            be watched.
        StoreLockedError: Another process has the store open.
        MissingExtraError: The extra `serve` is not installed, or `watch` for folders.
    """
    if hosting.host not in _LOOPBACK and hosting.tokens is None:
        raise InputError(
            f"--host {hosting.host} lets other machines in, which needs tokens; expected --tokens FILE. Make "
            "one with: qwen-agentkit token anna --tokens tokens.json --group crew"
        )
    # The address first: an error there should not wait for the store.
    with _listen(hosting.host, hosting.port) as listening:
        try:
            import uvicorn

            from qwen_agentkit.serve.app import build_app
        except ModuleNotFoundError as error:
            raise missing_extra(error, "uvicorn", "serve") from error
        from qwen_agentkit.serve.access import TokenFile
        from qwen_agentkit.serve.library import Library

        _check_graph(hosting.graph)
        # Before the SDK of MCP, which would frame each event in columns of a narrow terminal.
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        tokens = TokenFile(hosting.tokens) if hosting.tokens else None
        library = Library(stack, model=hosting.model, groups=tokens is not None)
        try:
            app = build_app(library, tokens=tokens, graph=hosting.graph, watched=hosting.watched)
        except BaseException:
            library.close()
            raise
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOPPING_SECONDS,
        )
        _allow_many_connections()
        host = f"[{hosting.host}]" if ":" in hosting.host else hosting.host
        on_start(f"http://{host}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])


def serve_mcp(stack: Stack, *, model: str | None, graph: str) -> None:
    """Serve a store to the program that started this process, over its standard input and output.

    Raises:
        InputError: There is no such graph.
        StoreLockedError: Another process has the store open.
        MissingExtraError: The extra `serve` is not installed.
    """
    try:
        from qwen_agentkit.serve.mcp import build_mcp_server
    except ModuleNotFoundError as error:
        raise missing_extra(error, (error.name or "").split(".")[0], "serve") from error
    from qwen_agentkit.serve.library import Library
    from qwen_agentkit.serve.running import Runner

    _check_graph(graph)
    library = Library(stack, model=model)
    try:
        build_mcp_server(library, Runner(library), graph).run("stdio")
    finally:
        library.close()


def _check_graph(graph: str) -> None:
    from qwen_agentkit.serve.running import GRAPHS

    if graph not in GRAPHS:
        raise InputError(f"--graph {graph} is unknown; expected one of {', '.join(GRAPHS)}.")


def _allow_many_connections() -> None:
    """Raise the number of files that this process may open: often 1024, and each connection is one."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[
            0
        ]  # Python adds the address, which stands here already
        raise InputError(
            f"The port {port} of {host} cannot be used ({reason}); expected a free one. Type, for "
            f"instance: --port {port + 1}"
        ) from error
