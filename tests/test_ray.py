"""Ingest on Ray: real processes, really killed; and the shards that stand between them and a store.

What starts Ray needs the extra `ray` and a few minutes on two cores; `pytest -m ray` runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from qwen_agentkit import QwenEmbeddings, QwenReranker, QwenVectorStore
from qwen_agentkit.cli import commands
from qwen_agentkit.cli import entry as cli
from qwen_agentkit.errors import (
    InputError,
    MissingExtraError,
    StoreMismatchError,
    StoreWriteError,
    WorkerError,
)
from qwen_agentkit.ingest import ingest
from qwen_agentkit.ray import Embed, Rerank, _connect_cluster, _share_resources
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.shards import ShardedEmbeddings
from tests.fakes.embedders import BagOfWords

ROOT = Path(__file__).parents[1]
WHERE = "beside the kiln and the loom, where the children read on rainy afternoons until the boat leaves"
TEXTS = [f"text number {number}" for number in range(10)]


class Work(NamedTuple):
    """Something that embeds in parts of three, out of order, and the texts it was given."""

    embedder: BagOfWords
    parts: int | None = None

    def __call__(self, texts: list[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        starts = list(range(0, len(texts), 3))[::-1]
        for start in starts if self.parts is None else starts[: self.parts]:
            part = texts[start : start + 3]
            yield part, self.embedder.embed_array(part)
        if self.parts is not None:
            raise KeyboardInterrupt


def sharded(folder: Path, parts: int | None = None, model: str = "bag-of-words") -> ShardedEmbeddings:
    return ShardedEmbeddings(BagOfWords(model=model), folder, Work(BagOfWords(), parts))


def embedded(embeddings: ShardedEmbeddings) -> list[str]:
    """Texts that were computed."""
    assert isinstance(embeddings._compute, Work)
    return embeddings._compute.embedder.embedded


def test_vectors_come_back_in_order_and_equal_texts_are_computed_once(tmp_path: Path) -> None:
    embeddings = sharded(tmp_path)
    rows = embeddings.embed_array([*TEXTS, TEXTS[3]])
    np.testing.assert_array_equal(rows, BagOfWords().embed_array([*TEXTS, TEXTS[3]]))
    assert sorted(embedded(embeddings)) == sorted(TEXTS)
    assert embeddings.embed_documents(TEXTS[:2]) == BagOfWords().embed_documents(TEXTS[:2])
    assert embeddings.embed_documents([]) == []
    assert embeddings.embed_query("number") == BagOfWords().embed_query("number")


def test_whole_shards_of_a_stopped_run_are_used(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sharded(tmp_path, parts=2).prepare(TEXTS)
    again, told = sharded(tmp_path), list[tuple[int, int]]()
    again.prepare(["new", *TEXTS], lambda *call: told.append(call))
    assert sorted(embedded(again)) == sorted(["new", *TEXTS[:6]])
    assert (told[0], told[-1]) == ((4, 11), (11, 11))
    np.testing.assert_array_equal(again.embed_array(TEXTS), BagOfWords().embed_array(TEXTS))


def test_shards_of_another_embedder_are_not(tmp_path: Path) -> None:
    sharded(tmp_path).prepare(TEXTS)
    other = sharded(tmp_path, model="another")
    other.prepare(TEXTS)
    assert len(embedded(other)) == len(TEXTS)


DAMAGE = {
    "cut off": lambda data: data[:-40],
    "a changed number": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "empty": lambda data: b"",
    "something else": lambda data: b"PAR1, or so it says",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_shard_is_computed_again(tmp_path: Path, damage) -> None:
    sharded(tmp_path).prepare(TEXTS)
    file = next(tmp_path.rglob("*.parquet"))
    file.write_bytes(damage(file.read_bytes()))
    again = sharded(tmp_path)
    np.testing.assert_array_equal(again.embed_array(TEXTS), BagOfWords().embed_array(TEXTS))
    assert 0 < len(embedded(again)) <= 3


def test_a_file_of_others_is_left_alone(tmp_path: Path) -> None:
    sharded(tmp_path).prepare(TEXTS)
    file = next(tmp_path.rglob("*.parquet")).with_name("theirs.parquet")
    parquet.write_table(pa.table({"text": ["a"], "vector": [[1.0, 2.0]]}), file)
    again = sharded(tmp_path)
    again.prepare(TEXTS)
    assert embedded(again) == []
    assert file.exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreWriteError, match="writable folder"):
        sharded(tmp_path / "file").prepare(TEXTS)


def documents(folder: Path, files: int, sections: int) -> Path:
    folder.mkdir()
    for file in range(files):
        text = "".join(f"# S{n}\n\nThe lamp {file} stands in room {n}, {WHERE}.\n\n" for n in range(sections))
        (folder / f"{file}.md").write_text(text)
    return folder


def test_an_ingest_stopped_anywhere_embeds_every_text_once(tmp_path: Path) -> None:
    docs, computed = documents(tmp_path / "docs", 4, 4), []
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        for parts in (1, 0, 2, None):
            embeddings = sharded(tmp_path / "shards", parts)
            store.embedding = embeddings
            store._guard._embedding = embeddings
            try:
                ingest([docs], store, prepare=embeddings.prepare)
            except KeyboardInterrupt:
                assert not store.count()
            computed += embedded(embeddings)
        assert store.count() == len(computed) == len(set(computed)) == 16
        embeddings.clear()
        assert not (tmp_path / "shards").exists()
        assert ingest([docs], store, prepare=embeddings.prepare).skipped == 4
        assert not (tmp_path / "shards").exists()


def test_a_store_of_another_embedder_is_refused_before_the_work(tmp_path: Path) -> None:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        store.check_maker(64)
        store.add_texts(["text"])
        store.check_maker(64)
        with pytest.raises(StoreMismatchError, match="another store"):
            store.check_maker(32)


def test_columns_go_in_and_out() -> None:
    texts = ["The library opens at nine.", "The boat leaves.", "متى يغادر القارب؟"]
    batch = {"text": np.array(texts, dtype=object), "page": np.arange(3)}
    found = Embed(model="nano")(batch)
    assert list(found) == ["text", "page", "vector"]
    np.testing.assert_array_equal(found["vector"], QwenEmbeddings(model="nano").embed_array(texts))
    batch = {"q": np.array(["When?"] * 3, dtype=object), "text": batch["text"]}
    scores = Rerank(query="q", model="nano")(batch)["score"]
    expected = QwenReranker(model="nano").score([("When?", text) for text in texts])
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    stack = cli.open_stack("nano", tmp_path / "store")
    with pytest.raises(MissingExtraError, match=r"pip install 'qwen-agentkit\[ray\]'"):
        commands.ingest_on_ray(stack, [documents(tmp_path / "docs", 1, 1)])
    assert not (tmp_path / "store").exists()


class Run:
    """`qwen-agentkit ingest --ray` in processes of its own."""

    def __init__(self, docs: Path, store: Path, *arguments: str) -> None:
        self._tmp = tempfile.mkdtemp(prefix="ray-")  # paths of sockets are short
        environment = {"RAY_TMPDIR": self._tmp, "RAY_ADDRESS": "local", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "qwen_agentkit.cli", "ingest", str(docs), "--preset", "nano"]
        self.process = psutil.Popen(
            [*command, "--store", str(store), "--json", "--ray", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen: set[int] = set()

    def workers(self) -> list[psutil.Process]:
        """Processes that embed."""
        found = []
        for process in self.process.children(recursive=True):
            try:
                found += [process] if "MapWorker" in " ".join(process.cmdline()) else []
            except psutil.NoSuchProcess:
                continue
        return found

    def kill(self) -> None:
        """Kill the process that was started, and see that its workers end by themselves."""
        workers, others = self.workers(), self.process.children(recursive=True)
        self.process.kill()
        self.process.communicate()
        deadline = time.monotonic() + 30
        while any(map(lives, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = [process.pid for process in workers if lives(process)]
        for process in filter(lives, others):
            process.kill()  # Ray's agents look after their parent twice a minute
        shutil.rmtree(self._tmp, ignore_errors=True)
        assert not left

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        shutil.rmtree(self._tmp, ignore_errors=True)
        return self.process.returncode, out, err


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def watch(run: Run, store: Path, kept: Path, more: int) -> None:
    """Wait until so many more shards are written, keeping each under a second name."""
    kept.mkdir(exist_ok=True)
    wanted, deadline = len(list(kept.iterdir())) + more, time.monotonic() + 120
    while len(list(kept.iterdir())) < wanted and run.process.poll() is None:
        assert time.monotonic() < deadline, run.finish()
        for file in (store / ".shards").glob("*/*.parquet"):
            if not (kept / file.name).exists():
                os.link(file, kept / file.name)
        run.seen |= {worker.pid for worker in run.workers()}
        time.sleep(0.05)


def points(folder: Path) -> dict[str, tuple[str, NDArray[np.float32]]]:
    """All that a store holds."""
    with QwenVectorStore(QwenEmbeddings(model="nano"), path=folder, create=False) as store:
        query = store.embeddings.embed_query("lamp")
        hits = store._backend.search(query, store.count(), EVERYTHING, with_vectors=True)
        return {
            hit.id: (json.dumps(hit.payload, sort_keys=True), np.array(hit.vector, np.float32))
            for hit in hits
        }


@pytest.mark.ray
def test_a_run_and_then_a_worker_are_killed_and_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    docs, store, kept = documents(tmp_path / "docs", 32, 32), tmp_path / "store", tmp_path / "kept"
    first = Run(docs, store)
    watch(first, store, kept, 1)
    first.kill()
    survived = {file.name: file.stat().st_mtime_ns for file in (store / ".shards").glob("*/*.parquet")}
    assert 1 <= len(survived) < 4
    assert not (store / "documents").exists()

    second = Run(docs, store, "--workers", "1")
    watch(second, store, kept, len(survived) - len(list(kept.iterdir())) + 1)
    [worker] = second.workers()
    worker.kill()
    watch(second, store, kept, 100)  # until it ends
    assert second.seen - {worker.pid}  # another took its place
    code, out, err = second.finish()
    assert (code, "Traceback" in err) == (0, False), err
    assert json.loads(out)["added"] == 32
    assert not (store / ".shards").exists()

    shards = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    assert survived.items() <= shards.items()  # as they were
    keys = [key for name in shards for key in parquet.read_table(kept / name)["text"].to_pylist()]
    assert len(keys) == len(set(keys)) == 1024

    commands.ingest(cli.open_stack("nano", tmp_path / "plain"), [docs])
    expected, found = points(tmp_path / "plain"), points(store)
    assert len(expected) == 1024
    assert {id: payload for id, (payload, _) in found.items()} == {
        id: payload for id, (payload, _) in expected.items()
    }
    for id, (_, vector) in expected.items():
        np.testing.assert_allclose(found[id][1], vector, atol=1e-5)
    assert commands.ingest(cli.open_stack("nano", store), [docs]).skipped == 32


OWN = """
import sys
import ray
from qwen_agentkit import QwenEmbeddings
from qwen_agentkit.errors import ModelError
from qwen_agentkit.ray import Embed, Rerank, spread

