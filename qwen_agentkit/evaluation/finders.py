"""What each stage of a search finds for a question: of a store with its models, or of any retriever.

Knows stores, retrievers and rerankers. Knows no gold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever

from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.documents import document_key
from qwen_agentkit.vectorstores.search import Legs
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["Finder", "Found", "RetrieverFinder", "StoreFinder", "passage_key"]

DEPTH = 10
"""Passages of each stage that are kept; the measures look at ten."""


@dataclass(frozen=True)
class Found:
    """What was found for one question.

    Attributes:
        stages: Passages by stage, in the order of the stages; each best first.
        scores: The relevance of the passages of the last stage that is used, best first.
        documents: Those passages.
        legs: Both searches, if a store was asked.
    """

    stages: dict[str, list[Document]]
    scores: list[float]
    documents: list[Document]
    legs: Legs | None = None


class Finder(Protocol):
    """Finds passages for questions."""

    def find(self, questions: Sequence[Question]) -> list[Found]:
        """Return what each stage finds for each question, in their order."""

    def settings(self) -> dict[str, Any]:
        """Return what decides what is found: models, prompts, weights, size of the store."""


def passage_key(document: Document) -> str:
    """Return what names a passage in rows: its id, else what identifies it."""
    return document.id or document_key(document)


@dataclass(frozen=True)
class StoreFinder:
    """The stages of a preset over its store: dense, words, fused, reranked.

    Attributes:
        stack: The models.
        store: The open store.
        candidates: Passages that each search finds, and that are reranked.
        all_stages: Whether to rerank also where the preset leaves the reranker out.
    """

    stack: Stack
    store: QwenVectorStore
    candidates: int = 20
    all_stages: bool = False

    def find(self, questions: Sequence[Question]) -> list[Found]:
        """Return what each stage finds for each question; all questions are embedded together."""
        vectors = self.stack.embeddings.embed_queries([one.question for one in questions])
        return [self._find(one, vector) for one, vector in zip(questions, vectors, strict=True)]

    def _find(self, question: Question, vector: Any) -> Found:
        limit = max(2 * self.candidates, 50)  # as `QwenVectorStore` searches
        legs = self.store.search_legs(question.question, limit, vector=np.asarray(vector).tolist())
        hits = legs.fuse(self.store.fusion)[: self.candidates]
        documents = [
            document.model_copy(update={"metadata": {**document.metadata, "retrieval_score": hit.score}})
            for hit, document in ((hit, hit.document()) for hit in hits)
        ]
        stages = {
            "dense": [hit.document() for hit in legs.dense[:DEPTH]],
            "words": [hit.document() for hit in legs.words[:DEPTH]],
            "fused": documents[:DEPTH],
        }
        ranked = self.stack.reranker.compress_documents(documents, question.question)
        if self.stack.calibration.share:
            stages["reranked"] = ranked[:DEPTH]
        elif self.all_stages:
            again = self.stack.reranking_model.compress_documents(documents, question.question)
            stages["reranked"] = again[:DEPTH]
        return Found(stages, [float(one.metadata["relevance_score"]) for one in ranked], ranked, legs)

    def settings(self) -> dict[str, Any]:
        """Return the models with their prompts, the weights and the size of the store."""
        embeddings, reranker = self.stack.embeddings, self.stack.reranking_model
        fusion = self.store.fusion
        return {
            "embedder": str(embeddings.fingerprint["model"]),
            "embedder_revision": str(embeddings.fingerprint["revision"]),
            "query_prompt": embeddings.query_prompt,
            "reranker": reranker.model,
            "reranker_instruction": reranker.instruction,
            "fusion": None if fusion is None else [fusion.same, fusion.other, fusion.floor],
            "share": self.stack.calibration.share,
            "threshold": self.stack.calibration.threshold,
            "candidates": self.candidates,
            "passages": self.store.count(),
        }


@dataclass(frozen=True)
class RetrieverFinder:
    """The stages of any LangChain retriever, with any reranker: retrieved, reranked."""

    retriever: BaseRetriever
    reranker: BaseDocumentCompressor | None = None

    def find(self, questions: Sequence[Question]) -> list[Found]:
        """Return what each stage finds for each question."""
        return [self._find(one.question) for one in questions]

    def _find(self, question: str) -> Found:
        documents = self.retriever.invoke(question)
        stages = {"retrieved": documents[:DEPTH]}
        if self.reranker is not None:
            documents = list(self.reranker.compress_documents(documents, question))
            stages["reranked"] = documents[:DEPTH]
        names = ("relevance_score", "retrieval_score")
        scores = [
            float(next((one.metadata[name] for name in names if name in one.metadata), 0.0))
            for one in documents
        ]
        return Found(stages, scores, documents)

    def settings(self) -> dict[str, Any]:
        """Return the names of the classes."""
        return {
            "retriever": type(self.retriever).__name__,
            "reranker": type(self.reranker).__name__ if self.reranker else None,
        }
