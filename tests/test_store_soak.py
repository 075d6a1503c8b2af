"""Kills, damage and concurrency against an oracle; the long forms run with `pytest -m soak`."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import InputError, StoreError
from qwen_agentkit.vectorstores.edge_files import copy_shard
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.fakes.kills import Workplace, run_and_kill, run_to_the_end


def contents(place: Workplace) -> str:
    run_to_the_end("read", place)
    return place.contents.read_text("utf-8")


def undisturbed(docs: Path, root: Path) -> str:
    """Return what a new store holds of the documents."""
    shutil.rmtree(root, ignore_errors=True)
    place = Workplace(root / "other")
    place.docs = docs
    run_to_the_end("ingest", place)
    return contents(place)


def kill_often(root: Path, kills: int, seed: int) -> None:
    """Kill ingests, backups and restores; whatever was killed, the next run makes it as if nothing was."""
    rng, place = random.Random(seed), Workplace(root / "place")
    place.change(rng)
    run_to_the_end("ingest", place)
    for _ in range(kills):
        place.change(rng)
        work = rng.choice(["ingest", "ingest", "backup", "restore"])
        if work == "restore":
            run_to_the_end("ingest", place)
            run_to_the_end("backup", place)
        before = contents(place)
        run_and_kill(work, place, rng.uniform(0, 0.25))
        if work != "ingest":
            assert contents(place) == before
        if place.backup.exists():
            with zipfile.ZipFile(place.backup) as backup:
                assert backup.testzip() is None
        run_to_the_end("ingest", place)
        assert contents(place) == undisturbed(place.docs, root / "oracle")


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=2, seed=1)


@pytest.mark.soak
def test_200_kills_lose_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=200, seed=2)


def damage_often(root: Path, times: int, seed: int) -> int:
    """Damage one file of a closed store at a time: an error, or the number of documents is right.

    Returns:
        How often an error was raised.
    """
    rng = random.Random(seed)
    with QwenVectorStore(BagOfWords(16), path=root / "store") as store:
        for number in range(20):
            store.add_texts([f"text {number}"])
    files = [file for file in sorted((root / "store").rglob("*")) if file.is_file() and file.stat().st_size]
    errors = 0
    for number in range(times):
        place = root / str(number)
        copy_shard(root / "store" / "documents", place / "documents")
        file = place / rng.choice(files).relative_to(root / "store")
        data = bytearray(file.read_bytes())
        if rng.random() < 0.4:
            del data[rng.randrange(len(data)) :]
        else:
            start = rng.randrange(min(len(data), 4096))
            data[start : start + 16] = rng.randbytes(len(data[start : start + 16]))
        file.write_bytes(data)
        try:
            with QwenVectorStore(BagOfWords(16), path=place, create=False) as store:
                count = store.count()
                store.similarity_search("text", k=30)
            assert count == 20, file
        except (StoreError, InputError):
            errors += 1
        shutil.rmtree(place)
    return errors


def test_a_little_damage_is_told(tmp_path: Path) -> None:
    assert damage_often(tmp_path, times=12, seed=5)


@pytest.mark.soak
def test_1000_damaged_files_are_told(tmp_path: Path) -> None:
    assert damage_often(tmp_path, times=1000, seed=6)


READER = """
import sys
from qwen_agentkit.errors import StoreNotFoundError
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
for _ in range(int(sys.argv[2])):
    with QwenVectorStore(BagOfWords(16), path=sys.argv[1], create=False) as store:
        texts = [document.page_content for document in store.scroll()]
        assert len(texts) == len(set(texts)) >= 1, texts
"""


def work_together(folder: Path, workers: int, steps: int, readers: int) -> None:
    """Threads and tasks write their own documents while other processes read; nothing is lost."""
    command = [sys.executable, "-c", READER, str(folder), "20"]
    with QwenVectorStore(BagOfWords(16), path=folder) as store:
        store.add_texts(["first"])
        processes = [subprocess.Popen(command) for _ in range(readers)]
        rngs = [random.Random(number) for number in range(2 * workers)]
        mine: list[dict[str, str]] = [{} for _ in rngs]
        failures: list[BaseException] = []

        def step(number: int) -> None:
            rng, id = rngs[number], f"{number} {rngs[number].randrange(5)}"
            if rng.random() < 0.7:
                mine[number][id] = f"text {id} {rng.random()}"
                store.add_texts([mine[number][id]], ids=[id])
            else:
                mine[number].pop(id, None)
                store.delete([id])
            [found] = store.get_by_ids([id]) or [None]
            assert (found and found.page_content) == mine[number].get(id)

        def run(number: int) -> None:
            try:
                for _ in range(steps):
                    step(number)
            except BaseException as error:
                failures.append(error)

        async def run_task(number: int) -> None:
            for _ in range(steps):
                await asyncio.to_thread(step, number)

        async def run_tasks() -> None:
            await asyncio.gather(*(run_task(workers + number) for number in range(workers)))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        asyncio.run(run_tasks())
        for thread in threads:
            thread.join()
        assert not failures
        wanted: dict[Any, str] = {id: text for each in mine for id, text in each.items()}
        found = {d.id: d.page_content for d in store.scroll() if d.page_content != "first"}
        assert found == wanted
        assert [process.wait(120) for process in processes] == [0] * readers


def test_threads_and_tasks_work_together(tmp_path: Path) -> None:
    work_together(tmp_path / "store", workers=3, steps=15, readers=0)


@pytest.mark.soak
def test_8_threads_8_tasks_and_2_readers(tmp_path: Path) -> None:
    work_together(tmp_path / "store", workers=8, steps=400, readers=2)
