"""A foreign passage that answers, behind thousands in the language of the question."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from qwen_agentkit.catalog import Fusion
from qwen_agentkit.evaluation.crowding import measure_crowding
from qwen_agentkit.evaluation.finders import StoreFinder
from qwen_agentkit.evaluation.formats import Benchmark
from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.vectorstores.store import QwenVectorStore

CROWD = 300
QUESTION = "When does the ferry leave?"


class Placed(Embeddings):
    """Places the crowd at a cosine of 0.9 to the question, nearer than the foreign passage."""

    def __init__(self, foreign: float) -> None:
        self.foreign = foreign

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0, 0.0, 0.0]

    def embed_queries(self, texts: list[str]) -> Any:
        return np.array([self.embed_query(text) for text in texts])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._place(text) for text in texts]

    def _place(self, text: str) -> list[float]:
        cosine = self.foreign if "Fähre" in text else 0.95 if "ferry" in text else 0.9
        rest = (1 - cosine**2) ** 0.5
        return [cosine, *(rest * np.roll([1.0, 0.0, 0.0], len(text) % 3)).tolist()]


def _measure(foreign: float) -> dict[str, float]:
    documents = [
        Document("The ferry leaves at nine.", id="en", metadata={"language": "en"}),
        Document("Die Fähre fährt um neun.", id="de", metadata={"language": "de"}),
        *(
            Document(f"Note {n} is about gardens.", id=f"note{n}", metadata={"language": "en"})
            for n in range(CROWD)
        ),
    ]
    questions = [
        Question(id="en:1", question=QUESTION, language="en", passages=("en",), document_language="en"),
        Question(id="de:1", question=QUESTION, language="de", passages=("de",), document_language="de"),
    ]
    benchmark = Benchmark("made", questions, documents)
    embedder = Placed(foreign)
    with QwenVectorStore(embedder, path=":memory:", fusion=Fusion(0.15, 0.4, 0.2, data="made")) as store:
        store.add_documents(documents, ids=[str(one.id) for one in documents])
        finder = StoreFinder(cast(Any, SimpleNamespace(embeddings=embedder)), store)
        found = measure_crowding(benchmark, finder)
    return {stage: one.value for stage, one in found["en"].items()}


def test_the_search_in_other_languages_brings_up_the_foreign_answer() -> None:
    found = _measure(foreign=0.8)
    assert (found["dense"], found["fused, one search"], found["candidates, one search"]) == (0, 0, 0)
    assert (found["fused"], found["candidates"]) == (1, 1)


def test_a_foreign_passage_that_is_far_is_a_candidate_only() -> None:
    found = _measure(foreign=0.3)
    assert (found["candidates, one search"], found["candidates"], found["fused"]) == (0, 1, 0)
