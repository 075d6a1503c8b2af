"""`qwen-agentkit serve` as its own process, and Chromium to look at its page. Needs the extra `browser`."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest

from qwen_agentkit.cli.commands import handbook_folder
from qwen_agentkit.ingest import ingest
from qwen_agentkit.stack import Stack

pytest.importorskip("playwright", reason="needs the extra browser")
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack("nano", tmp_path_factory.mktemp("browser") / "store")
    with stack.store(create=True) as store:
        ingest([handbook_folder()], store)
    return stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with sync_playwright() as play:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        found = play.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


class Server:
    """`qwen-agentkit serve` as its own process."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "qwen_agentkit.cli", "serve", "--preset", "nano"]
        words = [*command, "--store", str(folder), "--port", str(port), *options]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, unless it has ended."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(handbook: Stack) -> Iterator[Server]:
    with Server(handbook.folder) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with clean_page(browser, server) as page:
        yield page


@contextmanager
def clean_page(browser: Browser, server: Server, locale: str = "en-US") -> Iterator[Page]:
    """A page whose every request goes to the server, and which reports no error."""
    with browser.new_context(locale=locale, viewport={"width": 1280, "height": 800}) as context:
        page, faults = context.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda one: faults.append(one.text) if is_fault(one) else None)
        page.on("request", lambda one: None if is_own(one.url, server) else faults.append(one.url))
        yield page
    assert faults == []


def is_fault(message: ConsoleMessage) -> bool:
    """Whether a message of the console tells of a fault, and not of an answer such as 422."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")


def is_own(url: str, server: Server) -> bool:
    return url.startswith((server.address, "blob:"))


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def open_passage(page: Page, query: str) -> None:
    """Open the best passage by its link."""
    id: Any = page.evaluate(
        """async (query) => {
            const body = JSON.stringify({query, limit: 1});
            const headers = {"content-type": "application/json"};
            const answer = await fetch("/v1/search", {method: "POST", body, headers});
            return (await answer.json()).results[0].passage.id;
        }""",
        query,
    )
    page.evaluate("(id) => { location.hash = `passage=${id}`; }", id)
    expect(page.locator("#panel .passage")).to_be_visible()


def check_access(page: Page) -> None:
    """axe finds nothing serious."""
    if find_spec("axe_core_python") is None:
        pytest.skip("needs axe-core-python")
    from axe_core_python import sync_playwright as axe

    source = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)
    found: Any = page.evaluate("() => axe.run()")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert not serious, [(one["id"], one["nodes"][0]["html"]) for one in serious]
