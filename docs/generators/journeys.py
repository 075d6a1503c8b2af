"""The files that four calls pass, in the order in which they reach them, found by running each call.

The nano models do the work. Each journey runs once before, so that imports and loading do not count.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import threading
from collections.abc import Callable
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType

import torch
from langchain_core.documents import Document

from qwen_agentkit import ChatQwen, QwenReranker
from qwen_agentkit.cli.entry import app
from qwen_agentkit.engine.device_thread import run_on_device

ROOT = Path(__file__).parents[2]


def sections() -> str:
    """Return a section for each journey: its number of files, and where it enters each of them."""
    torch.set_num_threads(1)  # all is computed in one thread then
    with tempfile.TemporaryDirectory() as folder:
        journeys = {
            "`qwen-agentkit ask`, to the answer": _ask(Path(folder)),
            "`QwenReranker.compress_documents`, to the attention": _rerank(),
            "`ChatQwen.stream` with a tool and thinking, to the last chunk": _stream(),
            "`qwen-agentkit ingest`, from a file into the store": _ingest(Path(folder)),
        }
        return "".join(_describe(title, journey) for title, journey in journeys.items())


def _describe(title: str, journey: Callable[[str], object]) -> str:
    journey("first")
    entered = record(lambda: journey("second"))
    rows = "".join(f"{n}. `{file}`: `{function}`\n" for n, (file, function) in enumerate(entered.items(), 1))
    return f"\n### {title}: {len(entered)} files\n\n{rows}"


def record(work: Callable[[], object]) -> dict[str, str]:
    """Return the files of this project that a call enters, each with the function by which it does."""
    entered: dict[str, str] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code, path = frame.f_code, Path(frame.f_code.co_filename)
        if event != "call" or not code.co_flags & CO_OPTIMIZED or ROOT not in path.parents:
            return
        file = path.relative_to(ROOT)
        if file.parts[0] in ("qwen_agentkit", "graphs"):
            entered.setdefault(str(file), getattr(code, "co_qualname", code.co_name))

    def watch(note: Callable[[FrameType, str, object], None] | None) -> None:
        run_on_device("cpu", lambda: sys.setprofile(note))  # the thread that computes has started already
        threading.setprofile(note)  # threads that start later
        sys.setprofile(note)

    watch(note)
    try:
        work()
    finally:
        watch(None)
    entered.pop("qwen_agentkit/__init__.py", None)
    return entered


def _ask(folder: Path) -> Callable[[str], object]:
    (folder / "hours.md").write_text("The library opens at nine. The boat leaves at noon.", encoding="utf-8")
    questions = {"first": "When does the library open?", "second": "When does the boat leave?"}
    store = ["--preset", "nano", "--store", str(folder / "asked")]
    _run("ingest", str(folder / "hours.md"), *store)
    return lambda time: _run("ask", questions[time], *store)


def _rerank() -> Callable[[str], object]:
    reranker = QwenReranker(model="nano")
    return lambda time: reranker.compress_documents([Document(f"{time} document")], f"{time} query")


def _stream() -> Callable[[str], object]:
    def search(query: str) -> str:
        """Search the handbook."""
        return query

    model = ChatQwen(model="nano", thinking=True, thinking_budget=32, max_tokens=64, temperature=0)
    with_tool = model.bind_tools([search], tool_choice="any")
    return lambda time: list(with_tool.stream(f"Search the handbook for the {time} ticket."))


def _ingest(folder: Path) -> Callable[[str], object]:
    def work(time: str) -> None:
        file = folder / f"{time}.md"
        file.write_text(f"# The {time} page\n\nIt was written today.", encoding="utf-8")
        _run("ingest", str(file), "--preset", "nano", "--store", str(folder / "filled"))

    return work


def _run(*words: str) -> None:
    """Run a command of `qwen-agentkit` in this process, without its output."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        app(list(words), standalone_mode=False)
