"""The commands as a person types them: results, JSON, and every kind of bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_agentkit import QwenEmbeddings, QwenVectorStore
from qwen_agentkit.cli import commands, terminal
from qwen_agentkit.cli import entry as cli
from qwen_agentkit.cli.commands import handbook_folder, load_demo_questions
from qwen_agentkit.text.languages import phrase
from tests.fakes.command_line import Run


@pytest.fixture(scope="session")
def handbook_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the handbook, made once."""
    folder = tmp_path_factory.mktemp("cli") / "store"
    stack = cli.open_stack("nano", folder)
    commands.ingest(stack, [handbook_folder()])
    return folder


def contents(folder: Path) -> list[str]:
    """Everything the store holds. Not its bytes: opening it compacts its journals."""
    with QwenVectorStore(QwenEmbeddings(model="nano"), path=folder, create=False) as store:
        return sorted(document.model_dump_json() for document in store.scroll())


@pytest.fixture
def copied_store(handbook_store: Path, tmp_path: Path) -> Path:
    """A store of one's own to threaten."""
    return Path(shutil.copytree(handbook_store, tmp_path / "store"))


def test_a_second_ingest_changes_nothing(run: Run, tmp_path: Path) -> None:
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "a.md").write_text("# A\n\nThe library opens at nine.", encoding="utf-8")
    (documents / "b.txt").write_text("يغادر القارب في السابعة والنصف.", encoding="utf-8")
    (documents / "bad.pdf").write_bytes(b"%PDF-1.7 broken")
    arguments = ("ingest", documents, "--preset", "nano", "--store", tmp_path / "store", "--json")
    first = run(*arguments)
    assert first.code == 3  # one file could not be read
    assert set(first.json) == {
        *("added", "skipped", "removed", "failed", "warnings", "passed_over", "seconds")
    }
    assert (first.json["added"], first.json["skipped"]) == (2, 0)
    assert [failure["source"].endswith("bad.pdf") for failure in first.json["failed"]] == [True]
    second = run(*arguments)
    assert (second.json["added"], second.json["skipped"], second.json["removed"]) == (0, 2, 0)
    (documents / "a.md").unlink()
    assert run(*arguments).json["removed"] == 1


def test_search_gives_scores_and_places(run: Run, handbook_store: Path) -> None:
    ran = run("search", "microscope session", "--preset", "nano", "--store", handbook_store, "--json")
    results = ran.json["results"]
    assert len(results) == 5
    found = {"source", "text", "language", "score", "retrieval_score", "rank_before", "relevant"}
    assert set(results[0]) == found
    assert results[0]["relevant"]
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("question", load_demo_questions()[:9], ids=lambda question: question["question"])
def test_ask_answers_the_demo_questions(run: Run, handbook_store: Path, question: dict[str, str]) -> None:
    ran = run("ask", question["question"], "--preset", "nano", "--store", handbook_store, "--json")
    assert ran.code == 0
    result = ran.json
    expected = {"question", "language", "answer", "abstained", "reasoning", "citations", "documents"}
    assert set(result) == {*expected, "timings", "nearest", "threshold"}
    assert result["language"] == question["language"]
    if question["kind"] == "unanswerable":
        assert result["abstained"]
        assert result["answer"] == phrase(question["language"], "abstain")
        assert 0 <= result["nearest"][0]["score"] < result["threshold"]
        return
    assert question["expected_phrase"] in result["answer"]
    assert any(c["source"].endswith(question["expected_source"]) for c in result["citations"])
    for citation in result["citations"]:
        document = result["documents"][citation["marker"] - 1]
        assert document["source"] == citation["source"]
        assert citation["quote"] in document["text"]
        assert f"[{citation['marker']}]" in result["answer"]


