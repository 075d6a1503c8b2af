"""An embedded store beside other processes: readers, read-only folders, forks; and what damage does to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import InputError, StoreError, StoreLockedError, StoreWriteError
from qwen_agentkit.vectorstores import edge_copy
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

WRITER = """
import sys
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

def chunk(version, number, count=3):
    return {"source": "a.md", "document_hash": version, "chunk": number, "chunk_count": count}

with QwenVectorStore(BagOfWords(), path=sys.argv[1]) as store:
    for line in sys.stdin:
        exec(line)
        print("done", flush=True)
"""


class Writer:
    """Another process that has a store open, and runs a line of Python when told to."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", WRITER, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    writer = Writer(folder)
    try:
        yield writer
    finally:
        writer.process.kill()
        writer.process.communicate()


def texts(store: QwenVectorStore) -> list[str]:
    found = sorted(document.page_content for document in store.scroll())
    assert store.count() == len(found)
    assert sorted(d.page_content for d in store.similarity_search("one two three", k=99)) == found
    return found


def test_a_reader_sees_whole_documents_while_another_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_copy, "_COPYING_SHARE", float("inf"))  # a new copy after every change
    with writing(tmp_path / "store") as writer:
        writer.run('store.add_texts(["note"])')
        writer.run('old = store.add_texts(["one", "two", "three"], [chunk("v1", n) for n in range(3)])')
        with QwenVectorStore(BagOfWords(), path=tmp_path / "store", create=False) as reader:
            whole = ["note", "one", "three", "two"]
            assert texts(reader) == whole
            writer.run('new = store.add_texts(["four", "five"], [chunk("v2", n) for n in range(2)])')
            assert texts(reader) == whole
            assert len(reader.get_by_ids([d.id or "" for d in reader.scroll()])) == 4
            writer.run(
                'with store.atomically(): store.add_texts(["six"], [chunk("v2", 2)]); store.delete(old)'
            )
            assert texts(reader) == ["five", "four", "note", "six"]
            with pytest.raises(StoreLockedError, match="another process"):
                reader.add_texts(["mine"])
            with pytest.raises(StoreLockedError, match="another process"):
                reader.delete(filter={"source": "a.md"})
        with pytest.raises(StoreLockedError, match="only one at a time"):
            QwenVectorStore(BagOfWords(), path=tmp_path / "store")
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:  # its writer was killed
        assert texts(store) == ["five", "four", "note", "six"]


def test_a_copy_is_removed_when_its_reader_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with writing(tmp_path / "store") as writer:
        writer.run('store.add_texts(["note"])')
        with QwenVectorStore(BagOfWords(), path=tmp_path / "store", create=False):
            [copy] = (tmp_path / "temporary").iterdir()
            assert stat.S_IMODE(copy.stat().st_mode) == 0o700
        assert list((tmp_path / "temporary").iterdir()) == []


def test_a_read_only_store_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "store", 3)
    load = edge_copy.EdgeBackend.acquire

    def acquire(path: Any, collection: str, *, create: bool) -> Any:
        if Path(path) == tmp_path / "store":
            raise StoreWriteError("Read-only file system (os error 30)")
        return load(path, collection, create=create)

    monkeypatch.setattr(edge_copy.EdgeBackend, "acquire", acquire)
    for place in (tmp_path / "store").rglob("*"):
        place.chmod(0o555 if place.is_dir() else 0o444)
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        assert len(store.similarity_search("text", k=9)) == store.count() == 3
        with pytest.raises(StoreWriteError, match="Read-only"):
            store.add_texts(["new"])


