"""What the commands say to a person who uses them for the first time, and how names stand in a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qwen_agentkit.cli import commands, show, show_store, terminal
from qwen_agentkit.errors import InputError, StoreMismatchError
from qwen_agentkit.ingest import read_document
from qwen_agentkit.ingest.discovery import SUFFIXES, discover
from qwen_agentkit.stack import Stack
from tests.fakes.command_line import Run

REFUSED = (".doc", ".ppt", ".xls")


@pytest.fixture(scope="module")
def hours_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one document, made with nano."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "hours.md").write_text("The library opens at nine.", encoding="utf-8")
    commands.ingest(Stack("nano", folder / "store"), [folder / "hours.md"])
    return folder / "store"


def _order_is_safe(line: str, name: str) -> bool:
    """Whether the name stands in an isolate, so that it turns nothing else of its line."""
    start = line.index(name)
    return line[start - 1] in "\u2066\u2067" and line[start + len(name)] == "\u2069"


@pytest.mark.parametrize("name", ["وثائق/عقد", "my papers/سجل.csv", "מסמכים/12", "سند ۱۲.pdf"])
def test_a_right_to_left_name_turns_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert _order_is_safe(f"{terminal.isolate_name(name)}  12", name)
    result = {"source": name, "text": "x", "score": 0.5, "rank_before": 1, "relevant": True}
    show.print_results([result])  # type: ignore[list-item]  # a part of a result
    assert _order_is_safe(capsys.readouterr().out.split("\n")[0], name)
    show_store.print_rows([{"source": name, "passages": 12}], "nothing")
    row = capsys.readouterr().out.split("\n")[1]
    assert row.startswith(f"\u200e{name}\u200e")


def test_other_names_and_other_readers_get_no_marks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lease.docx", "用户手册.md", "सूचना.txt"):
        with monkeypatch.context() as patch:
            patch.setattr(sys.stdout, "isatty", lambda: True)
            assert terminal.isolate_name(name) == name
    show_store.print_rows([{"source": "عقد.pdf", "passages": 1}], "nothing")
    assert not set("\u200e\u2066\u2067\u2069") & set(capsys.readouterr().out)
    assert terminal.isolate_name("عقد.pdf") == "عقد.pdf"


def test_a_question_needs_no_quotes(run: Run, hours_store: Path) -> None:
    quoted = run("ask", "When does the library open?", "--store", hours_store, "--json").json
    plain = run("ask", "When", "does the library", "open?", "--store", hours_store, "--json").json
    assert plain["question"] == quoted["question"]
    assert plain["answer"] == quoted["answer"]


@pytest.mark.parametrize("command", ["ask", "search", "ingest"])
def test_a_store_of_another_preset_is_refused_before_models_are_loaded(
    run: Run, hours_store: Path, command: str
) -> None:
    what = hours_store.parent / "hours.md" if command == "ingest" else "boat"  # the file is unchanged
    ran = run(command, what, "--preset", "0.6b", "--store", hours_store)
    assert ran.code == 2
    assert "made with the preset nano; expected 0.6b" in ran.err
    with pytest.raises(StoreMismatchError, match="made with the preset nano"):
        Stack("4b", hours_store).store(create=True)


def test_a_checkpoint_that_is_not_here_is_named(run: Run, hours_store: Path, tmp_path: Path) -> None:
    ran = run("ingest", hours_store.parent / "hours.md", "--preset", "0.6b", "--store", tmp_path / "new")
    assert ran.code == 2
    assert "Qwen/Qwen3-Embedding-0.6B" in ran.err
    assert "--preset nano" in ran.err


def test_no_message_asks_for_a_format_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no documents") as told:
        discover([tmp_path])
    named = [word.strip(",.") for word in str(told.value).partition("such as ")[2].split()]
    endings = {f".{word}" for word in named} & SUFFIXES
    assert len(endings) > 5
    assert not endings & set(REFUSED)
    with pytest.raises(Exception, match="There is no reader") as refused:
        read_document(b"x", ".heic")
    assert not {word.strip(",") for word in str(refused.value).split()} & set(REFUSED)


def test_the_tables_of_doctor_fit_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = {"name": "Qwen/Qwen3-Coder-480B-A35B-Instruct", "weights_gb": 960.3, "int8_gb": 481.1}
    rest = {"int4_gb": 301.4, "cache_gb": 2.1, "fits_ram": "bf16", "downloaded": False}
    show.print_findings({"checkpoints": [{**row, **rest}]})
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert {"size", "int8", "int4", "cache", "fits", "on", "disk"} <= set(" ".join(lines).split())


def test_an_abstention_after_reading_shows_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    read = {"source": "price.md", "text": "The kettle is blue.", "language": "en", "score": 0.4}
    result = {
        "answer": "",
        "abstained": True,
        "nearest": [],
        "citations": [],
        "timings": {},
        "language": "en",
    }
    show.AnswerStream().close({**result, "documents": [read]})  # type: ignore[typeddict-item]  # a part
    assert "read, no answer: price.md 0.40: The kettle is blue." in capsys.readouterr().out
    show.AnswerStream().close({**result, "language": "en", "documents": []})  # type: ignore[typeddict-item]
    assert "the store is empty" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["arabic1", "rot13", "utf-32"])
def test_a_wrong_encoding_takes_nothing_out_of_the_store(run: Run, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "hours.txt").write_text("تفتح المكتبة في التاسعة", encoding="utf-8")
    arguments = ("ingest", tmp_path / "docs", "--store", tmp_path / "store")
    assert run(*arguments, "--preset", "nano", "--json").json["added"] == 1
    ran = run(*arguments, "--encoding", encoding)
    assert ran.code == 2
    assert "removed" not in ran.err
    assert run("docs", "list", "--store", tmp_path / "store", "--json").json["documents"]
    assert run(*arguments, "--json").json["skipped"] == 1


def test_watch_takes_the_options_of_a_single_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hours.txt").write_bytes("تفتح المكتبة".encode("cp1256"))
    changes = "qwen_agentkit.ingest.watching.file_changes"
    monkeypatch.setattr(changes, lambda paths: [])
    stack = Stack("nano", tmp_path / "store")
    told = next(commands.watch(stack, [tmp_path / "hours.txt"], encoding="arabic1"))
    assert "'arabic1' is not known" in told.error
