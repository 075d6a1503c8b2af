"""Cached vectors equal computed ones, survive damage and other writers, and load no weights."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.stores import InMemoryByteStore
from langchain_tests.integration_tests import BaseStoreSyncTests

from qwen_agentkit import QwenEmbeddings
from qwen_agentkit.backends.engine_embedder import EngineEmbedder
from qwen_agentkit.embedding_cache import FolderStore
from qwen_agentkit.errors import InputError, InputTooLongError, ModelError

TEXTS = ["The library opens at nine.", "图书馆九点开门。", "", "x " * 300]


class TestFolderStore(BaseStoreSyncTests):
    @pytest.fixture
    def kv_store(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "store")

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return b"one", b"", bytes(range(256))


@pytest.fixture
def plain(tiny_qwen3_dir: Path) -> QwenEmbeddings:
    """Made anew for every test: what it loads shows in its attributes."""
    return QwenEmbeddings(model=str(tiny_qwen3_dir), dtype="float32", device="cpu")


@pytest.fixture
def cached(tiny_qwen3_dir: Path, tmp_path: Path) -> QwenEmbeddings:
    return QwenEmbeddings(model=str(tiny_qwen3_dir), dtype="float32", device="cpu", cache=tmp_path / "cache")


def again(embeddings: QwenEmbeddings, **changes: object) -> QwenEmbeddings:
    """The same embedder in a later run, which has nothing loaded."""
    return QwenEmbeddings(**{**embeddings.model_dump(), "cache": embeddings.cache, **changes})


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left.astype(float) * right).sum(1)


def has_loaded(embeddings: QwenEmbeddings) -> bool:
    return "loaded" in vars(embeddings._backend)


def entries(embeddings: QwenEmbeddings) -> list[Path]:
    assert isinstance(embeddings.cache, Path)
    return sorted(file for file in embeddings.cache.rglob("*") if file.is_file())


def test_cached_vectors_are_the_computed_ones_in_fp16(cached: QwenEmbeddings, plain: QwenEmbeddings) -> None:
    exact = plain.embed_array(TEXTS)
    vectors = cached.embed_array(TEXTS)
    assert cosine(exact, vectors).min() > 0.999999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(again(cached).embed_array(TEXTS), vectors)
    assert len(entries(cached)) == len(TEXTS)
    assert {file.stat().st_size for file in entries(cached)} == {17 + 2 * 64}


def test_what_is_cached_loads_no_weights(cached: QwenEmbeddings) -> None:
    vectors = cached.embed_array(TEXTS)
    query = cached.embed_query("when?")
    later = again(cached)
    np.testing.assert_array_equal(later.embed_documents(TEXTS), vectors)
    assert later.embed_query("when?") == query
    assert later.fingerprint == cached.fingerprint
    assert later.embed_array([]).shape == (0, 64)
    assert not has_loaded(later)
    later.embed_query("where?")
    assert has_loaded(later)


def test_only_what_is_new_is_computed(cached: QwenEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    cached.embed_array(TEXTS)
    computed: list[int] = []
    compute = EngineEmbedder.embed

    def spy(self: EngineEmbedder, texts: list[str], *how: object) -> tuple[np.ndarray, list[bool]]:
        computed.append(len(texts))
        return compute(self, texts, *how)

    monkeypatch.setattr(EngineEmbedder, "embed", spy)
    mixed = cached.embed_array([TEXTS[1], "new", TEXTS[0], "new"])
    assert computed == [1]
    np.testing.assert_array_equal(mixed[[0, 2]], cached.embed_array([TEXTS[1], TEXTS[0]]))
    np.testing.assert_array_equal(mixed[1], mixed[3])


def test_sizes_are_cut_from_one_entry(cached: QwenEmbeddings, plain: QwenEmbeddings) -> None:
    full = cached.embed_array(TEXTS)
    short = again(cached, dimensions=24)
    vectors = short.embed_array(TEXTS)
    assert not has_loaded(short)
    np.testing.assert_allclose(
        vectors, full[:, :24] / np.linalg.norm(full[:, :24], axis=1, keepdims=True), atol=1e-6
    )
    exact = plain.model_copy(update={"dimensions": 24}).embed_array(TEXTS)
    assert cosine(exact, vectors).min() > 0.999999


@pytest.mark.parametrize("changes", [{"dtype": "bfloat16"}, {"max_length": 100}, {"deterministic": True}])
def test_what_changes_a_vector_changes_its_key(cached: QwenEmbeddings, changes: dict) -> None:
    cached.embed_array(TEXTS[:1])
    other = again(cached, **changes)
    other.embed_array(TEXTS[:1])
    assert has_loaded(other)
    assert len(entries(cached)) == 2


def test_other_weights_have_other_entries(cached: QwenEmbeddings, save_random_model) -> None:
    cached.embed_array(TEXTS[:1])
    other = again(cached, model=str(save_random_model(seed=11)))
    assert not np.allclose(other.embed_array(TEXTS[:1]), cached.embed_array(TEXTS[:1]), atol=1e-2)


def test_queries_are_kept_apart_by_instruction(cached: QwenEmbeddings) -> None:
    legal = cached.with_instruction("Find the clause")
    vectors = [cached.embed_query("rent"), legal.embed_query("rent"), cached.embed_documents(["rent"])[0]]
    assert len(entries(cached)) == 3
    later = again(cached)
    assert later.embed_query("rent") == vectors[0]
    assert later.with_instruction("Find the clause").embed_query("rent") == vectors[1]
    assert later.embed_documents(["rent"])[0] == vectors[2]
    assert not has_loaded(later)


def flip_a_bit(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda data: data[:-1], lambda data: b"", lambda data: b"{}" * 70, lambda data: data + b"x"],
    ids=["bit", "short", "empty", "foreign", "long"],
)
def test_a_damaged_entry_is_computed_again(cached: QwenEmbeddings, damage) -> None:
    vectors = cached.embed_array(TEXTS)
    good = {file: file.read_bytes() for file in entries(cached)}
    for file, data in good.items():
        file.write_bytes(damage(data))
    np.testing.assert_allclose(again(cached).embed_array(TEXTS), vectors, atol=1e-3)
    assert {file: file.read_bytes() for file in entries(cached)} == good


def test_an_entry_under_another_key_is_foreign(cached: QwenEmbeddings) -> None:
    vectors = cached.embed_array(TEXTS[:2])
    one, two = entries(cached)
    one.write_bytes(two.read_bytes())
    # Computed anew beside other texts: the last bit of fp16 may round the other way.
    np.testing.assert_allclose(again(cached).embed_array(TEXTS[:2]), vectors, atol=1e-3)


def test_any_byte_store_will_do(cached: QwenEmbeddings) -> None:
    store = InMemoryByteStore()
    first = again(cached, cache=store)
    vectors = first.embed_array(TEXTS)
    assert len(list(store.yield_keys())) == len(TEXTS)
    later = again(cached, cache=store)
    np.testing.assert_array_equal(later.embed_array(TEXTS), vectors)
    assert not has_loaded(later)
    key = next(store.yield_keys())
    store.mset([(key, "no bytes")])
    np.testing.assert_allclose(later.embed_array(TEXTS), vectors, atol=1e-3)


def test_a_cut_text_warns_from_the_cache_too(cached: QwenEmbeddings) -> None:
    short = again(cached, max_length=50)
    for embeddings in (short, again(short)):
        with pytest.warns(UserWarning, match=r"1 of 4 texts are longer than max_length=50.*text 3 \('x x"):
            embeddings.embed_array(TEXTS)
    with pytest.raises(InputTooLongError, match="'x x"):
        again(short, truncate=False).embed_array(TEXTS)


def test_vectors_that_are_not_numbers_are_not_kept(cached: QwenEmbeddings, nan_model_dir: Path) -> None:
    broken = again(cached, model=str(nan_model_dir))
    with pytest.raises(ModelError, match="not numbers"):
        broken.embed_array(TEXTS)
    assert not entries(cached)


def test_a_cache_that_cannot_be_written_costs_a_warning(cached: QwenEmbeddings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    blocked = again(cached, cache=tmp_path / "file")
    with pytest.warns(UserWarning, match="cache of vectors cannot be written"):
        vectors = blocked.embed_array(TEXTS)
    np.testing.assert_array_equal(vectors, cached.embed_array(TEXTS))


def test_threads_share_a_cache(cached: QwenEmbeddings) -> None:
    texts = [f"{i} boats" for i in range(20)]
    expected = again(cached).embed_array(texts)
    for file in entries(cached)[::2]:
        file.unlink()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: again(cached).embed_array(texts), range(8)))
    for vectors in results:
        np.testing.assert_allclose(vectors, expected, atol=1e-3)
    assert len(entries(cached)) == 20


WRITER = """
import sys
from qwen_agentkit.embedding_cache import FolderStore
store = FolderStore(sys.argv[1])
for turn in range(25):
    store.mset([(f"key{i}", sys.argv[2].encode() * 3000) for i in range(10)])
    for value in store.mget([f"key{i}" for i in range(10)]):
        assert value is not None and len(value) == 3000 and len(set(value)) == 1, value
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), letter]) for letter in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert sorted(FolderStore(tmp_path).yield_keys()) == [f"key{i}" for i in range(10)]
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 10, "nothing is left behind"


@pytest.mark.parametrize("key", ["../escape", "a/b", "", ".hidden", "x" * 300, "nul\0"])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match="cannot be a file name"):
        FolderStore(tmp_path).mset([(key, b"")])
