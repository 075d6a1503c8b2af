"""Links in folders: what they point at is read only where it may be read, and a broken one stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_agentkit.ingest import ingest
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords


@pytest.fixture
def store() -> Iterator[QwenVectorStore]:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        yield store


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name, text in (("crew/menu.md", "Soup."), ("board/salary.md", "The salary is secret.")):
        file = tmp_path / "docs" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    (tmp_path / "secret.txt").write_text("The key is 4711.")
    return tmp_path / "docs"


def texts(store: QwenVectorStore) -> set[str]:
    return {document.page_content for document in store.scroll()}


def test_a_link_to_the_outside_is_refused(docs: Path, store: QwenVectorStore) -> None:
    (docs / "crew" / "leak.txt").symlink_to("../../secret.txt")
    report = ingest([docs], store)
    [failed] = report.failed
    assert failed["source"] == "docs/crew/leak.txt"
    assert "outside 'docs'" in failed["reason"]
    assert texts(store) == {"Soup.", "The salary is secret."}


def test_a_link_publishes_nothing_of_another_group(docs: Path, store: QwenVectorStore) -> None:
    (docs / "crew" / "leak.md").symlink_to("../board/salary.md")
    (docs / "crew" / "again.md").symlink_to("menu.md")
    [failed] = ingest([docs], store, groups=True).failed
    assert failed["source"] == "docs/crew/leak.md"
    assert "outside 'crew'" in failed["reason"]
    assert [d.metadata["source"] for d in store.scroll({"group": "crew"}) if "salary" in d.page_content] == []
    assert store.count({"source": "docs/crew/again.md"}) == 1


def test_a_link_inside_the_folder_is_read(docs: Path, store: QwenVectorStore) -> None:
    (docs / "crew" / "same.md").symlink_to("../board/salary.md")
    assert ingest([docs], store).failed == []
    assert store.count({"source": "docs/crew/same.md"}) == 1


def test_a_folder_and_a_file_that_are_given_may_be_links(docs: Path, store: QwenVectorStore) -> None:
    (docs.parent / "linked").symlink_to(docs)
    (docs.parent / "note.txt").symlink_to("secret.txt")
    assert ingest([docs.parent / "linked", docs.parent / "note.txt"], store).failed == []
    assert "The key is 4711." in texts(store)


def test_a_link_to_itself_or_to_nothing_stops_nothing(docs: Path, store: QwenVectorStore) -> None:
    (docs / "loop.md").symlink_to("loop.md")
    (docs / "gone.md").symlink_to("nowhere.md")
    report = ingest([docs], store)
    assert report.added == 2
    assert [failed["source"] for failed in report.failed] == ["docs/loop.md"]
