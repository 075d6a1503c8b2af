"""`qwen-agentkit serve --watch`: the store follows folders while it is served, and says how far it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from qwen_agentkit.cli import hosting
from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.pipeline import IngestReport
from qwen_agentkit.serve.library import Library
from qwen_agentkit.stack import Stack
from tests.serve_site import served


def write(file: Path, text: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)


async def until(client: httpx.AsyncClient, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The list of documents, once something holds of it."""
    for _ in range(600):
        found: dict[str, Any] = (await client.get("/v1/documents")).json()
        if holds(found):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def sources(found: dict[str, Any]) -> list[str]:
    return [one["source"] for one in found["documents"]]


async def test_the_store_follows_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "الوثائق"
    write(folder / "hours.md", "The library opens at nine.")
    write(folder / "broken.pdf", b"%PDF-1.7 broken")
    async with served(Stack("nano", tmp_path / "store"), watched=[folder]) as site, site.client() as client:
        found = await until(client, lambda found: found["watched"]["runs"] >= 1)
        assert sources(found) == ["الوثائق/hours.md"]
        assert found["documents"][0]["uploaded"] is False
        assert found["watched"]["folders"] == ["الوثائق"]  # and not where it is
        [failing] = found["watched"]["failing"]
        assert (failing["source"], failing["tries"]) == ("الوثائق/broken.pdf", 1)
        figures = (await client.get("/metrics")).text
        assert "qwen_agentkit_watched_files_failing 1.0" in figures
        assert 'qwen_agentkit_watching{state="failed"} 0.0' in figures
        assert (await client.get("/health")).json()["watching"] in ("reading", "waiting")
        write(folder / "窑炉.md", "窑炉最高温度为1230度。")
        (folder / "hours.md").unlink()
        await until(client, lambda found: sources(found) == ["الوثائق/窑炉.md"])
        body = {"query": "窑炉最高温度", "limit": 1}
        [result] = (await client.post("/v1/search", json=body)).json()["results"]
        assert result["passage"]["source"] == "الوثائق/窑炉.md"
        await client.put("/v1/documents/boat.md", content="The boat leaves at nine.")
        await until(client, lambda found: sources(found) == ["uploads/boat.md", "الوثائق/窑炉.md"])


async def test_the_state_is_whole_while_the_first_changes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "documents" / "hours.md", "The library opens at nine.")
    go, ingest_folders = threading.Event(), Library.ingest_folders

    def wait_and_ingest(*given: Any) -> IngestReport:
        go.wait(60)
        return ingest_folders(*given)

    monkeypatch.setattr(Library, "ingest_folders", wait_and_ingest)
    stack = Stack("nano", tmp_path / "store")
    async with served(stack, watched=[tmp_path / "documents"]) as site, site.client() as client:
        watched = (await client.get("/v1/documents")).json()["watched"]
        go.set()
    expected = {"folders": ["documents"], "state": "reading", "runs": 0, "error": "", "failing": []}
    assert watched == expected


async def test_who_may_not_read_everything_sees_no_names_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    write(folder / "crew" / "hours.md", "The library opens at nine.")
    write(folder / "staff" / "safe.pdf", b"%PDF-1.7 broken")
    write(folder / "nobody.md", "This file lies in no group's folder.")
    users = {"anna": ["crew"], "chief": ["*"]}
    stack = Stack("nano", tmp_path / "store")
    async with served(stack, users, watched=[folder]) as site, site.client("chief") as chief:
        found = await until(chief, lambda found: found["watched"]["runs"] >= 1)
        failing = [one["source"] for one in found["watched"]["failing"]]
        assert failing == ["documents/nobody.md", "documents/staff/safe.pdf"]
        async with site.client("anna") as anna:
            found = (await anna.get("/v1/documents")).json()
            assert sources(found) == ["documents/crew/hours.md"]
            assert (found["watched"]["failing"], found["watched"]["folders"]) == ([], ["documents"])
        async with site.client() as anybody:
            assert "safe" not in (await anybody.get("/health")).text


async def test_no_request_names_a_folder(own_stack: Stack, tmp_path: Path) -> None:
    write(tmp_path / "other" / "a.md", "x")
    async with served(own_stack) as site, site.client() as client:
        assert "watched" not in (await client.get("/v1/documents")).json()
        assert "watching" not in (await client.get("/health")).json()
        for method in ("POST", "PATCH"):
            answer = await client.request(method, "/v1/documents", json={"watch": str(tmp_path / "other")})
            assert answer.status_code == 405
        await client.get(f"/v1/documents?watch={tmp_path / 'other'}")
        assert "watched" not in (await client.get("/v1/documents")).json()


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("none", "no such folder"),
        ("a/uploads", "no watched folder can have"),
        (".", "the store lies in"),
    ],
)
def test_folders_that_cannot_be_watched_are_refused_before_the_start(
    tmp_path: Path, folder: str, reason: str
) -> None:
    (tmp_path / "a" / "uploads").mkdir(parents=True)
    stack, started = Stack("nano", tmp_path / "store"), []
    for _ in range(2):  # the store is free again after the first
        with pytest.raises(InputError, match=reason):
            hosting.serve(stack, hosting.Hosting(port=0, watched=[tmp_path / folder]), started.append)
    assert started == []


async def test_the_server_ends_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """What the run has begun is completed by the next server."""
    folder = tmp_path / "documents"
    for number in range(30):
        write(folder / f"{number}.md", f"# {number}\n\n" + f"Locker {number} holds a kayak. " * 40)
    stack = Stack("nano", tmp_path / "store")
    async with served(stack, watched=[folder]) as site:
        watcher = site.app.state.service.watcher
        while not watcher._thread.is_alive():
            await asyncio.sleep(0.01)
    assert not watcher._thread.is_alive()
    async with served(Stack("nano", tmp_path / "store"), watched=[folder]) as site, site.client() as client:
        found = await until(client, lambda found: found["watched"]["runs"] >= 1)
        assert len(found["documents"]) == 30
