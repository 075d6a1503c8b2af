"""Work on a store whose disk is full, or read-only, at some of its steps, in a mount namespace of its own.

::

    unshare --mount python -m tests.fakes.full_disk PLACE STEPS SEED

PLACE gets a file system of 320 MB in memory. A file of nothing takes its space before a step, and goes after
it. Whatever goes wrong is told at the end, one line each.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from langchain_core.documents import Document

from qwen_agentkit.errors import StoreError, StoreWriteError
from qwen_agentkit.ingest import ingest
from qwen_agentkit.vectorstores.archive import make_backup, restore_backup
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

__all__ = ["main"]

Contents = dict[str, str]


class Place:
    """A store with its documents and backup on one small disk, and what should be in it."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        self.docs, self.store, self.backup = root / "docs", root / "store", root / "backup.zip"
        self.docs.mkdir()
        (self.docs / "kept.md").write_text("The library opens at nine.", "utf-8")

    def open(self) -> QwenVectorStore:
        return QwenVectorStore(BagOfWords(64), path=self.store)

    def contents(self) -> Contents:
        with self.open() as store:
            found = {str(document.id): document.page_content for document in store.scroll()}
            assert store.count() == len(found)
            assert len(store.similarity_search("library", k=999)) == len(found)
        return found

    def add(self) -> None:
        with self.open() as store:
            store.add_texts(["one of them"], ids=[str(self.rng.randrange(20))])

    def delete(self) -> None:
        with self.open() as store:
            store.delete([str(self.rng.randrange(20))])

    def rename(self) -> None:
        with self.open() as store:
            document = next(store.scroll())
            store.update_metadata([Document(document.page_content, id=document.id, metadata={"new": 1})])

    def ingest(self) -> None:
        with self.open() as store:
            ingest([self.docs], store, count_tokens=count_words)

    def make_backup(self) -> None:
        with self.open() as store:
            make_backup(store._store.whole, self.backup, "documents")

    def restore(self) -> None:
        restore_backup(self.backup, self.store, "documents", replace=True)


def fill(root: Path, left: int) -> None:
    """Leave this many bytes of the disk."""
    free = shutil.disk_usage(root).free
    with (root / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - left))


def check_step(place: Place, step: Callable[[], None], left: int) -> None:
    """Do a step on a disk that is nearly full: it is done, or raises, and the store is as it was or done."""
    state, before = place.rng.getstate(), place.contents()
    fill(place.root, left)
    try:
        step()
    except StoreWriteError:
        done = False
    else:
        done = True
    assert len(place.contents()) >= 0  # it is searched on the full disk
    (place.root / "ballast").unlink()
    if not done:
        assert place.contents() == before, "a step that failed has changed the store"
    after = place.contents()
    place.rng.setstate(state)
    step()
    assert not done or place.contents() == after, "the step done again changed the store"


def main(root: Path, steps: int, seed: int) -> None:
    """Try steps with more or less space left, then on a read-only disk; exits with what went wrong."""
    problems: list[str] = []
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", str(root)], check=True)
    rng = random.Random(seed)
    place = Place(root, rng)
    place.ingest()
    place.make_backup()
    kinds = (place.add, place.delete, place.rename, place.ingest, place.make_backup, place.restore)
    for number in range(steps):
        (place.docs / f"{number % 7}.md").write_text(f"Sentence {number} of the library.", "utf-8")
        step = kinds[number % len(kinds)]
        left = rng.choice([0, 1, 4096, 1 << 20, 20 << 20, 100 << 20, rng.randrange(160 << 20)])
        try:
            check_step(place, step, left)
        except (AssertionError, StoreError, OSError) as error:
            problems.append(f"step {number} {step.__name__} with {left} bytes left: {error!r}")
        (root / "ballast").unlink(missing_ok=True)
    before = place.contents()
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    if place.contents() != before:
        problems.append("the read-only store has other contents")
    for step in (place.add, place.delete, place.ingest):
        try:
            step()
            problems.append(f"{step.__name__} wrote to a read-only disk")
        except StoreWriteError:
            pass
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
