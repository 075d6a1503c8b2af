"""A store on a full or read-only disk, under a clock that goes back, and opened by a reader first."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from qwen_agentkit.errors import StoreLockedError
from qwen_agentkit.vectorstores import edge_copy
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.test_store_readers import writing


def can_mount() -> bool:
    """Whether this process may have a file system of its own."""
    try:
        command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def fill_often(place: Path, steps: int, seed: int) -> None:
    place.mkdir()
    command = ["unshare", "--mount", sys.executable, "-m", "tests.fakes.full_disk"]
    ran = subprocess.run([*command, str(place), str(steps), str(seed)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


needs_mount = pytest.mark.skipif(not can_mount(), reason="needs the right to mount a file system")


@needs_mount
def test_a_disk_that_is_full_a_few_times_then_read_only(tmp_path: Path) -> None:
    fill_often(tmp_path / "disk", steps=6, seed=1)


@needs_mount
@pytest.mark.soak
def test_a_disk_that_is_full_at_50_steps_then_read_only(tmp_path: Path) -> None:
    for seed in range(3):
        fill_often(tmp_path / f"disk{seed}", steps=50, seed=seed)


def test_a_clock_that_goes_back_hides_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_copy, "_COPYING_SHARE", float("inf"))  # a new copy after every change
    with writing(tmp_path / "store") as writer:
        writer.run("import time; later = time.time_ns() + 10**15; time.time_ns = lambda: later")
        writer.run('store.add_texts(["one"])')
        with QwenVectorStore(BagOfWords(), path=tmp_path / "store", create=False) as reader:
            assert reader.count() == 1
            writer.run("time.time_ns = lambda: 0")
            for number in range(3):
                writer.run(f'store.add_texts(["text {number}"])')
                assert reader.count() == 2 + number
    assert (tmp_path / "store" / "documents" / "changes").stat().st_mtime_ns > time.time_ns()


def test_a_reader_that_came_first_keeps_a_writer_out_and_then_lets_it_in(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        store.add_texts(["one"])
    script = (
        "import sys\nfrom qwen_agentkit.vectorstores.store import QwenVectorStore\n"
        "from tests.fakes.embedders import BagOfWords\n"
        "with QwenVectorStore(BagOfWords(), path=sys.argv[1], create=False) as store:\n"
        "    print(store.count(), flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        with pytest.raises(StoreLockedError, match="another process"):
            QwenVectorStore(BagOfWords(), path=tmp_path / "store")
        reader.communicate("")
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        store.add_texts(["two"])
        assert store.count() == 2
