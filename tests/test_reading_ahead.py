"""Slow files are read while others are handled, and processes that read load no model."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from qwen_agentkit.ingest.reading import Failure, ReadFile
from qwen_agentkit.ingest.visibility import page_language
from qwen_agentkit.ingest.workers import FileReaders
from qwen_agentkit.text import languages

FRENCH = (
    "Les élèves visitent le musée chaque jeudi après les cours. Une guide raconte comment les pêcheurs "
    "et les marins du village vivaient autrefois, et ce que leurs femmes faisaient pendant ce temps. "
    "Ensuite, chaque groupe dessine un bateau, puis mange du pain avec du fromage. Madame Laurent garde "
    "toujours un tableau pour la fin : il montre une tempête, un phare et des enfants qui sont seuls "
    "dans la maison. À midi, tout le monde chante. Les parents sont là aussi, car ils aiment cette "
    "maison, où ils sont venus quand ils étaient petits. Le directeur espère que les visiteurs seront "
    "plus nombreux pendant les vacances, surtout quand il pleut. Des affiches annoncent donc des "
    "concerts, des ateliers et une fête dans le port."
)


def test_slow_files_are_read_ahead_however_many_small_ones_stand_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = [tmp_path / f"{number}.md" for number in range(60)]
    for note in notes:
        note.write_text("A note.")
    last = tmp_path / "last.pdf"
    last.write_bytes(b"%PDF-1.7")
    begun = threading.Event()

    def read_apart(self: FileReaders, path: Path) -> ReadFile | Failure:
        begun.set()
        return Failure(path.name)

    monkeypatch.setattr(FileReaders, "_read_apart", read_apart)
    with FileReaders("1") as readers:
        outcomes = readers.read([*notes, last])
        assert isinstance(next(outcomes), ReadFile)
        assert begun.wait(30)
        assert list(outcomes)[-1] == Failure("last.pdf")


def test_more_slow_files_than_are_read_ahead_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.{'md' if number % 3 else 'pdf'}" for number in range(200)]
    for path in paths:
        path.write_text("A note.")
    monkeypatch.setattr(FileReaders, "_read_apart", lambda self, path: Failure(path.name))
    with FileReaders("1") as readers:
        outcomes = list(readers.read(paths))
    assert [one.reason for one in outcomes if isinstance(one, Failure)] == [
        path.name for path in paths if path.suffix == ".pdf"
    ]
    assert len(outcomes) == len(paths)


def test_the_words_of_a_page_tell_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(candidates: tuple[str, ...]) -> None:
        raise AssertionError("The model was asked.")

    monkeypatch.setattr(languages, "_identifier", refuse)
    assert page_language("fr", FRENCH) == "fr"
    assert page_language("en", FRENCH) == ""
