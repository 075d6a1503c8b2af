"""Ingest: what is read and split, and that a store follows its files whatever happens in between."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from qwen_agentkit.errors import InputError, LoadError
from qwen_agentkit.ingest import discover, ingest, pipeline, read_document, split
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords, count_words

ROOT = Path(__file__).parents[1]


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with one line of text a page."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "ar").mkdir(parents=True)
    (folder / "hours.md").write_text("# Hours\n\nThe library opens at nine.\n\n# Fines\n\nTen cents a day.\n")
    (folder / "ar" / "hours.txt").write_text("تفتح المكتبة أبوابها في الساعة التاسعة صباحا.", "utf-8")
    (folder / "map.PDF").write_bytes(pdf("The lift is in the hall", "The stairs are behind it"))
    (folder / "page.html").write_text("<title>Boats</title><h1>Ferry</h1><p>It leaves at ten.</p>")
    (folder / ".hidden.md").write_text("secret")
    (folder / "photo.heic").write_bytes(b"\xff\xd8")
    return folder


@pytest.fixture
def store() -> Iterator[QwenVectorStore]:
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        yield store


def embedded(store: QwenVectorStore) -> list[str]:
    """Every text embedded so far."""
    assert isinstance(store.embedding, BagOfWords)
    return store.embedding.embedded


def texts(store: QwenVectorStore) -> list[str]:
    return sorted(document.page_content for document in store.scroll())


def test_documents_come_in_with_their_metadata(docs: Path, store: QwenVectorStore) -> None:
    report = ingest([docs], store)
    assert (report.added, report.skipped, report.removed, report.failed) == (4, 0, 0, [])
    assert list(report.to_dict()) == [
        *("added", "skipped", "removed", "failed", "warnings", "passed_over", "seconds")
    ]
    found = {(d.metadata["source"], d.metadata["chunk"]): d for d in store.scroll()}
    assert sorted(found) == [
        ("docs/ar/hours.txt", 0), ("docs/hours.md", 0), ("docs/hours.md", 1),
        ("docs/map.PDF", 0), ("docs/map.PDF", 1), ("docs/page.html", 0),
    ]  # fmt: skip
    assert found["docs/ar/hours.txt", 0].metadata["language"] == "ar"
    fines = found["docs/hours.md", 1].metadata
    assert (fines["title"], fines["section"], fines["chunk_count"]) == ("Hours", "Fines", 2)
    assert (docs / "hours.md").read_text()[fines["start"] : fines["end"]] == "# Fines\n\nTen cents a day."
    assert found["docs/map.PDF", 1].metadata["page"] == 2
    assert found["docs/page.html", 0].metadata["title"] == "Boats"


def test_a_second_run_embeds_nothing(docs: Path, store: QwenVectorStore) -> None:
    ingest([docs], store)
    before = len(embedded(store))
    report = ingest([docs], store)
    assert (report.added, report.skipped, len(embedded(store))) == (0, 4, before)


def test_only_the_changed_chunk_of_a_changed_file_is_embedded(docs: Path, store: QwenVectorStore) -> None:
    ingest([docs], store)
    before = len(embedded(store))
    file = docs / "hours.md"
    file.write_text(file.read_text().replace("Ten", "Twenty"))
    report = ingest([docs], store)
    assert (report.added, report.skipped) == (1, 3)
    assert embedded(store)[before:] == ["# Fines\n\nTwenty cents a day."]
    assert not [text for text in texts(store) if "Ten cents" in text]
    assert len({d.metadata["document_hash"] for d in store.scroll({"source": "docs/hours.md"})}) == 1
    assert ingest([docs], store).skipped == 4


def test_repeated_paragraphs_stay_and_settle(tmp_path: Path, store: QwenVectorStore) -> None:
    (tmp_path / "twice.md").write_text("# A\n\nsame\n\n# A\n\nsame\n")
    ingest([tmp_path], store)
    assert store.count() == 2
    assert ingest([tmp_path], store).skipped == 1


def test_vanished_files_go_and_others_stay(docs: Path, tmp_path: Path, store: QwenVectorStore) -> None:
    other = tmp_path / "docs-of-others"
    other.mkdir()
    (other / "note.txt").write_text("a note of others")
    ingest([docs, other], store)
    store.add_texts(["added by hand"], [{"source": "docs/hand"}])
    (docs / "hours.md").unlink()
    (other / "note.txt").unlink()
    (other / "new.txt").write_text("another note")
    assert ingest([docs], store, prune=False).removed == 0
    assert ingest([docs], store).removed == 1
    kept = {d.metadata["source"] for d in store.scroll()}
    assert "docs/hours.md" not in kept
    assert {"docs-of-others/note.txt", "docs/hand"} <= kept


BAD = {
    "binary.txt": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
    "empty.md": (b" \n\n", "no text"),
    "broken.pdf": (b"%PDF-1.7 and then nothing", "broken PDF"),
    "cut.pdf": (pdf("some text")[:300], "broken PDF|no text"),
    "locked.pdf": (pdf("secret", password="word"), "encrypted"),
    "scan.pdf": (pdf(""), "no text"),
    "empty.html": (b"<script>var x</script>", "no text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_has_a_reason_and_stops_nothing(
    docs: Path, store: QwenVectorStore, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    data, reason = BAD[name]
    (docs / name).write_bytes(data)
    report = ingest([docs], store)
    assert report.added == 4
    assert [failure["source"] for failure in report.failed] == [f"docs/{name}"]
    with pytest.raises(LoadError, match=reason):
        read_document(data, Path(name).suffix)
    assert not recwarn.list


@pytest.mark.parametrize("content", [b"", b"\0", b" \n"])
def test_a_file_that_turns_bad_stops_answering(docs: Path, store: QwenVectorStore, content: bytes) -> None:
    ingest([docs], store)
    (docs / "hours.md").write_bytes(content)
    report = ingest([docs], store)
    [failed] = report.failed
    assert failed["source"] == "docs/hours.md"
    assert "is removed" in failed["reason"]
    assert (report.removed, report.skipped) == (1, 3)
    assert "docs/hours.md" not in {document.metadata["source"] for document in store.scroll()}
    assert ingest([docs], store).removed == 0


def test_a_file_that_cannot_be_opened_keeps_what_was_in(
    docs: Path, store: QwenVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([docs], store)
    before = texts(store)
    opened = Path.open

    def locked(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "hours.md":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", locked)
    report = ingest([docs], store)
    assert [failure["reason"] for failure in report.failed] == ["Permission denied"]
    assert (report.removed, texts(store)) == (0, before)


def test_files_of_other_kinds_are_named_and_hidden_ones_are_not(docs: Path, store: QwenVectorStore) -> None:
    (docs / "LICENSE").write_text("text")
    assert ingest([docs], store).passed_over == [
        {"source": "docs/LICENSE", "reason": "The file has no ending."},
        {"source": "docs/photo.heic", "reason": "There is no reader for '.heic' files."},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(encoding: str) -> None:
    [part] = read_document("مكتبة 图书馆\r\nend".encode(encoding), ".txt")
    assert part.text == "مكتبة 图书馆\nend"


def test_html_keeps_structure_and_drops_code() -> None:
    page = (
        "<html><head><title> A &amp;\n B </title><style>p{}</style></head><body><script>no()</script>"
        "<h2>Hours</h2><p>From <b>nine</b>\nto five.<br>Daily.</p><ul><li>one<li>two</ul>"
        "<table><tr><td>a</td><td>b</td></tr></table></body>"
    )
    [part] = read_document(page.encode(), ".html")
    assert part.metadata == {"title": "A & B"}
    assert part.text == "## Hours\n\nFrom nine to five.\nDaily.\n\n- one\n- two\n\na | b"


def test_front_matter_gives_the_title_and_goes() -> None:
    [part] = read_document(b"---\nid: x\ntitle: 'The FAQ'\n---\n# Other\n\nText.", ".md")
    assert part[:2] == ("# Other\n\nText.", {"title": "The FAQ"})


def test_missing_and_empty_paths_are_refused_before_the_store_is_touched(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store") as store:
        for path, said in ((tmp_path / "none", "does not exist"), (tmp_path / "empty", "no documents")):
            with pytest.raises(InputError, match=said):
                ingest([path], store)
    assert not (tmp_path / "store").exists()


def test_sources_are_named_as_given(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(docs.parent)
    for path in (docs, Path("docs"), "docs/"):
        assert discover([path])[0].source == "docs/ar/hours.txt"
    monkeypatch.chdir(docs)
    assert discover(["."])[0].source == "docs/ar/hours.txt"
    assert discover(["hours.md"])[0].source == "hours.md"
    assert discover([docs / "hours.md"])[0].source == "docs/hours.md"
    assert len(discover([docs, docs / "hours.md", docs])) == 4


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "docs").mkdir(parents=True)
        (tmp_path / folder / "docs" / "x.md").write_text("text")
    with pytest.raises(InputError, match=r"both be called 'docs/x\.md'"):
        discover([tmp_path / "a" / "docs", tmp_path / "b" / "docs"])


def test_a_named_file_of_another_kind_fails_with_its_reason(docs: Path, store: QwenVectorStore) -> None:
    report = ingest([docs / "photo.heic", docs / "hours.md"], store)
    assert report.added == 1
    assert "no reader for '.heic'" in report.failed[0]["reason"]


def test_progress_ends_at_its_totals(docs: Path, store: QwenVectorStore) -> None:
    calls: list[tuple[str, int, int]] = []
    ingest([docs], store, progress=lambda *call: calls.append(call))
    assert [call for call in calls if call[1] == call[2]] == [("read", 4, 4), ("embed", 6, 6)]


SLOW = """
import sys, time
from pathlib import Path
from qwen_agentkit.ingest import ingest, pipeline
from qwen_agentkit.vectorstores import QwenVectorStore
from tests.fakes.embedders import BagOfWords