pairs, out, broken = sys.argv[1:]
ray.init("local", num_cpus=4, include_dashboard=False)  # one for each stage
one = {"fn_constructor_kwargs": {"model": "nano"}, "compute": ray.data.ActorPoolStrategy(size=1)}
ray.data.read_parquet(pairs).map_batches(Embed, **one).map_batches(Rerank, **one).write_parquet(out)
try:
    list(spread(QwenEmbeddings(model=broken))(["a text"]))
except ModelError as error:
    assert str(error).endswith("download its weights again."), str(error)
else:
    raise AssertionError("vectors of a broken model")
assert ray.is_initialized()
"""


@pytest.mark.ray
def test_pipelines_of_ones_own_and_what_fails_in_a_worker(tmp_path: Path, nan_model_dir: Path) -> None:
    pairs = [(f"lamp {row % 2}?", f"The lamp {row} stands in a room.") for row in range(8)]
    queries, texts = (list(column) for column in zip(*pairs, strict=True))
    (tmp_path / "pairs").mkdir()
    parquet.write_table(pa.table({"query": queries, "text": texts}), tmp_path / "pairs" / "0.parquet")
    arguments = [str(tmp_path / "pairs"), str(tmp_path / "out"), str(nan_model_dir)]
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", OWN, *arguments], check=True, timeout=240, env={**os.environ, **environment}
    )
    found = parquet.read_table(tmp_path / "out").to_pylist()
    assert [row["text"] for row in found] == texts
    vectors = QwenEmbeddings(model="nano").embed_array(texts)
    np.testing.assert_allclose([np.ravel(row["vector"]) for row in found], vectors, atol=1e-5)
    scores = QwenReranker(model="nano").score(pairs)
    np.testing.assert_allclose([row["score"] for row in found], scores, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "workers", "shares"),
    [
        ([{"CPU": 2.0}], None, (1, 2, 0)),
        ([{"CPU": 2.0}], 2, (2, 1, 0)),
        ([{"CPU": 4.0}, {"CPU": 8.0}, {}], None, (2, 4, 0)),
        ([{"CPU": 4.0}, {"CPU": 8.0}], 3, (3, 4, 0)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 64.0, "GPU": 4.0}], None, (12, 1, 1)),
        ([{"CPU": 64.0, "GPU": 8.0}], 3, (3, 1, 1)),
    ],
)
def test_workers_share_the_cluster(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, float]], workers: int | None, shares: tuple
) -> None:
    cluster(monkeypatch, *nodes)
    assert _share_resources(workers) == shares


@pytest.mark.parametrize("node", [{"CPU": 2.0}, {"CPU": 64.0, "GPU": 2.0}, {}])
def test_more_workers_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch, node: dict[str, float]) -> None:
    cluster(monkeypatch, node)
    with pytest.raises(InputError, match=r"workers=3, but the cluster has (2|0) [CG]PUs"):
        _share_resources(3)


def cluster(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float]) -> None:
    """Let Ray say that these machines are there, and that another one is gone."""
    said = [{"Alive": True, "Resources": node} for node in nodes]
    gone = {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: [*said, gone]))


@pytest.mark.enable_socket
def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    said = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", said)
    with pytest.raises(WorkerError, match=r"RAY_ADDRESS='127\.0\.0\.1:1'"), _connect_cluster():
        pass


def test_workers_without_ray_are_refused(tmp_path: Path) -> None:
    docs = documents(tmp_path / "docs", 1, 1)
    with pytest.raises(InputError, match="Add --ray"):
        cli.ingest([docs], preset="nano", store=tmp_path / "store", workers=2)
    assert not (tmp_path / "store").exists()
