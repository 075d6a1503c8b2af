"""Backups that are damaged or were made up, and places where none may go: nothing is lost, and it is said."""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwen_agentkit.cli.documents import export_documents
from qwen_agentkit.cli.maintenance import back_up, restore
from qwen_agentkit.errors import QwenAgentKitError, StoreError, StoreNotFoundError, StoreWriteError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backups") / "store"
    with QwenVectorStore(BagOfWords(), path=folder) as store:
        store.add_texts([f"text {n}" for n in range(20)], [{"source": f"{n}.md"} for n in range(20)])
    return folder


@pytest.fixture(scope="module")
def backup(store: Path) -> Path:
    file = store.with_name("backup.zip")
    assert back_up(store, file) == 20
    return file


def test_a_damaged_backup_is_refused_by_an_error_of_this_package(backup: Path, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    start = whole.index(b"points-00000.jsonl") + len("points-00000.jsonl")
    for place in range(start + 20, start + 320, 100):  # zlib has an error of its own for some
        damaged = tmp_path / f"{place}.zip"
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="not a whole backup"):
            restore(damaged, tmp_path / "store")
        assert not (tmp_path / "store" / "documents").exists()


def remade(backup: Path, change: Callable[[dict[str, Any], list[dict[str, Any]], Any], Any]) -> bytes:
    """Return a backup with right checksums and other contents."""
    with zipfile.ZipFile(backup) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        rows = [json.loads(line) for line in archive.read("points-00000.jsonl").splitlines()]
        vectors = np.load(io.BytesIO(archive.read("vectors-00000.npy")))
    change(manifest, rows, vectors)
    result, array = io.BytesIO(), io.BytesIO()
    np.save(array, vectors)
    with zipfile.ZipFile(result, "w") as archive:
        archive.writestr("points-00000.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        archive.writestr("vectors-00000.npy", array.getvalue())
        archive.writestr("manifest.json", json.dumps(manifest))
    return result.getvalue()


def in_row(**values: Any) -> Callable[..., None]:
    return lambda manifest, rows, vectors: rows[1].update(copy.deepcopy(values))


def in_manifest(**values: Any) -> Callable[..., None]:
    return lambda manifest, rows, vectors: manifest.update(values)


MADE_UP: dict[str, Callable[..., Any]] = {
    "points": in_manifest(points=None),
    "dimensions": in_manifest(dimensions="64"),
    "quantization": in_manifest(quantization="ternary"),
    "first stage": in_manifest(first_stage=10**9),
    "maker": in_manifest(maker="me"),
    "empty manifest": lambda manifest, rows, vectors: manifest.clear(),
    "one id twice": lambda manifest, rows, vectors: rows[1].update(id=rows[0]["id"]),
    "no payload": in_row(payload=None),
    "a tenant that nobody is": in_row(payload={"page_content": "text", "metadata": {}, "tenant": 5}),
    "a word twice": in_row(indices=[1, 1], values=[1.0, 1.0]),
    "NaN in a vector": lambda manifest, rows, vectors: vectors.__setitem__(3, np.nan),
}


@pytest.mark.parametrize("name", MADE_UP)
def test_a_backup_that_could_not_be_read_again_is_refused(backup: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "made-up.zip").write_bytes(remade(backup, MADE_UP[name]))
    with pytest.raises(StoreError, match="not a whole backup"):
        restore(tmp_path / "made-up.zip", tmp_path / "store")
    assert not (tmp_path / "store" / "documents").exists()


def test_a_backup_that_is_made_again_is_restored(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "same.zip").write_bytes(remade(backup, lambda *parts: None))
    assert restore(tmp_path / "same.zip", tmp_path / "store") == 20


def test_a_folder_of_other_files_is_never_replaced(backup: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "home" / "documents" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("three years of work", "utf-8")
    for root in (tmp_path / "home", thesis.parent):
        for replace in (False, True):
            with pytest.raises(StoreError):
                restore(backup, root, replace=replace)
    with pytest.raises(StoreNotFoundError, match=r"other files, such as 'thesis\.txt'"):
        restore(backup, thesis.parent)
    assert thesis.read_text("utf-8") == "three years of work"
    assert [place.name for place in thesis.parent.iterdir()] == ["thesis.txt"]


def test_a_store_that_lost_files_is_replaced(backup: Path, tmp_path: Path) -> None:
    restore(backup, tmp_path / "store")
    (tmp_path / "store" / "documents" / "edge_config.json").unlink()
    assert restore(backup, tmp_path / "store", replace=True) == 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_written(store: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "device")  # stands in for /dev/stdout, which renaming would replace
    (tmp_path / "link").symlink_to(tmp_path / "device")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for write in (back_up, export_documents):
        for place in (tmp_path / "device", tmp_path / "link", tmp_path / "folder", Path(), Path("/")):
            with pytest.raises(StoreWriteError, match="folder or a device"):
                write(store, place)
        with pytest.raises(StoreWriteError, match="No such file"):
            write(store, tmp_path / "missing" / "file")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "device").is_fifo()


def test_a_link_to_a_file_stays_a_link(store: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old", "utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert export_documents(store, tmp_path / "link") == 20
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "real").read_text("utf-8").splitlines()) == 20


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("old", "utf-8")
    with pytest.raises(QwenAgentKitError):
        export_documents(tmp_path / "no-store", tmp_path / "old.jsonl")
    assert [file.name for file in tmp_path.iterdir()] == ["old.jsonl"]
    assert (tmp_path / "old.jsonl").read_text("utf-8") == "old"
