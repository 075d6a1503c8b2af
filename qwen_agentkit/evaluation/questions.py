"""Questions with what is known of their answers: one JSON object a line. Knows files, no models.

Each line has these fields; all but `question` may be left out:

- ``id``: any text, once in the file; default: the number of the line.
- ``question``: the question.
- ``language``: ISO 639-1 code of the question; default: detected.
- ``passages``: ids or sources of the passages that answer it.
- ``quotes``: words that stand in the passages that answer it.
- ``answers``: strings of which the answer holds one.
- ``document_language``: ISO 639-1 code of those passages; default: that of the first one.
- ``unanswerable``: whether no passage answers it; default: false.
- ``proposed``: whether a program wrote it and nobody has confirmed it; default: false.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.languages import detect_language

__all__ = ["Question", "parse_question", "read_questions", "write_questions"]

_TEXTS = ("id", "question", "language", "document_language")
_LISTS = ("passages", "quotes", "answers")
_FLAGS = ("unanswerable", "proposed")


@dataclass(frozen=True)
class Question:
    """One question; the attributes are the fields of a line, see the module."""

    id: str
    question: str
    language: str
    passages: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    document_language: str = ""
    unanswerable: bool = False
    proposed: bool = False

    @property
    def has_gold(self) -> bool:
        """Whether it is known which passages answer it."""
        return bool(self.passages or self.quotes)


def read_questions(file: Path) -> Iterator[Question]:
    """Yield the questions of a JSONL file, one at a time.

    Raises:
        InputError: The file cannot be read, a line is broken or has an unknown field, or an id comes twice.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            known: dict[str, int] = {}
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                question = parse_question(_parse_line(line, file, number), f"{file}, line {number}", number)
                if question.id in known:
                    raise InputError(
                        f"{file}, line {number}: the id {question.id!r} is that of line "
                        f"{known[question.id]}; expected one question an id. Give it another."
                    )
                known[question.id] = number
                yield question
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{str(file)!r} cannot be read ({error}); expected questions as JSON, one a line, in UTF-8. See "
            "docs/evaluation.md."
        ) from error


def parse_question(found: Mapping[str, Any], where: str, number: int) -> Question:
    """Check the fields of one question and return it; `number` is its id if it has none.

    Raises:
        InputError: A field is unknown, has another type or is missing; the message begins with `where`.
    """
    unknown = set(found) - {*_TEXTS, *_LISTS, *_FLAGS}
    if unknown:
        raise InputError(
            f"{where}: unknown field {sorted(unknown)[0]!r}; expected some of "
            f"{', '.join([*_TEXTS, *_LISTS, *_FLAGS])}. Rename it or leave it out."
        )
    for names, kind, said in (
        (_TEXTS, str, "text"),
        (_FLAGS, bool, "true or false"),
    ):
        for name in names:
            if name in found and not isinstance(found[name], kind):
                raise InputError(f"{where}: {name!r} is {found[name]!r}; expected {said}. Correct it.")
    for name in _LISTS:
        value = found.get(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise InputError(f"{where}: {name!r} is {value!r}; expected a list of texts. Correct it.")
    text = found.get("question", "")
    if not text.strip():
        raise InputError(
            f"{where}: 'question' is missing or empty; expected text. Write one, or drop the line."
        )
    if found.get("unanswerable") and any(found.get(name) for name in _LISTS):
        raise InputError(
            f"{where}: 'unanswerable' is true, but there are passages, quotes or answers; expected none. "
            "Decide for one."
        )
    return Question(
        id=found.get("id", str(number)),
        question=text,
        language=found.get("language") or detect_language(text),
        passages=tuple(found.get("passages", ())),
        quotes=tuple(found.get("quotes", ())),
        answers=tuple(found.get("answers", ())),
        document_language=found.get("document_language", ""),
        unanswerable=found.get("unanswerable", False),
        proposed=found.get("proposed", False),
    )


def write_questions(file: Path, questions: Iterable[Question]) -> int:
    """Write questions in the form that `read_questions` reads, without empty fields; return how many."""
    count = 0
    try:
        with file.open("w", encoding="utf-8") as out:
            for question in questions:
                count += 1
                filled = {name: value for name, value in asdict(question).items() if value}
                out.write(json.dumps(filled, ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(
            f"{str(file)!r} cannot be written ({error.strerror}); expected a file in a folder that you can "
            "write to. Choose another."
        ) from error
    return count


def _parse_line(line: str, file: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(
            f"{file}, line {number}: not JSON ({error}); expected an object such as "
            '{"question": "When does the library open?", "passages": ["hours.md"]}. Correct the line.'
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{file}, line {number}: {line[:60]!r} is no object; expected fields. Correct it.")
    return found
