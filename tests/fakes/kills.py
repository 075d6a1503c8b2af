"""Work on a store that another process may kill at any moment. Runs in processes of a fork server."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from pathlib import Path

from qwen_agentkit.ingest import ingest
from qwen_agentkit.vectorstores.archive import make_backup, restore_backup
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

__all__ = ["Workplace", "run_and_kill", "run_to_the_end"]

_CONTEXT = multiprocessing.get_context("forkserver")
# Imports once, in a process that uses no store: qdrant-edge does not work in a process forked off later.
_CONTEXT.set_forkserver_preload([__name__])


class Workplace:
    """A folder of documents, a store of them, and its backup."""

    def __init__(self, root: Path) -> None:
        self.docs, self.store, self.backup = root / "docs", root / "store", root / "backup.zip"
        self.contents = root / "contents.json"
        self.docs.mkdir(parents=True, exist_ok=True)

    def change(self, rng: random.Random) -> None:
        """Write, rewrite and remove some documents."""
        for _ in range(rng.randint(1, 4)):
            file = self.docs / f"{rng.randrange(12)}.md"
            if file.exists() and rng.random() < 0.3:
                file.unlink()
            else:
                lines = [f"Sentence {rng.randrange(30)} of the library." for _ in range(rng.randint(1, 60))]
                file.write_text("\n\n".join(lines), "utf-8")
        (self.docs / "kept.md").write_text("The library opens at nine.", "utf-8")


def run_to_the_end(work: str, place: Workplace) -> None:
    """Run one kind of work in a process of its own."""
    process = _CONTEXT.Process(target=_work, args=(work, place))
    process.start()
    process.join(60)
    assert process.exitcode == 0, work


def run_and_kill(work: str, place: Workplace, seconds: float) -> None:
    """Run one kind of work, and kill its process after some time, if it is not done before."""
    process = _CONTEXT.Process(target=_work, args=(work, place))
    process.start()
    time.sleep(seconds)
    process.kill()
    process.join(60)


def _work(work: str, place: Workplace) -> None:
    if work == "ingest":
        with QwenVectorStore(BagOfWords(16), path=place.store) as store:
            ingest([place.docs], store, count_tokens=count_words, max_tokens=70)
    elif work == "restore":
        restore_backup(place.backup, place.store, "documents", replace=True)
    else:
        backend = EdgeBackend.acquire(place.store, "documents", create=False)
        try:
            if work == "backup":
                make_backup(backend, place.backup, "documents")
            else:
                points = [[p.id, p.payload, p.sparse] for p in backend.export()]
                place.contents.write_text(json.dumps(points, sort_keys=True), "utf-8")
        finally:
            backend.close()