def make(folder: Path, number: int) -> list[str]:
    with QwenVectorStore(BagOfWords(), path=folder) as store:
        return [id for n in range(number) for id in store.add_texts([f"text {n}"])]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    make(tmp_path / "store", 1)
    for folder in (tmp_path / "store", tmp_path / "store" / "documents"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_off_opens_the_store_itself(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        store.add_texts(["one"])
        child = os.fork()
        if not child:
            os._exit(run_in_child(store, tmp_path / "store"))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.add_texts(["two"])
        assert store.count() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_off_leaves_the_copy_to_its_reader(tmp_path: Path) -> None:
    make(tmp_path / "store", 1)
    with writing(tmp_path / "store") as writer:
        writer.run('store.add_texts(["two"])')
        reader = QwenVectorStore(BagOfWords(), path=tmp_path / "store", create=False)
        child = os.fork()
        if not child:
            try:
                reader.count()
                os._exit(1)
            except StoreError as error:
                reader.close()
                os._exit("store' was opened before" not in str(error))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (reader._store.whole._copies[-1]._files / "documents" / "edge_config.json").is_file()  # type: ignore[attr-defined]
        reader.close()


def run_in_child(store: QwenVectorStore, folder: Path) -> int:
    """Return the number of what is not as it should be."""
    wrong = 0
    for use in (store.count, lambda: store.add_texts(["child"]), lambda: store.similarity_search("one")):
        try:
            use()
            wrong += 1
        except StoreError as error:
            wrong += "after the fork" not in str(error)
    store.close()
    with QwenVectorStore(BagOfWords(), path=folder, create=False) as reader:
        wrong += reader.count() != 1
    try:
        QwenVectorStore(BagOfWords(), path=folder)
        wrong += 1
    except StoreLockedError:
        pass
    return wrong


@pytest.mark.parametrize("name", ["mutable_id_tracker.mappings", "mutable_id_tracker.versions"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_store_that_lost_points_is_not_opened_silently(tmp_path: Path, name: str, kept: float) -> None:
    make(tmp_path / "store", 40)
    [file] = (tmp_path / "store").rglob(name)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(StoreError, match=r"damaged: .*mutable_id_tracker.*store repair"):
        QwenVectorStore(BagOfWords(), path=tmp_path / "store")


def test_damaged_files_raise_a_store_error(tmp_path: Path) -> None:
    make(tmp_path / "store", 40)
    files = {file.name: file for file in (tmp_path / "store").rglob("*") if file.is_file()}
    for name in ("status.dat", "config.json", "segment.json", "tracker.dat", "closed.json", "embedder.json"):
        file = files[name]
        whole = file.read_bytes()
        file.write_bytes(b"\xff" * min(len(whole), 64) + whole[64:])
        with pytest.raises(StoreError, match="damaged"):
            QwenVectorStore(BagOfWords(), path=tmp_path / "store")
        file.write_bytes(whole)
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        assert store.count() == 40


def test_deleted_documents_leave_the_word_statistics(tmp_path: Path) -> None:
    def scores(store: QwenVectorStore) -> list[tuple[str, float]]:
        found = store.similarity_search_with_score("apple banana", k=3)
        return [(document.page_content, score) for document, score in found]

    with QwenVectorStore(BagOfWords(), path=tmp_path / "one", mode="sparse") as store:
        ids = store.add_texts([f"apple pie {n}" for n in range(50)])
        store.add_texts(["rare banana", "common apple"])
        before = scores(store)
        store.delete(ids)
        after = scores(store)
    with QwenVectorStore(BagOfWords(), path=tmp_path / "two", mode="sparse") as store:
        store.add_texts(["rare banana", "common apple"])
        assert dict(scores(store)) == dict(after) != dict(before)


def test_one_id_for_two_documents_is_refused(tmp_path: Path) -> None:
    uuid = "0b1c6f9e-3f6d-4a63-9a0e-5b7c9a4f2d11"
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        for ids in (["a", "a"], [uuid, uuid.upper()], [f"{{{uuid}}}", f"urn:uuid:{uuid}"]):
            with pytest.raises(InputError, match="one id per document"):
                store.add_texts(["one", "two"], ids=ids)
        assert store.count() == 0


def test_metadata_of_another_text_is_refused(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        [id] = store.add_texts(["one"], [{"n": 1}])
        [found] = store.get_by_ids([id])
        with pytest.raises(InputError, match="another text"):
            store.update_metadata([found.model_copy(update={"page_content": "two", "metadata": {"n": 2}})])
        store.update_metadata([found.model_copy(update={"metadata": {"n": 3}})])
        assert store.get_by_ids([id])[0].metadata == {"n": 3}
