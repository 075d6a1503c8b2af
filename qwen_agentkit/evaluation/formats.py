"""Public data sets in a local folder, as questions and the passages to search. Knows files, no models.

Every reader yields (documents, questions) of one data set. Sources of the formats:

- SQuAD and its children (XQuAD, ARCD, CMRC 2018, DRCD, TyDi QA GoldP): https://arxiv.org/abs/1806.03822
- XQuAD-R, whose passages are sentences: https://arxiv.org/abs/2004.05484
- BEIR (and MTRAG's retrieval tasks): https://arxiv.org/abs/2104.08663
- MIRACL: https://doi.org/10.1162/tacl_a_00595; NoMIRACL: https://arxiv.org/abs/2312.11361
- MKQA: https://arxiv.org/abs/2007.15207; RGB: https://arxiv.org/abs/2309.01431
- MTRAG's generation tasks: https://arxiv.org/abs/2501.03468
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.questions import Question, read_questions
from qwen_agentkit.text.languages import detect_language, language_name

__all__ = ["Benchmark", "read_benchmark"]


@dataclass
class Benchmark:
    """A data set: questions, and the passages to search; no passages if a store has them already."""

    name: str
    questions: list[Question]
    documents: list[Document] = field(default_factory=list)


def read_benchmark(path: Path, languages: frozenset[str] = frozenset()) -> Benchmark:
    """Read a file of questions, or a file or folder of one of the public formats.

    Args:
        path: The file or folder. Its format is recognized by what is in it.
        languages: ISO 639-1 codes of the files to read, where a format has one for each; none reads all.

    Raises:
        InputError: There is no such file, its format is unknown, or it is broken.
    """
    if not path.exists():
        raise InputError(
            f"{str(path)!r} does not exist; expected a file of questions or a data set. Check it."
        )
    try:
        if path.is_dir():
            return _read_folder(path, languages)
        return _read_file(path)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, IndexError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{str(path)!r} is broken ({type(error).__name__}: {error}); expected one of the formats of "
            "docs/evaluation.md. Download it again."
        ) from error


def _read_file(path: Path) -> Benchmark:
    if path.name.endswith((".json", ".json.gz")) and not _is_lines(path):
        return _merge(path.stem, [_read_squad(path)])
    first = next(_read_lines(path), {})
    for fields, reader in _LINES:
        if fields <= set(first):
            return reader(path)
    return Benchmark(path.stem, list(read_questions(path)))


def _read_folder(path: Path, languages: frozenset[str]) -> Benchmark:
    if (path / "corpus.jsonl").is_file() or (path / "corpus.jsonl.gz").is_file():
        return _read_beir(path)
    if any(path.rglob("topics*.tsv")) or any(path.rglob("topics/*.tsv")):
        return _read_miracl(path, languages)
    parts = [
        _read_squad(file)
        for file in sorted(path.glob("*.json"))
        if not languages or _file_language(file) in languages
    ]
    if not parts:
        raise InputError(
            f"{str(path)!r} holds no data set that is known; expected files of SQuAD's form, or a folder of "
            "BEIR's or MIRACL's. See docs/evaluation.md."
        )
    return _merge(path.name, parts)


def _merge(name: str, parts: list[Benchmark]) -> Benchmark:
    """Join the files of a data set. Sentences of XQuAD-R in other languages answer as well."""
    documents = [document for part in parts for document in part.documents]
    questions = [question for part in parts for question in part.questions]
    return Benchmark(name, questions, documents)


def _read_squad(path: Path) -> Benchmark:
    """Read a file of SQuAD's form; with sentence breaks, passages are sentences."""
    language, documents, questions = _file_language(path), [], []
    paragraphs = [one for article in _load(path)["data"] for one in article["paragraphs"]]
    for number, paragraph in enumerate(paragraphs):
        text, own = paragraph["context"], language or detect_language(paragraph["context"])
        spans = paragraph.get("sentence_breaks") or [[0, len(text)]]
        names = [
            f"{path.stem}#{number}" + (f".{place}" if len(spans) > 1 else "") for place in range(len(spans))
        ]
        documents += [
            _document(name, text[start:end], own)
            for name, (start, end) in zip(names, spans, strict=True)
            if text[start:end].strip()
        ]
        for asked in paragraph["qas"]:
            answers = asked.get("answers", [])
            gold = _squad_gold(names, spans, text, answers)
            unanswerable = bool(asked.get("is_impossible")) or not answers
            questions.append(
                Question(
                    id=f"{path.stem}:{asked['id']}",
                    question=asked["question"],
                    language=language or detect_language(asked["question"], among=[own]),
                    passages=() if unanswerable else gold,
                    answers=() if unanswerable else tuple(dict.fromkeys(one["text"] for one in answers)),
                    document_language="" if unanswerable else own,
                    unanswerable=unanswerable,
                )
            )
    return Benchmark(path.stem, questions, documents)


