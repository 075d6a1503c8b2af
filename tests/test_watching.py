"""Watching folders: what changes is ingested, what fails is tried again, and what keeps failing is listed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import StoreLockedError
from qwen_agentkit.ingest import IngestReport, ingest
from qwen_agentkit.ingest.watching import file_changes, watch
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.command_line import Run
from tests.fakes.embedders import BagOfWords, count_words


def test_files_that_come_change_and_go(tmp_path: Path) -> None:
    docs, store_folder = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    (docs / "a.md").write_text("The library opens at nine.", "utf-8")

    def run() -> IngestReport:
        with QwenVectorStore(BagOfWords(), path=store_folder) as store:
            return ingest([docs], store, count_tokens=count_words)

    def changes() -> Iterator[bool]:
        yield False
        (docs / "b.pdf").write_bytes(b"%PDF-1.7 half writ")
        yield True
        yield False
        (docs / "b.pdf").unlink()
        (docs / "b.md").write_text("A boat leaves at six.", "utf-8")
        yield from [False] * 3
        (docs / "a.md").unlink()
        yield True

    seen = []
    for result in watch(run, changes()):
        assert result.report is not None
        with QwenVectorStore(BagOfWords(), path=store_folder) as store:
            texts = sorted(document.page_content for document in store.scroll())
        tries = [failure["tries"] for failure in result.failing]
        seen.append((result.report.added, result.report.removed, tries, texts))
    one, other = "The library opens at nine.", "A boat leaves at six."
    assert seen == [
        (1, 0, [], [one]),
        (0, 0, [1], [one]),
        (1, 0, [], [other, one]),
        (0, 1, [], [other]),
    ]


def test_what_keeps_failing_is_tried_at_growing_intervals() -> None:
    ticks: list[int] = []

    def run() -> IngestReport:
        return IngestReport(failed=[{"source": "bad.pdf", "reason": "broken"}])

    def changes() -> Iterator[bool]:
        for tick in range(200):
            ticks.append(tick)
            yield False

    runs = [(len(ticks), result.failing[0]["tries"]) for result in watch(run, changes())]
    assert [tries for _, tries in runs] == list(range(1, len(runs) + 1))
    assert [second - first for (first, _), (second, _) in itertools.pairwise(runs)] == [
        2, 4, 8, 16, *[32] * (len(runs) - 5)
    ]  # fmt: skip
    assert len(runs) == 10


def test_a_run_that_fails_as_a_whole_is_tried_again() -> None:
    outcomes: Iterator[Any] = iter([StoreLockedError("in use"), IngestReport(added=1)])

    def run() -> IngestReport:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    first, second = watch(run, [False] * 5)
    assert (first.report, first.error) == (None, "in use")
    assert second.report == IngestReport(added=1)


def test_changes_on_disk_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one", "utf-8")
    stop = threading.Event()
    changes = file_changes([tmp_path / "a.md"], stop, tick=50)
    assert next(changes) is False
    (tmp_path / "a.md").write_text("two", "utf-8")
    assert any(changed for changed in changes)
    stop.set()
    assert not any(changes)


def test_the_command_reports_every_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("The library opens at nine.", "utf-8")
    (tmp_path / "docs" / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    monkeypatch.setattr("qwen_agentkit.ingest.watching.file_changes", lambda paths: iter([False] * 2))
    arguments = ("ingest", tmp_path / "docs", "--store", tmp_path / "store", "--preset", "nano", "--watch")
    ran = run(*arguments)
    assert ran.code == 0
    assert "1 added" in ran.out
    assert "0 added, 1 unchanged" in ran.out
    assert "keeps failing: docs/b.pdf (2 tries)" in ran.err
    assert run(*arguments, "--ray").code == 2
