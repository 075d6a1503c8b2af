"""A run over questions: one row a question, written as it is known, so that a killed run goes on.

Knows finders, gold and files. Rows are JSON; `report` and `compare` read them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.finders import Finder, Found, passage_key
from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.text.documents import document_source

__all__ = ["Row", "matching_gold", "plain_text", "read_run", "run_questions"]

Row = dict[str, Any]
"""What is known of one question; see `_make_row`."""
Progress = Callable[[str, int, int], None]
Answer = Callable[[Question], dict[str, Any]]

_BATCH = 64
"""Questions embedded together, and written together."""
_ROWS, _SETTINGS = "rows.jsonl", "settings.json"


def run_questions(
    questions: Iterable[Question],
    finder: Finder,
    folder: Path,
    *,
    settings: dict[str, Any],
    total: int,
    answer: Answer | None = None,
    progress: Progress | None = None,
) -> int:
    """Find passages for every question, and write a row for each into `folder`; return how many were new.

    A folder that holds a run of the same settings is continued. A question whose model fails gets a row with
    the error.

    Args:
        questions: The questions, each id once.
        finder: What finds passages.
        folder: Where the rows and the settings go.
        settings: What else decides the rows, such as a digest of the questions.
        total: The number of questions, for the progress.
        answer: Answers a question; what it returns is kept in the row.
        progress: Called with "questions", the number done, and `total`.

    Raises:
        InputError: The folder holds a run of other settings, or the store changed during this one.
    """
    before = {**finder.settings(), **settings, "answers": answer is not None}
    done = _open_run(folder, before)
    new = 0
    left = (question for question in questions if question.id not in done)
    with (folder / _ROWS).open("a", encoding="utf-8") as out:
        for batch in _batches(left):
            for row in _run_batch(batch, finder, answer):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                new += 1
            out.flush()
            if progress:
                progress("questions", len(done) + new, total)
    after = {**before, **finder.settings()}
    if after != before:
        changed = [name for name in before if before[name] != after[name]]
        raise InputError(
            f"{changed[0]} changed during the run, from {before[changed[0]]!r} to {after[changed[0]]!r}; "
            f"expected a store that nobody writes to. Delete {str(folder)!r} and run it again."
        )
    return new


def read_run(folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a run and its settings.

    Raises:
        InputError: The folder holds no run.
    """
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(folder)!r} holds no run ({type(error).__name__}); expected the folder that `qwen-agentkit "
            "eval --out` wrote. Check the path."
        ) from error
    return list(_read_rows(folder / _ROWS)), settings


def matching_gold(question: Question, document: Document) -> str | None:
    """Return which gold of the question a passage is: a quote that it holds, or a name; None if it is none.

    A passage is named by its id, its source or the end of its source. With quotes, it also has to hold one.
    """
    source = document_source(document)
    named = [
        name
        for name in question.passages
        if name in (document.id, source) or source.endswith(f"/{name.lstrip('/')}")
    ]
    if question.passages and not named:
        return None
    if not question.quotes:
        return named[0] if named else None
    text = plain_text(document.page_content)
    return next((quote for quote in question.quotes if plain_text(quote) in text), None)


def _run_batch(batch: Sequence[Question], finder: Finder, answer: Answer | None) -> Iterator[Row]:
    start = time.perf_counter()
    try:
        found: Sequence[Found | Exception] = finder.find(batch)
    except Exception:
        # One question must not take the others with it.
        found = [_find_one(finder, question) for question in batch]
    seconds = (time.perf_counter() - start) / len(batch)
    for question, one in zip(batch, found, strict=True):
        if isinstance(one, Exception):
            yield {**_describe(question), "error": f"{type(one).__name__}: {one}"}
            continue
        row = _make_row(question, one, seconds)
        if answer is not None:
            try:
                row["answer"] = answer(question)
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {error}"
        yield row


def _find_one(finder: Finder, question: Question) -> Found | Exception:
    try:
        return finder.find([question])[0]
    except Exception as error:
        return error


def _describe(question: Question) -> Row:
    return {
        "id": question.id,
        "question": question.question,
        "language": question.language,
        "document_language": question.document_language,
        "unanswerable": question.unanswerable,
        "proposed": question.proposed,
        "gold": list(question.quotes or question.passages),
    }


def _make_row(question: Question, found: Found, seconds: float) -> Row:
    """Return the row: stages as lists of gold and keys, and the scores with and without the gold passages."""
    golds = [matching_gold(question, document) for document in found.documents]
    row = _describe(question)
    if not row["document_language"]:
        languages = [
            str(document.metadata.get("language", ""))
            for document, gold in zip(found.documents, golds, strict=True)
            if gold is not None
        ]
        row["document_language"] = languages[0] if languages else ""
    others = [score for score, gold in zip(found.scores, golds, strict=True) if gold is None]
    return {
        **row,
        "stages": {name: _name(question, documents) for name, documents in found.stages.items()},
        "top": found.scores[0] if found.scores else 0.0,
        "right": bool(golds) and golds[0] is not None,
        "without_gold": others[0] if others else 0.0,
        "seconds": round(seconds, 6),
    }


def _name(question: Question, documents: Sequence[Document]) -> list[str]:
    """Name passages by the gold that they are, else by their keys; those of one gold count once."""
    names = [matching_gold(question, document) or passage_key(document) for document in documents]
    return list(dict.fromkeys(names))


def plain_text(text: str) -> str:
    """Return a text without differences of case and space, to look for one in another."""
    return " ".join(text.casefold().split())


def _batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    rest = iter(questions)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _open_run(folder: Path, settings: dict[str, Any]) -> set[str]:
    """Make the folder, or check that it holds a run of these settings; return the ids that are done."""
    file = folder / _SETTINGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            _check_settings(json.loads(file.read_text(encoding="utf-8")), settings, folder)
        else:
            file.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        rows = list(_read_rows(folder / _ROWS))
        # A run that was killed may have left half a line.
        with (folder / _ROWS).open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{str(folder)!r} cannot hold a run ({error}); expected a folder that you can write to. Choose "
            "another with --out."
        ) from error
    return {row["id"] for row in rows}


def _check_settings(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            raise InputError(
                f"{str(folder)!r} holds a run with {name}={old.get(name)!r}, and this one has "
                f"{new.get(name)!r}; expected the same, to go on with it. Choose another folder with --out, "
                "or delete that one."
            )


def _read_rows(file: Path) -> Iterator[Row]:
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            yield json.loads(line)
