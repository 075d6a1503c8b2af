"""Gold of questions against what a store holds, and gold in another language. Knows stores and questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.formats import Benchmark
from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.text.documents import document_source
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["ask_across", "check_gold", "parallel_id"]


def check_gold(questions: Sequence[Question], store: QwenVectorStore) -> list[Question]:
    """Return the questions with the language of their gold passages.

    Raises:
        InputError: The store does not hold a passage that a question names.
    """
    languages: dict[str, str] = {}
    for document in store.scroll():
        language, source = str(document.metadata.get("language", "")), document_source(document)
        parts = source.split("/")
        names = {"/".join(parts[place:]) for place in range(len(parts))} | {document.id or ""}
        for name in names:
            languages.setdefault(name, language)
    found, missing = [], []
    for question in questions:
        missing += [(question.id, name) for name in question.passages if name.lstrip("/") not in languages]
        own = next((languages.get(name.lstrip("/"), "") for name in question.passages), "")
        found.append(question if question.document_language else replace(question, document_language=own))
    if missing:
        id, name = missing[0]
        raise InputError(
            f"The store holds no passage {name!r}, which question {id!r} names, and {len(missing) - 1} more "
            "that are named; expected the id or the source of a passage. Ingest the documents, or correct "
            "the questions."
        )
    return found


def ask_across(benchmark: Benchmark, language: str) -> Benchmark:
    """Return a parallel data set with the passages of one language alone, and its questions in all.

    Questions are parallel when their ids are equal after the name of their file, as in XQuAD.

    Raises:
        InputError: No question of the data set has a parallel one in that language.
    """
    gold = {
        parallel_id(question): question
        for question in benchmark.questions
        if question.document_language == language
    }
    questions = [
        replace(question, passages=found.passages, answers=found.answers, document_language=language)
        for question in benchmark.questions
        if (found := gold.get(parallel_id(question))) is not None
    ]
    if not questions:
        raise InputError(
            f"{benchmark.name!r} has no passages in {language!r}; expected a language of a parallel data "
            "set, such as XQuAD. Leave out --across."
        )
    documents = [one for one in benchmark.documents if one.metadata.get("language") == language]
    return Benchmark(f"{benchmark.name} in {language}", questions, documents)


def parallel_id(question: Question) -> str:
    """Return what the parallel questions of a data set have in common: the id after the name of the file."""
    return question.id.rpartition(":")[2]
