"""Files are read in processes that can be ended: what one file does costs no other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_agentkit.ingest import reading
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.reading import Failure, ReadFile
from qwen_agentkit.ingest.workers import FileReaders, Limits
from tests.pdf_files import drawn


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "a.pdf").write_bytes(drawn([(50, 700, "The first.")]))
    (tmp_path / "b.md").write_text("# The second\n\nIt is short.")
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.7 and nothing")
    (tmp_path / "d.html").write_text("<p>" + "The last. " * 2000)
    return sorted(tmp_path.iterdir())


def texts(outcomes: Iterator[ReadFile | Failure]) -> list[str]:
    return [one.reason if isinstance(one, Failure) else one.parts[0].text[:9] for one in outcomes]


def running() -> int:
    return sum(thread.name.startswith("read") for thread in threading.enumerate())


def test_files_come_in_order_with_their_hash(files: list[Path]) -> None:
    with FileReaders("1") as readers:
        first, second, third, last = readers.read(files)
    assert isinstance(first, ReadFile)
    assert isinstance(second, ReadFile)
    assert isinstance(last, ReadFile)
    assert (first.parts[0].text, first.parts[0].metadata) == ("The first.", {"page": 1})
    assert len({first.hash, second.hash, last.hash}) == 3
    assert isinstance(third, Failure)
    assert "broken PDF" in third.reason
    assert running() == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_file_that_takes_too_long_fails_alone(files: list[Path]) -> None:
    endless = files[0].with_name("e.pdf")
    os.mkfifo(endless)
    with FileReaders("1", Limits(seconds=1)) as readers:
        slow, other = texts(readers.read([endless, files[1]]))
    assert "more than 1 seconds" in slow
    assert other == "# The sec"


def test_a_reader_that_fails_costs_its_file(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, suffix: str, *options: object) -> list[Part]:
        raise AssertionError("expected name token")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_document", broken)
        failed = reading.read_file(files[1], ".md", "1")
    assert isinstance(failed, Failure)
    assert "reader failed (AssertionError: expected name token)" in failed.reason
    assert not failed.passing


def test_a_file_that_needs_too_much_memory_or_is_too_large_fails_alone(files: list[Path]) -> None:
    with FileReaders("1", Limits(memory=100 << 20)) as readers:
        big = files[0].with_name("e.html")
        big.write_text("<p>" + "a<b>b</b>" * 1_000_000)
        small_memory = texts(readers.read([big]))
    assert "GB of memory" in small_memory[0]
    with FileReaders("1", Limits(size=1000)) as readers:
        assert "GB or less" in texts(readers.read([files[3]]))[0]


def test_a_process_that_dies_is_replaced(files: list[Path]) -> None:
    with FileReaders("1") as readers:
        outcomes = readers.read([files[0], files[3]] * 20)
        next(outcomes)
        for process in readers._started:
            process._process.kill()
        rest = texts(outcomes)
    assert rest[-1] == "The last."
    assert sum("crashed" in outcome for outcome in rest) <= len(os.sched_getaffinity(0))


def test_stopping_early_leaves_no_process(files: list[Path]) -> None:
    with FileReaders("1") as readers:
        next(readers.read([files[0]] * 50))
        started = list(readers._started)
    assert started
    assert all(process._process.poll() is not None for process in started)
    assert running() == 0


def test_small_plain_files_need_no_process(files: list[Path]) -> None:
    with FileReaders("1") as readers:
        assert texts(readers.read([files[1]] * 5)) == ["# The sec"] * 5
        assert not readers._started
