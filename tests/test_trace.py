"""`ask --trace`: a page that holds the run, loads nothing, runs nothing, and reads in every direction."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from qwen_agentkit.cli import commands
from qwen_agentkit.errors import InputError
from qwen_agentkit.stack import Stack

HOSTILE = '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(2)> {{ 7 * 7 }}'
USAGE: UsageMetadata = {"input_tokens": 321, "output_tokens": 12, "total_tokens": 333}


class Scripted(Stack):
    """The nano stack with a chat model that thinks and says what it is told to."""

    @property
    def answering(self) -> BaseChatModel:
        said = AIMessage(
            f"The library opens at nine [1]. {HOSTILE}",
            additional_kwargs={"reasoning_content": f"Let me see. {HOSTILE}"},
            usage_metadata=USAGE,
        )
        return FakeMessagesListChatModel(responses=[said])


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    (folder / "hours.md").write_text("The library opens at nine.")
    (folder / "trap.md").write_text(f"Nothing opens here. {HOSTILE}")
    (folder / "boat.md").write_text("يغادر القارب في السابعة والنصف.", encoding="utf-8")
    commands.ingest(Stack("nano", folder / "store"), list(folder.glob("*.md")))
    return folder / "store"


def traced(stack: Stack, question: str, file: Path, **rest: Any) -> str:
    commands.ask(stack, question, trace=file, **rest)
    return file.read_text(encoding="utf-8")


def test_the_page_holds_the_run(store: Path, tmp_path: Path) -> None:
    html = traced(Scripted("nano", store), "When does the library open?", tmp_path / "out.html")
    page = Page(html)
    for stage in ("prepare", "retrieve", "rerank", "generate", "cite"):
        assert stage in page.text
    assert "321 tokens read, 12 written" in page.text
    assert "Let me see." in page.text
    assert "Answer the question from the numbered passages only" in page.text
    assert "unsupported" in page.text or "uncited" in page.text
    assert re.search(r"0\.\d{4}\s*\[1\]\s*0\.\d{3}", page.text), "scores before and after"
    assert any(tag == "a" and attributes["href"] == "#p1" for tag, attributes in page.tags)
    assert any(attributes.get("id") == "p1" for tag, attributes in page.tags if tag == "tr")
    bars = [attributes["style"] or "" for _, attributes in page.tags if attributes.get("class") == "bar"]
    assert len(bars) == 5
    for bar in bars:
        start, width = map(float, re.findall(r"([\d.]+)%", bar))
        assert 0 <= start <= start + width <= 100.1


def test_the_page_loads_and_runs_nothing(store: Path, tmp_path: Path) -> None:
    html = traced(Scripted("nano", store), f"When does the library open? {HOSTILE}", tmp_path / "out.html")
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe", "object", "form", "base"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "data")]
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html
    assert HOSTILE in page.text
    assert "49" not in re.findall(r"\b49\b", page.text)


def test_the_page_reads_from_right_to_left_and_in_the_dark(store: Path, tmp_path: Path) -> None:
    html = traced(Stack("nano", store), "متى يغادر القارب؟", tmp_path / "out.html")
    page = Page(html)
    assert ("html", {"lang": "ar"}) in page.tags
    assert [attributes["dir"] for tag, attributes in page.tags if tag == "h1"] == ["auto"]
    assert "يغادر القارب في السابعة والنصف." in page.text
    assert "prefers-color-scheme: dark" in html
    assert "No chat model was asked" in page.text


def test_thoughts_beside_a_quoted_answer_are_shown(store: Path, tmp_path: Path) -> None:
    html = traced(Stack("nano", store), "When does the library open?", tmp_path / "out.html", thinking=True)
    assert "Thinking" in Page(html).text
    assert "GeneratorExit" not in html


def test_a_file_that_cannot_be_written_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--trace out"):
        traced(Stack("nano", store), "When does the library open?", tmp_path / "none" / "out.html")


OFFLINE = """
import sys
touched = []
sys.addaudithook(lambda event, args: touched.append((event, args)) if event.startswith(
    ("socket.connect", "socket.getaddrinfo", "socket.sendto")) else None)
from qwen_agentkit.cli import entry as cli
from langsmith.utils import tracing_is_enabled
cli.app(sys.argv[1:], standalone_mode=False)
assert not touched, touched
assert not tracing_is_enabled()
telemetry = sys.modules.get("opentelemetry.trace")
assert telemetry is None or telemetry._TRACER_PROVIDER is None
"""


def test_asking_touches_no_network_and_traces_nowhere_else(store: Path, tmp_path: Path) -> None:
    arguments = ["ask", "When does the library open?", "--preset", "nano", "--store", str(store)]
    arguments += ["--trace", str(tmp_path / "out.html")]
    environment = {
        n: v for n, v in os.environ.items() if not n.startswith(("LANGSMITH", "LANGCHAIN", "OTEL"))
    }
    command = [sys.executable, "-c", OFFLINE, *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    assert "opens at nine" in ran.stdout
    assert (tmp_path / "out.html").stat().st_size > 2000