def _squad_gold(names: list[str], spans: list[Any], text: str, answers: list[Any]) -> tuple[str, ...]:
    """The passages in which an answer begins; found by its text where the offset is wrong."""
    starts = [
        one["answer_start"]
        if text.startswith(one["text"], one["answer_start"])
        else max(0, text.find(one["text"]))
        for one in answers
    ]
    found = [
        name
        for name, (start, end) in zip(names, spans, strict=True)
        if any(start <= place < end for place in starts)
    ]
    return tuple(found)


def _read_beir(path: Path) -> Benchmark:
    """Read a folder of BEIR's form: corpus.jsonl, queries.jsonl, qrels/*.tsv."""
    documents = [
        _document(row["_id"], " ".join(filter(None, (row.get("title"), row["text"]))))
        for row in _read_lines(_first(path, "corpus.jsonl", "corpus.jsonl.gz"))
    ]
    relevant: dict[str, list[str]] = {}
    for file in sorted((path / "qrels").glob("*.tsv")):
        with file.open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows, delimiter="\t"):
                if int(row["score"]) > 0:
                    relevant.setdefault(row["query-id"], []).append(row["corpus-id"])
    questions = [
        Question(row["_id"], row["text"], detect_language(row["text"]), tuple(relevant[row["_id"]]))
        for row in _read_lines(_first(path, "queries.jsonl", "queries.jsonl.gz"))
        if row["_id"] in relevant
    ]
    return Benchmark(path.name, questions, documents)


def _read_miracl(path: Path, languages: frozenset[str]) -> Benchmark:
    """Read MIRACL or NoMIRACL: topics (id, question), qrels (id, 0, passage, grade) and a corpus."""
    topics = sorted({*path.rglob("topics*.tsv"), *path.rglob("topics/*.tsv")})
    relevant: dict[str, list[str]] = {}
    for file in sorted({*path.rglob("qrels*.tsv"), *path.rglob("qrels/*.tsv")}):
        for line in file.read_text(encoding="utf-8").splitlines():
            query, _, passage, grade = line.split()
            relevant.setdefault(query, []).extend([passage] if int(grade) > 0 else [])
    questions = []
    for file in topics:
        language = _path_language(file.relative_to(path))
        if languages and language not in languages:
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            query, text = line.split("\t", 1)
            gold = tuple(relevant.get(query, ()))
            own = language or detect_language(text)
            questions.append(Question(query, text, own, gold, document_language=own, unanswerable=not gold))
    corpus = [
        file for file in sorted(path.rglob("*.jsonl*")) if "corpus" in file.as_posix() or "docs" in file.name
    ]
    documents = [
        _document(
            row.get("docid") or row["_id"],
            " ".join(filter(None, (row.get("title"), row["text"]))),
            _path_language(file.relative_to(path)),
        )
        for file in corpus
        if not languages or _path_language(file.relative_to(path)) in languages
        for row in _read_lines(file)
    ]
    return Benchmark(path.name, questions, documents)


