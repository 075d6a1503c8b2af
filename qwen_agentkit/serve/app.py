"""Builds the server from its parts. Knows every route, and what each needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from qwen_agentkit import __version__
from qwen_agentkit.errors import MissingExtraError

try:
    from fastapi import Depends, FastAPI
    from starlette.responses import Response

    from qwen_agentkit.serve import chat, documents, threads, vectors
    from qwen_agentkit.serve.access import TokenFile
    from qwen_agentkit.serve.conversations import Conversations
    from qwen_agentkit.serve.failures import add_handlers
    from qwen_agentkit.serve.guard import LOOPBACK, Guard
    from qwen_agentkit.serve.library import Library
    from qwen_agentkit.serve.mcp import build_mcp_server, http_routes
    from qwen_agentkit.serve.metrics import CountRequests, Metrics
    from qwen_agentkit.serve.page_files import page_files, page_routes
    from qwen_agentkit.serve.running import Runner
    from qwen_agentkit.serve.service import MOST_BODY, MOST_UPLOAD, Service, service_of
    from qwen_agentkit.serve.watching import Watcher
except ModuleNotFoundError as error:
    if (error.name or "").startswith("qwen_agentkit"):
        raise
    raise MissingExtraError(
        f"{error.name} is not installed; expected the extra 'serve'. Type: pip install 'qwen-agentkit[serve]'"
    ) from error

__all__ = ["build_app"]

_IDLE_CHECK_SECONDS = 30.0


def build_app(
    library: Library,
    *,
    tokens: TokenFile | None = None,
    graph: str = "rag",
    idle_seconds: float = 900.0,
    hosts: Iterable[str] = LOOPBACK,
    watched: Sequence[Path] = (),
) -> FastAPI:
    """Make the ASGI app of one server. It closes the library when it ends.

    Args:
        library: The store and the models.
        tokens: Who may ask. None lets everybody in who reaches the server: bind it to this machine only.
        graph: The graph that the page and the tool `ask` of MCP begin with.
        idle_seconds: After so long without a question the models leave the memory.
        hosts: Names of the server when no tokens are needed.
        watched: Folders that the store is kept in step with.

    Raises:
        InputError: A watched folder cannot be watched.
    """
    metrics = Metrics()
    runner = Runner(library)
    conversations = Conversations(library.data / "conversations.sqlite")
    watcher = Watcher(library, watched) if watched else None
    service = Service(library, runner, conversations, metrics, tokens, graph, watcher)
    mcp_routes, mcp_running = http_routes(build_mcp_server(library, runner, graph))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        unloading = asyncio.create_task(_unload_idle(library, idle_seconds))
        try:
            if watcher is not None:
                watcher.start()
            async with (
                mcp_running,
                runner.keep_runs(library.data / "plans.sqlite", conversations.all_plans()),
            ):
                yield
        finally:
            unloading.cancel()
            with suppress(asyncio.CancelledError):
                await unloading
            if watcher is not None:
                await asyncio.to_thread(watcher.stop)
            conversations.close()
            library.close()

    # The pages that FastAPI has for its schema load scripts from elsewhere.
    app = FastAPI(
        title="qwen-agentkit",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.router.routes.extend(page_routes())  # first, as there are many: routes are tried one after another
    for part in (chat, vectors, documents, threads):
        app.include_router(part.router)
    app.add_api_route("/health", show_health)
    app.add_api_route("/metrics", show_metrics)
    app.router.routes.extend(mcp_routes)
    add_handlers(app)
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(
        Guard,
        tokens=tokens,
        is_public=lambda path: path in page_files() or path == "/health",
        most_bytes={"/v1/documents": MOST_UPLOAD, "": MOST_BODY},
        hosts=hosts,
    )
    return app


async def show_health(service: Annotated[Service, Depends(service_of)]) -> dict[str, Any]:
    """Whether the server answers, which models are in memory, and whether folders are in step."""
    watching = {} if service.watcher is None else {"watching": service.watcher.now.state}
    return {"status": "ok", "models": service.library.states, **watching}


async def show_metrics(service: Annotated[Service, Depends(service_of)]) -> Response:
    """Figures in Prometheus' text format."""
    for name, state in service.library.states.items():
        service.metrics.loaded.labels(name).set(state == "ready")
    service.metrics.running.set(service.runner.running)
    service.metrics.waiting.set(service.runner.waiting)
    if service.watcher is not None:
        service.metrics.show_watched(service.watcher.now)
    return Response(service.metrics.text(), media_type=service.metrics.content_type)


async def _unload_idle(library: Library, seconds: float) -> None:
    while True:
        await asyncio.sleep(min(_IDLE_CHECK_SECONDS, seconds))
        await asyncio.to_thread(library.unload_idle, seconds)