class Slow(BagOfWords):
    def embed_array(self, texts):
        time.sleep(0.05)
        with open(sys.argv[3], "a") as log:
            log.write(f"{len(texts)}\\n")
        return super().embed_array(texts)

pipeline._BATCH_SIZE = 4
with QwenVectorStore(Slow(), path=sys.argv[2]) as store:
    ingest([sys.argv[1]], store)
"""


def test_killed_twice_and_run_again_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    docs, folder, log = tmp_path / "docs", tmp_path / "store", tmp_path / "log"
    docs.mkdir()
    for number in range(30):
        (docs / f"{number}.md").write_text("".join(f"# S{n}\n\ntext {number} {n}\n\n" for n in range(3)))
    for _ in range(2):
        log.write_text("")
        process = subprocess.Popen([sys.executable, "-c", SLOW, str(docs), str(folder), str(log)], cwd=ROOT)
        deadline = time.monotonic() + 60
        while (
            len(log.read_text().splitlines()) < 4 and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with QwenVectorStore(BagOfWords(), path=folder) as store:
        survived = store.count()
        assert 12 <= survived < 90
        ingest([docs], store)
        assert len(embedded(store)) == 90 - survived
        assert texts(store) == sorted(
            f"# S{n}\n\ntext {number} {n}" for number in range(30) for n in range(3)
        )
        assert ingest([docs], store).skipped == 30


class Killed(BaseException):
    """The process dies here."""


def test_stopped_at_every_single_write_and_run_again(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_BATCH_SIZE", 1)
    changed = "# Hours\n\nNew hours.\n\n# Fines\n\nTen cents a day.\n\n# More\n\nMore text.\n"
    original = (docs / "hours.md").read_text()
    for allowed in range(30):
        (docs / "hours.md").write_text(original)
        with QwenVectorStore(BagOfWords(), path=":memory:") as store:
            ingest([docs / "hours.md"], store)
            (docs / "hours.md").write_text(changed)
            with monkeypatch.context() as patch:
                left = iter(range(allowed))
                for name in ("upsert", "set_payload", "delete", "delete_matching"):
                    patch.setattr(store._backend, name, dying(getattr(store._backend, name), left))
                try:
                    ingest([docs], store)
                    finished = True
                except Killed:
                    finished = False
            ingest([docs], store)
            assert len(texts(store)) == len(set(texts(store))) == 7
            assert "# Hours\n\nNew hours." in texts(store)
            assert ingest([docs], store).skipped == 4
            if finished:
                break
    assert 8 <= allowed < 29


def dying(write: Callable[..., None], left: Iterator[int]) -> Callable[..., None]:
    def wrapped(*arguments: object) -> None:
        if next(left, None) is None:
            raise Killed
        write(*arguments)

    return wrapped


def test_a_large_file_is_split_along_sections_then_sentences() -> None:
    text = "# A\n\n" + "One two three four. " * 20 + "\n\n## B\n\nShort.\n\n# C\n\n```\n# no heading\n```\n"
    chunks = split(text, count_words, max_tokens=24, overlap=0)
    assert {chunk.section for chunk in chunks} == {"A", "A > B", "C"}
    assert all(chunk.text.endswith(".") for chunk in chunks if chunk.section == "A")
    assert [chunk.text for chunk in chunks][-1] == "# C\n\n```\n# no heading\n```"


def test_overlap_repeats_whole_sentences() -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(20))
    chunks = split(text, count_words, max_tokens=20, overlap=5)
    assert len(chunks) > 5
    for before, after in pairwise(chunks):
        assert split_sentences(before.text)[-1].text == split_sentences(after.text)[0].text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "word ",
                "漢字仮名",
                "。",
                ". ",
                "\n\n",
                "\n# H\n",
                "مكتبة ",
                "e\u0301\u0302",
                "👩\u200d🚀",
                "🇩🇪",
                "x" * 40,
            ]
        ),
        max_size=120,
    )
)
def test_no_chunk_is_above_the_limit_and_no_letter_is_lost(pieces: list[str]) -> None:
    def count(batch: object) -> list[int]:
        return [len(text) for text in batch]

    text = "".join(pieces)
    chunks = split(text, count, max_tokens=30, overlap=8)
    assert all(len(chunk.text) <= 30 and text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    kept = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
    assert all(place in kept for place, char in enumerate(text) if char.isalnum())
    assert all(not chunk.text.startswith(("\u0301", "\u0302", "\u200d")) for chunk in chunks)


@pytest.mark.parametrize(("max_tokens", "overlap"), [(15, 0), (100, 50), (100, -1)])
def test_sizes_that_cannot_work_are_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(InputError, match="expected"):
        split("text", count_words, max_tokens=max_tokens, overlap=overlap)


def test_the_report_is_json(docs: Path, store: QwenVectorStore) -> None:
    assert json.loads(json.dumps(ingest([docs], store).to_dict()))["added"] == 4
