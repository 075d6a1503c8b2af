"""Folders that are alike, move, cannot be listed, or hold names of other encodings: nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest import ingest, stored_sources
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture
def store() -> Iterator[QwenVectorStore]:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        yield store


def folder(place: Path, **files: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / f"{name}.md").write_text(text, "utf-8")
    return place


def sources(store: QwenVectorStore) -> list[str]:
    return sorted(document.metadata["source"] for document in store.scroll())


def test_a_folder_of_the_same_name_deletes_nothing(tmp_path: Path, store: QwenVectorStore) -> None:
    first = folder(tmp_path / "a" / "docs", hours="The library opens at nine.")
    second = folder(tmp_path / "b" / "docs", boat="The boat leaves at seven.")
    ingest([first], store)
    report = ingest([second], store)
    assert (report.added, report.removed) == (1, 0)
    assert sources(store) == ["docs/boat.md", "docs/hours.md"]
    assert stored_sources([second], store) == ({"docs/boat.md"}, set())
    (first / "hours.md").rename(first / "times.md")
    assert ingest([first], store).removed == 1


def test_a_file_of_the_same_name_replaces_none(tmp_path: Path, store: QwenVectorStore) -> None:
    ingest([folder(tmp_path / "a" / "docs", hours="The library opens at nine.")], store)
    report = ingest([folder(tmp_path / "b" / "docs", hours="The kiln cools at five.")], store)
    assert report.added == 0
    [failed] = report.failed
    assert failed["source"] == "docs/hours.md"
    assert "another folder" in failed["reason"]
    assert [document.page_content for document in store.scroll()] == ["The library opens at nine."]
    assert store.delete(filter={"source": "docs/hours.md"})  # as the reason says
    assert ingest([tmp_path / "b" / "docs"], store).added == 1


def test_a_folder_that_was_moved_is_the_same_one(tmp_path: Path, store: QwenVectorStore) -> None:
    docs = folder(tmp_path / "old" / "docs", hours="It opens at nine.", boat="It leaves at seven.")
    ingest([docs], store)
    moved = Path(shutil.move(docs, tmp_path / "docs"))
    embedder = store.embedding
    assert isinstance(embedder, BagOfWords)
    embedded = len(embedder.embedded)
    assert ingest([moved], store).failed == []
    assert len(embedder.embedded) == embedded
    assert ingest([moved], store).skipped == 2
    folder(moved, hours="It opens at ten.")
    (moved / "boat.md").unlink()
    report = ingest([moved], store)
    assert (report.added, report.removed, report.failed) == (1, 1, [])


def test_a_file_is_the_same_alone_and_in_its_folder(
    tmp_path: Path, store: QwenVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "docs", hours="It opens at nine.")
    monkeypatch.chdir(tmp_path)
    assert ingest(["docs/hours.md"], store).added == 1
    assert ingest(["docs"], store).skipped == 1


def test_what_cannot_be_listed_is_said_and_kept(
    tmp_path: Path, store: QwenVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = folder(tmp_path / "docs", hours="It opens at nine.", old="It opened at eight.")
    folder(docs / "sub", boat="It leaves at seven.")
    ingest([docs], store)
    (docs / "old.md").unlink()
    scandir = os.scandir

    def broken(path: Any) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        assert stored_sources([docs], store)[1] == {"docs/old.md"}
        report = ingest([docs], store)
    assert [failure["source"] for failure in report.failed] == ["docs/sub/"]
    assert report.removed == 1
    assert sources(store) == ["docs/hours.md", "docs/sub/boat.md"]


def test_names_in_another_encoding_are_spelled_out(tmp_path: Path, store: QwenVectorStore) -> None:
    docs = folder(tmp_path / "docs", 时间="开放时间是九点。")
    name = os.fsdecode(os.fsencode(docs) + b"/" + "报告.md".encode("gb18030"))
    Path(name).write_text("The report.", "utf-8")
    report = ingest([docs], store)
    assert (report.added, report.failed) == (2, [])
    assert sources(store) == ["docs/\\udcb1\\udca8\\udcb8\\udce6.md", "docs/时间.md"]
    assert ingest([docs], store).skipped == 2
    Path(name).unlink()
    assert ingest([docs], store).removed == 1


def test_documents_of_others_with_alike_metadata_do_no_harm(tmp_path: Path, store: QwenVectorStore) -> None:
    store.add_texts(["mine"], [{"document_hash": "x"}])
    assert ingest([folder(tmp_path / "docs", hours="It opens at nine.")], store).added == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_is_no_document(tmp_path: Path, store: QwenVectorStore) -> None:
    docs = folder(tmp_path / "docs", hours="It opens at nine.")
    os.mkfifo(docs / "pipe.md")
    assert ingest([docs], store).failed == []


def test_the_last_file_of_a_folder_goes(tmp_path: Path, store: QwenVectorStore) -> None:
    docs = folder(tmp_path / "docs", hours="It opens at nine.")
    ingest([docs, folder(tmp_path / "other", boat="It leaves at seven.")], store)
    (docs / "hours.md").unlink()
    report = ingest([docs], store)
    assert (report.removed, report.failed, sources(store)) == (1, [], ["other/boat.md"])
    with pytest.raises(InputError, match="holds no documents"):
        ingest([docs], store)


def test_a_link_that_leads_out_stops_answering(tmp_path: Path, store: QwenVectorStore) -> None:
    docs = folder(tmp_path / "docs", hours="It opens at nine.", boat="It leaves at seven.")
    ingest([docs], store)
    secret = folder(tmp_path / "board", salary="The salary is 90.") / "salary.md"
    (docs / "hours.md").unlink()
    (docs / "hours.md").symlink_to(secret)
    report = ingest([docs], store)
    assert "outside" in report.failed[0]["reason"]
    assert sources(store) == ["docs/boat.md"]