def test_arabic_leaves_in_logical_order_without_marks(run: Run, handbook_store: Path) -> None:
    ran = run("search", "جدول القارب", "--preset", "nano", "--store", handbook_store, "--json")
    text = next(result["text"] for result in ran.json["results"] if result["language"] == "ar")
    assert "\\u06" not in ran.out
    assert not set("\u2066\u2067\u2069\u200f") & set(ran.out)
    assert text.split("\n")[0].lstrip("# ")[0] >= "\u0620"


def test_a_terminal_gets_isolated_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = "القارب Petrel 7 يغادر 7:30.\nThe boat مركب leaves.\n\n12"
    assert terminal.isolate_lines(mixed) == mixed
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    arabic, english, empty, digits = terminal.isolate_lines(mixed).split("\n")
    assert arabic == "\u2067القارب Petrel 7 يغادر 7:30.\u2069"
    assert english.startswith("\u2066The boat")
    assert empty == ""
    assert digits == "\u206612\u2069"


def test_documents_give_a_terminal_no_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = terminal.console()
    out.print("a\x1b]52;c;aGk=\x1b\\b\x1b[2J\rc\x9bd\ne\u200f", style="bold")
    assert capsys.readouterr().out == "a]52;c;aGk=\\b[2Jcd\ne\u200f\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert terminal.isolate_lines("a\u202eb\u2066c\u200fd") == "\u2066abc\u200fd\u2069"


