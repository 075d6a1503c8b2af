"""Arguments of the wrong kind end in an error of this package that says what was expected."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.indexing import InMemoryRecordManager
from langchain_core.vectorstores import InMemoryVectorStore

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest import discover, ingest, load_chunks
from qwen_agentkit.ingest.ocr import choose_ocr
from qwen_agentkit.text.readable import readable
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture
def store() -> QwenVectorStore:
    return QwenVectorStore(BagOfWords(8), path=":memory:")


@pytest.mark.parametrize(
    "paths", [None, 3, b"documents", "documents", Path("documents"), [], "", [""], [None]]
)
def test_paths(store: QwenVectorStore, paths: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "one.md").write_text("One.")
    monkeypatch.chdir(tmp_path)
    for call in (lambda: ingest(paths, store), lambda: discover(paths), lambda: load_chunks(paths)):
        with pytest.raises(InputError, match=r"expected a (list of files|file or a folder)"):
            call()
    assert store.count() == 0


@pytest.mark.parametrize("ids", [None, 3, 1.5])
def test_ids_that_are_no_list(store: QwenVectorStore, ids: Any) -> None:
    with pytest.raises(InputError, match="expected a list of ids"):
        store.get_by_ids(ids)
    with pytest.raises(InputError, match="expected a list of ids"):
        asyncio.run(store.aget_by_ids(ids))
    with pytest.raises(InputError, match="expected"):
        store.delete(ids)


def test_an_iterator_of_ids(store: QwenVectorStore) -> None:
    store.add_texts(["one", "two"], ids=["a", "b"])
    store.delete(iter(["a"]))  # type: ignore[arg-type]  # works as a list does
    assert store.count() == 1


@pytest.mark.parametrize("texts", [None, 3])
def test_texts_that_are_no_list(store: QwenVectorStore, texts: Any) -> None:
    with pytest.raises(InputError, match="expected a list of texts"):
        store.add_texts(texts)
    with pytest.raises(InputError, match="expected a list of texts"):
        asyncio.run(store.aadd_texts(texts))
    with pytest.raises(InputError, match="expected a list of texts"):
        readable(texts)


@pytest.mark.parametrize("first_stage", [True, 0, 1.5, "64"])
def test_a_first_stage(first_stage: Any) -> None:
    with pytest.raises(InputError, match="first_stage is"):
        QwenVectorStore(BagOfWords(8), path=":memory:", first_stage=first_stage)


@pytest.mark.parametrize("records", ["sqlite:///records.sqlite", 3, object()])
def test_records(records: Any, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("One.")
    with pytest.raises(InputError, match="a RecordManager of LangChain"):
        ingest([tmp_path], InMemoryVectorStore(BagOfWords(8)), records=records)
    with pytest.raises(InputError, match="a RecordManager of LangChain"):
        ingest([tmp_path], "store", records=InMemoryRecordManager("docs"))  # type: ignore[arg-type]


@pytest.mark.parametrize("languages", ["ar", 3, None])
def test_languages_of_text_recognition(languages: Any) -> None:
    with pytest.raises(InputError, match="expected a list of languages"):
        choose_ocr("auto", languages, ())


@pytest.mark.filterwarnings("error")
def test_a_quantized_store_in_memory_is_searched_without_a_warning() -> None:
    store = QwenVectorStore(BagOfWords(8), path=":memory:", quantization="scalar", first_stage=4)
    store.add_texts(["one", "two"])
    assert store.similarity_search("one", k=1)[0].page_content == "one"