def _read_mkqa(path: Path) -> Benchmark:
    """Read MKQA: each question in 26 languages, with answers and without passages."""
    questions = []
    for row in _read_lines(path):
        for code, text in row["queries"].items():
            language = {"zh_cn": "zh", "zh_hk": "zh-hant", "zh_tw": "zh-hant"}.get(code, code)
            found = row["answers"].get(code) or []
            texts = [name for one in found for name in (one.get("text"), *one.get("aliases", ())) if name]
            none = all(one["type"] in ("unanswerable", "long_answer") for one in found)
            questions.append(
                Question(
                    id=f"{row['example_id']}:{code}",
                    question=text,
                    language=language,
                    answers=() if none else tuple(dict.fromkeys(texts)),
                    unanswerable=none,
                )
            )
    return Benchmark(path.name.split(".")[0], questions)


def _read_rgb(path: Path) -> Benchmark:
    """Read RGB: each question with passages that answer it and passages that only look like it."""
    questions, documents = [], []
    for row in _read_lines(path):
        id = str(row["id"])
        groups = {name: _flatten(row.get(name, [])) for name in ("positive", "negative")}
        names = {name: [f"{id}#{name}{n}" for n in range(len(texts))] for name, texts in groups.items()}
        for name, texts in groups.items():
            documents += [
                _document(key, text) for key, text in zip(names[name], texts, strict=True) if text.strip()
            ]
        gold = tuple(
            key for key, text in zip(names["positive"], groups["positive"], strict=True) if text.strip()
        )
        questions.append(
            Question(
                id=id,
                question=row["query"],
                language=detect_language(row["query"]),
                passages=gold,
                answers=tuple(_flatten(row["answer"])) if gold else (),
                unanswerable=not gold,
            )
        )
    return Benchmark(path.name.split(".")[0], questions, documents)


def _read_mtrag(path: Path) -> Benchmark:
    """Read MTRAG's generation tasks: conversations, of which the last turn is asked, with their passages."""
    questions, documents = [], {}
    for row in _read_lines(path):
        contexts = row.get("contexts") or []
        for one in contexts:
            documents[one["document_id"]] = _document(one["document_id"], one["text"])
        answerable = "UNANSWERABLE" not in (row.get("Answerability") or row.get("answerability") or [])
        text = row["input"][-1]["text"]
        gold = tuple(dict.fromkeys(one["document_id"] for one in contexts)) if answerable else ()
        questions.append(
            Question(str(row["task_id"]), text, detect_language(text), gold, unanswerable=not answerable)
        )
    return Benchmark(path.name.split(".")[0], questions, list(documents.values()))


_LINES: tuple[tuple[set[str], Callable[[Path], Benchmark]], ...] = (
    ({"queries", "answers", "example_id"}, _read_mkqa),
    ({"query", "answer", "positive"}, _read_rgb),
    ({"task_id", "input"}, _read_mtrag),
)


def _document(name: str, text: str, language: str = "") -> Document:
    return Document(text, id=name, metadata={"source": name, "language": language or detect_language(text)})


def _flatten(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in _flatten(one)]
    return [str(value)]


def _load(path: Path) -> Any:
    return json.loads(_open(path))


def _open(path: Path) -> str:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return file.read()
    return path.read_text(encoding="utf-8-sig")


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    zipped = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number}: not JSON ({error}); expected one object a line. Correct it."
                ) from error
            yield row if isinstance(row, dict) else {}


def _is_lines(path: Path) -> bool:
    """Whether a file named .json holds an object on each line, as RGB's do."""
    try:
        return not isinstance(json.loads(_open(path)), dict | list)
    except ValueError:
        return True


def _first(path: Path, *names: str) -> Path:
    for name in names:
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{str(path)!r} holds no {names[0]}; expected a folder of BEIR's form. Download it again."
    )


def _file_language(file: Path) -> str:
    """The language that a file name says, as in xquad.ar.json and ar.json."""
    return next((code for code in re.split(r"[._-]", file.stem)[::-1] if _is_code(code)), "")


def _path_language(path: Path) -> str:
    """The language that a path says, as in miracl-corpus-v1.0-ar/docs-0.jsonl."""
    return next((code for code in re.split(r"[/._-]", path.as_posix())[::-1] if _is_code(code)), "")


def _is_code(text: str) -> bool:
    return len(text) == 2 and language_name(text) != text