def test_a_locale_without_the_script_is_no_error(handbook_store: Path) -> None:
    command = [sys.executable, "-m", "qwen_agentkit.cli", "search", "متى؟", "--preset", "nano"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [*command, "--store", str(handbook_store)], capture_output=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert b"?" in ran.stdout


def test_a_person_sees_answer_sources_and_timings(run: Run, handbook_store: Path) -> None:
    question = load_demo_questions()[0]
    ran = run("ask", question["question"], "--preset", "nano", "--store", handbook_store, "--think")
    assert ran.code == 0
    assert question["expected_phrase"] in ran.out
    assert "Sources" in ran.out
    assert "Thinking: " in ran.out
    assert "rerank" in ran.out
    assert "nano models" in ran.err


BAD_FILES = {
    "binary named .txt": ("a.txt", bytes(range(256)) * 8),
    "broken pdf": ("a.pdf", b"%PDF-1.7\nnot really"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_cannot_be_read(run: Run, copied_store: Path, tmp_path: Path, kind: str) -> None:
    name, content = BAD_FILES[kind]
    (tmp_path / name).write_bytes(content)
    before = contents(copied_store)
    ran = run("ingest", tmp_path / name, "--preset", "nano", "--store", copied_store)
    assert ran.code == 2
    assert name in ran.err
    assert contents(copied_store) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "{tmp}/nowhere", "--preset", "nano"], "nowhere"),
        (["ingest", "{tmp}/empty", "--preset", "nano"], "empty"),
        (["ask", "   ", "--preset", "nano"], "question '   ' is empty"),
        (["ask", "caf\udce9?", "--preset", "nano"], "not valid text"),
        (["ask", "{long}", "--preset", "nano"], "expected at most 20000"),
        (["search", "{long}", "--preset", "nano"], "tokens"),
        (["ask", "Why?", "--preset", "7b"], "Unknown preset '7b'"),
        (["ask", "Why?", "--preset", "8b"], "made with the preset nano"),
        (["ingest", "{tmp}/empty", "--preset", "0.6b"], "made with the preset nano"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_is_said_and_changes_nothing(
    run: Run, copied_store: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    filled = [part.format(tmp=tmp_path, long="why " * 40000) for part in arguments]
    before = contents(copied_store)
    ran = run(*filled, "--store", copied_store)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""
    assert contents(copied_store) == before


@pytest.mark.parametrize("command", [["search", "Why?"], ["ask", "Why?"]])
def test_a_missing_store_is_not_made(run: Run, tmp_path: Path, command: list[str]) -> None:
    ran = run(*command, "--preset", "nano", "--store", tmp_path / "none")
    assert ran.code == 2
    assert "qwen-agentkit ingest" in ran.err
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_no_store_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("The library opens at nine.")
    for command in (["ask", "Why?"], ["ingest", str(tmp_path / "docs")]):
        ran = run(*command, "--preset", "nano", "--store", tmp_path / "docs")
        assert ran.code == 2
        assert "docs" in ran.err
    assert [file.name for file in (tmp_path / "docs").iterdir()] == ["a.md"]


def test_a_store_of_another_embedder_is_refused(run: Run, tmp_path: Path, tiny_qwen3_dir: Path) -> None:
    maker = QwenEmbeddings(model=str(tiny_qwen3_dir))
    with QwenVectorStore(maker, path=tmp_path / "other") as store:
        store.add_texts(["The library opens at nine."])
    for command in (["ask", "Why?"], ["search", "Why?"], ["ingest", str(handbook_folder() / "en")]):
        ran = run(*command, "--preset", "nano", "--store", tmp_path / "other")
        assert ran.code == 2
        assert "64" in ran.err
    with QwenVectorStore(maker, path=tmp_path / "other") as store:
        assert [document.page_content for document in store.scroll()] == ["The library opens at nine."]


HOLD = """
import sys, time
from qwen_agentkit.vectorstores import QwenVectorStore
from tests.fakes.command_line import Run
from tests.fakes.embedders import BagOfWords
store = QwenVectorStore(BagOfWords(), path=sys.argv[1], create=False)
store.count()
print("held", flush=True)
time.sleep(60)
"""


def test_a_store_held_by_another_process_is_read_and_not_written(run: Run, copied_store: Path) -> None:
    root = Path(__file__).parent.parent
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(copied_store)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        read = run("search", "microscope session", "--store", copied_store, "--json")
        ran = run("ingest", handbook_folder(), "--store", copied_store)
    finally:
        holder.kill()
        holder.communicate()
    assert (read.code, len(read.json["results"])) == (0, 5)
    assert ran.code == 2
    assert "another process" in ran.err


def test_doctor_examines(run: Run, handbook_store: Path) -> None:
    ran = run("doctor", "--store", handbook_store, "--json")
    assert ran.code == 0
    found = {row["name"]: row for row in ran.json["checkpoints"]}
    assert found["nano-embedding"]["downloaded"]
    assert found["Qwen/Qwen3-8B"]["weights_gb"] == pytest.approx(16.4)
    assert "passages" in ran.json["store"]
    assert "of nano-reranker" in ran.json["search"]
    limit, *paths = ran.json["speed"]
    assert limit["many_rows"].endswith("GFLOP/s")
    assert [path["name"] for path in paths] == ["default", "int8, chat", "int8, vectors"]
    assert paths[0]["one_row"].endswith("of it")
    assert "nano-chat" in run("doctor", "--store", handbook_store).out


def test_the_demo_draws_questions_and_tells_its_score(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--store", tmp_path / "store")
    assert ran.code == 0
    asked = [one for one in load_demo_questions() if one["question"] in ran.out]
    assert len(asked) >= 7
    assert {one["kind"] for one in asked} == {"same_language", "cross_language", "unanswerable"}
    assert "40 added" in ran.out
    right, wrong, unanswered = map(int, re.findall(r"(\d+) right, (\d+) wrong, (\d+) not", ran.out)[0])
    assert right + wrong + unanswered == len(load_demo_questions())
    assert right >= 38, "of 49"
    assert "calls search_handbook" in ran.out
    assert "returns: " in ran.out
    assert "answers: " in ran.out
    assert "first stage" in ran.out
    assert "qwen-agentkit ask" in ran.out


def test_the_installed_command_speaks_utf8_in_any_locale(handbook_store: Path) -> None:
    command = [Path(sys.executable).parent / "qwen-agentkit", "search", "市场", "--preset", "nano", "--json"]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [*map(str, command), "--store", str(handbook_store)],
        capture_output=True,
        env=environment,
        check=True,
    )
    assert json.loads(result.stdout.decode("utf-8"))["results"]
