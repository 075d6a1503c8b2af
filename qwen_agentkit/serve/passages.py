"""Passages and answers as JSON. Knows documents and the states of the graphs, no web framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from pydantic import BaseModel

from qwen_agentkit.text.citations import document_source
from qwen_agentkit.text.documents import document_key
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.verification import (
    FLAG,
    CheckedSentence,
    Verification,
    place_verification,
    verify_citations,
)

__all__ = ["Answer", "Passage", "Sentence", "Source", "Trace", "describe_answer", "describe_passage"]

_NEAREST = 3
"""Passages shown when no passage answers."""


class Passage(BaseModel):
    """A passage of a document. Fields that its document does not have are None."""

    id: str
    source: str
    text: str
    title: str | None = None
    page: int | None = None
    """Number of the page, slide, sheet or line, from 1."""
    section: str | None = None
    language: str | None = None
    group: str | None = None
    chunk: int | None = None
    """Place in its document, from 0."""
    score: float | None = None
    """The reranker's, 0 to 1."""
    retrieval_score: float | None = None


class Source(BaseModel):
    """What a sentence cites."""

    marker: int
    """Number of the passage, from 1."""
    quote: str
    """The nearest sentence of the passage, word for word."""


class Sentence(BaseModel):
    """A sentence of an answer: where it stands, with its markers, and whether its passages support it."""

    start: int
    end: int
    verdict: str
    sources: list[Source]
    missing: list[str]
    """What it states and no cited passage does."""


class Trace(BaseModel):
    """A passage that the search found, with its places before and after reranking, from 1."""

    id: str
    source: str
    before: int | None
    after: int | None
    score: float | None
    retrieval_score: float | None


class Answer(BaseModel):
    """A checked answer and what led to it."""

    answer: str
    abstained: bool
    language: str
    reasoning: str
    sentences: list[Sentence]
    passages: list[Passage]
    """Marker [n] is the n-th."""
    nearest: list[Passage]
    """When no passage answers: the nearest ones."""
    trace: list[Trace]
    timings: dict[str, float]
    """Seconds of each stage."""
    tokens: dict[str, int]
    """Tokens that the chat model read ("input") and wrote ("output")."""
    fallbacks: list[str]
    """What failed, and what was done instead."""


def describe_passage(document: Document) -> Passage:
    """A document of the store as a passage."""
    metadata = document.metadata
    return Passage(
        id=str(document.id or document_key(document)),
        source=document_source(document),
        text=document.page_content,
        title=_text(metadata.get("title")),
        page=_whole(metadata.get("page")),
        section=_text(metadata.get("section")),
        language=_text(metadata.get("language")),
        group=_text(metadata.get("group")),
        chunk=_whole(metadata.get("chunk")),
        score=metadata.get("relevance_score"),
        retrieval_score=metadata.get("retrieval_score"),
    )


def describe_answer(state: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Answer:
    """The last state of a graph as an answer.

    Args:
        state: Of any graph that answers.
        events: Of the graph's custom stream: the seconds and tokens of its stages.
    """
    documents: list[Document] = list(state.get("documents") or state.get("passages") or [])
    retrieved: list[Document] = list(state.get("retrieved") or documents)
    abstained = bool(state.get("abstained"))
    text = str(state.get("answer") or "")
    # What the page marks needs no mark in the text.
    shown = text.replace(f" {FLAG}", "")
    language = str(state.get("language") or detect_language(shown))
    checked = _check_sentences(shown, documents, language, state.get("verification"))
    tokens, timings = {"input": 0, "output": 0}, dict(state.get("timings") or {})
    for event in events:
        for kind, count in (event.get("tokens") or {}).items():
            tokens[kind] = tokens.get(kind, 0) + count
        if not state.get("timings") and "seconds" in event:
            timings[event["stage"]] = timings.get(event["stage"], 0.0) + event["seconds"]
    return Answer(
        answer=shown,
        abstained=abstained,
        language=language,
        reasoning=str(state.get("reasoning") or ""),
        sentences=[
            Sentence(
                start=one["start"],
                end=one["end"],
                verdict="no claim" if abstained else one["verdict"],
                sources=[Source(marker=found["marker"], quote=found["quote"]) for found in one["support"]],
                missing=[missing["text"] for missing in one["missing"]],
            )
            for one in checked
        ],
        passages=[describe_passage(document) for document in documents],
        nearest=[describe_passage(document) for document in retrieved[:_NEAREST]] if abstained else [],
        trace=_trace(retrieved, documents),
        timings=timings,
        tokens=tokens,
        fallbacks=[
            f"{event['stage']}: {event.get('error', '')} → {event['fallback']}"
            for event in events
            if "fallback" in event
        ],
    )


def _check_sentences(
    shown: str, documents: Sequence[Document], language: str, known: Verification | None
) -> list[CheckedSentence]:
    """The sentences of an answer with their verdicts: the graph's, if it has checked this answer."""
    placed = place_verification(known, shown) if known else None
    if placed is None and shown:
        placed = verify_citations(shown, documents, language=language)
    return placed["sentences"] if placed else []


def _trace(retrieved: Sequence[Document], kept: Sequence[Document]) -> list[Trace]:
    before = {document_key(document): place for place, document in enumerate(retrieved, 1)}
    after = {document_key(document): place for place, document in enumerate(kept, 1)}
    rest = [document for document in retrieved if document_key(document) not in after]
    return [
        Trace(
            id=str(document.id or document_key(document)),
            source=document_source(document),
            before=before.get(document_key(document)),
            after=after.get(document_key(document)),
            score=document.metadata.get("relevance_score"),
            retrieval_score=document.metadata.get("retrieval_score"),
        )
        for document in [*kept, *rest]
    ]


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
