"""Stores that are made, opened, shared by threads and processes, killed, and refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwen_agentkit.errors import (
    InputError,
    StoreError,
    StoreLockedError,
    StoreMismatchError,
    StoreNotFoundError,
    StoreWriteError,
)
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.stores import LIBRARY


@pytest.mark.parametrize(
    "arguments",
    [{}, {"path": "a", "url": "b"}, {"path": "a", "mode": "fast"}, {"path": "a", "collection": "../b"}],
)
def test_arguments_that_make_no_store_are_refused(arguments: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        QwenVectorStore(BagOfWords(), **arguments)


def test_a_store_is_made_by_the_first_write_only(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "new") as store:
        assert store.similarity_search("anything") == []
        assert store.count() == 0
        assert not (tmp_path / "new").exists()
        store.add_texts(["text"])
        assert (tmp_path / "new" / "documents" / "edge_config.json").is_file()
    with pytest.raises(StoreError, match="closed"):
        store.count()


def test_readers_ask_for_a_store_that_exists(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="qwen-agentkit ingest"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, create: bool) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreNotFoundError, match=r"letter\.txt"):
        QwenVectorStore(BagOfWords(), path=tmp_path, create=create)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(StoreNotFoundError, match="file"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "letter.txt")


def test_two_collections_share_a_folder(tmp_path: Path) -> None:
    with QwenVectorStore.from_texts(["one"], BagOfWords(), path=tmp_path / "s", collection="a"):
        pass
    with QwenVectorStore.from_texts(
        ["two", "three"], BagOfWords(), path=tmp_path / "s", collection="b"
    ) as store:
        assert store.count() == 2
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", collection="a", create=False) as store:
        assert store.count() == 1


def test_two_stores_on_one_folder_share_it(tmp_path: Path) -> None:
    first, second = (QwenVectorStore(BagOfWords(), path=tmp_path / "s") for _ in range(2))
    first.add_texts(["one"], ids=["1"])
    assert second.get_by_ids(["1"])[0].page_content == "one"
    first.close()
    second.add_texts(["two"])
    assert second.count() == 2
    second.close()
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s") as third:
        assert third.count() == 2


def test_threads_write_together_and_lose_nothing(store: QwenVectorStore) -> None:
    def write(worker: int) -> None:
        for number in range(10):
            store.add_texts([f"text {worker} {number}"], [{"source": f"{worker}/{number}"}])

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 40


def in_another_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.fakes.embedders import BagOfWords\n"
        "from qwen_agentkit.vectorstores import QwenVectorStore\n" + code
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parents[1]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_store_in_use_by_another_process_says_so(tmp_path: Path) -> None:
    with QwenVectorStore.from_texts(["kept"], BagOfWords(), path=tmp_path / "s") as store:
        other = in_another_process("QwenVectorStore(BagOfWords(), path=sys.argv[2])", tmp_path / "s")
        assert StoreLockedError.__name__ in other.stderr
        assert "another process" in other.stderr
        assert store.count() == 1


def test_a_store_that_another_process_makes_is_found(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s") as store:
        assert store.similarity_search("kept") == []
        code = "QwenVectorStore(BagOfWords(), path=sys.argv[2]).add_texts(['kept'])"
        assert in_another_process(code, tmp_path / "s").returncode == 0
        assert [document.page_content for document in store.similarity_search("kept")] == ["kept"]
        store.add_texts(["added"])
        assert store.count() == 2


def test_a_killed_writer_leaves_all_it_wrote(tmp_path: Path) -> None:
    code = (
        "import os\nstore = QwenVectorStore(BagOfWords(), path=sys.argv[2])\n"
        "store.add_texts([f'text {n}' for n in range(50)])\nos.kill(os.getpid(), 9)"
    )
    assert in_another_process(code, tmp_path / "s").returncode == -9
    with QwenVectorStore(BagOfWords(), path=tmp_path / "s", create=False) as store:
        assert store.count() == 50


def test_another_embedder_may_read_with_a_warning_but_not_write(tmp_path: Path) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s"):
        pass
    with QwenVectorStore(BagOfWords(model="other"), path=tmp_path / "s") as store:
        with pytest.warns(UserWarning, match="bag-of-words"):
            store.similarity_search("library")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.similarity_search("library again")
        with pytest.raises(StoreMismatchError, match="other"):
            store.add_texts(["new"])
        assert store.count() == 3


def test_another_dimension_may_neither_read_nor_write(tmp_path: Path) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s"):
        pass
    with QwenVectorStore(BagOfWords(dimensions=8), path=tmp_path / "s") as store:
        with pytest.raises(StoreMismatchError, match="64"):
            store.similarity_search("library")
        with pytest.raises(StoreMismatchError, match="64"):
            store.add_texts(["new"])
        assert store.count() == 3


def test_a_full_disk_is_said_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QwenVectorStore.from_documents(LIBRARY, BagOfWords(), path=tmp_path / "s") as store:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
        with pytest.raises(StoreWriteError, match="1 MB left"):
            store.add_texts(["new"])
        monkeypatch.undo()
        assert store.count() == 3


def test_a_write_that_fails_half_way_leaves_no_store(tmp_path: Path) -> None:
    code = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "QwenVectorStore.from_texts(['text'], BagOfWords(), path=sys.argv[2])"
    )
    failed = in_another_process(code, tmp_path / "s")
    assert StoreWriteError.__name__ in failed.stderr
    assert list((tmp_path / "s").iterdir()) == []
    with QwenVectorStore.from_texts(["text"], BagOfWords(), path=tmp_path / "s") as store:
        assert store.count() == 1


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder this process may not write; root gives up its rights for the while."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_said(unprivileged: Path) -> None:
    with (
        QwenVectorStore(BagOfWords(), path=unprivileged / "s") as store,
        pytest.raises(StoreWriteError, match="permissions"),
    ):
        store.add_texts(["new"])
    assert list(unprivileged.iterdir()) == []
