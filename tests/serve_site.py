"""A small store, served in this process without a socket."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwen_agentkit.ingest import ingest
from qwen_agentkit.serve.access import TokenFile, add_token
from qwen_agentkit.serve.app import build_app
from qwen_agentkit.serve.library import Library
from qwen_agentkit.stack import Stack

ADDRESS = "http://127.0.0.1:8100"
QUESTION = "When does the library open?"
HOURS = "The library opens at nine."
DOCUMENTS = {
    "crew/hours.md": f"# Hours\n\n{HOURS}",
    "crew/boat.md": "يغادر القارب في السابعة والنصف.",
    "staff/kiln.md": "窑炉最高温度为1230度。",
    "staff/safe.md": "The code of the safe is QZ4417.",
}


def write_documents(folder: Path) -> Path:
    for name, text in DOCUMENTS.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def nano_stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Models in memory for the whole session, and a store of `DOCUMENTS` in two groups that is closed."""
    folder = tmp_path_factory.mktemp("serve")
    stack = Stack("nano", folder / "store")
    with stack.store(create=True) as store:
        ingest([write_documents(folder / "documents")], store, groups=True)
    stack.reranker.score([("a", "b")])
    return stack


@pytest.fixture
def own_stack(nano_stack: Stack, tmp_path: Path) -> Stack:
    """A copy of the store that a test may write to."""
    shutil.copytree(nano_stack.folder, tmp_path / "store")
    return Stack("nano", tmp_path / "store")


class Site:
    """A served store, and its clients."""

    def __init__(self, app: Any, library: Library, secrets: dict[str, str], tokens: Path) -> None:
        self.app = app
        self.library = library
        self.secrets = secrets
        self.tokens = tokens

    def client(self, user: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client, with the token of a user."""
        if user is not None:
            headers["authorization"] = f"Bearer {self.secrets[user]}"
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ADDRESS, headers=headers, timeout=60
        )


@asynccontextmanager
async def served(
    stack: Stack, users: dict[str, list[str]] | None = None, **options: Any
) -> AsyncIterator[Site]:
    """Serve a store, with tokens for users by their groups. Writers' names end with "writer"."""
    secrets: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tokens.json")
        for name, groups in (users or {}).items():
            secrets[name] = add_token(file, name, groups, writes=name.endswith("writer"))
        tokens = TokenFile(file) if users else None
        library = Library(stack, model=options.pop("model", None), groups=tokens is not None)
        app = build_app(library, tokens=tokens, **options)
        async with app.router.lifespan_context(app):
            yield Site(app, library, secrets, file)


class Connection:
    """One request whose client can go at any time, which httpx cannot do without a socket."""

    def __init__(self, app: Any, path: str, body: dict[str, Any]) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._body: list[bytes] = [json.dumps(body).encode()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8100"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8100),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.put_nowait(message.get("body", b""))

    async def read_until(self, part: bytes) -> None:
        """Read until a piece holds `part`."""
        while part not in await asyncio.wait_for(self.sent.get(), 30):
            pass

    def go(self) -> None:
        """Close the connection."""
        self._gone.set()


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream."""
    data = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) for line in data if line != "[DONE]"]
