"""Searching with a deadline, and what is done with found documents: relevance, fusion, order.

Knows LangChain's retrievers and rerankers. Does not know any graph's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.vectorstores import VectorStore

from qwen_agentkit.catalog import THRESHOLDS, UNMEASURED
from qwen_agentkit.errors import QwenAgentKitError, RetrievalError, RetrievalTimeoutError
from qwen_agentkit.graphs.shared.models import Retriever
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, DeadlineExceeded, run_with_deadline
from qwen_agentkit.graphs.shared.state import NearestPassage
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.documents import document_key, document_source

__all__ = [
    "describe_nearest",
    "drop_irrelevant",
    "fuse_rankings",
    "interleave_rankings",
    "keep_relevant",
    "merge_copies",
    "relevance_score",
    "relevance_threshold",
    "search_documents",
    "search_in_time",
]

_NEAREST = 3
"""Passages that an abstention shows."""


def search_documents(retriever: Retriever, query: str, limit: int, timeout: float) -> list[Document]:
    """Search with a deadline, and translate errors of the retriever; arguments as in `search_in_time`.

    Raises:
        RetrievalError: The retriever failed with an error that is not this package's.
        RetrievalTimeoutError: The search missed its deadline.
    """
    try:
        return search_in_time(retriever, query, limit, timeout)
    except (QwenAgentKitError, *ALWAYS_RAISED):
        raise
    except Exception as error:
        raise RetrievalError(
            f"The search of {type(retriever).__name__} for {query[:80]!r} failed with "
            f"{type(error).__name__}: {error}; expected documents. Try the retriever alone, with "
            "retriever.invoke(...)."
        ) from error


def search_in_time(
    retriever: Retriever, query: str, limit: int, timeout: float, **settings: Any
) -> list[Document]:
    """Search with a deadline.

    Args:
        retriever: Any retriever or vector store.
        query: What to search for.
        limit: Maximum number of documents to return.
        timeout: Deadline in seconds.
        **settings: Passed to the retriever, such as a filter.

    Returns:
        The documents in the retriever's order, each text once.

    Raises:
        RetrievalTimeoutError: The search missed its deadline.
    """
    name = type(retriever).__name__
    if isinstance(retriever, VectorStore):
        retriever = retriever.as_retriever(search_kwargs={"k": limit})
    try:
        found = run_with_deadline(timeout, partial(retriever.invoke, query, **settings))
    except DeadlineExceeded as error:
        raise RetrievalTimeoutError(
            f"The search of {name} for {query[:80]!r} gave {error}; expected documents. Check that the store "
            "answers, or allow more time with search_timeout=."
        ) from error
    return merge_copies(found)[:limit]


def merge_copies(documents: Iterable[Document]) -> list[Document]:
    """Keep the first of the documents with the same text and language: copies do not fill an answer.

    It gets the sources of the others as `metadata["copies"]`. Case and white space do not matter.
    """
    first: dict[str, Document] = {}
    copies: dict[str, list[str]] = {}
    for document in documents:
        text = " ".join(document.page_content.split()).casefold()
        key = f"{document.metadata.get('language')}\n{text}"
        first.setdefault(key, document)
        sources = [document_source(document), *document.metadata.get("copies", [])]
        copies.setdefault(key, []).extend(sources)
    return [_with_copies(document, copies[key]) for key, document in first.items()]


def _with_copies(document: Document, sources: Sequence[str]) -> Document:
    others = [source for source in dict.fromkeys(sources) if source and source != document_source(document)]
    if not others:
        return document
    return document.model_copy(update={"metadata": {**document.metadata, "copies": others}})


def relevance_score(document: Document) -> float | None:
    """The reranker's score of a document, 0 to 1, or None if no reranker scored it."""
    score = document.metadata.get("relevance_score")
    return None if score is None else float(score)


def relevance_threshold(reranker: BaseDocumentCompressor | None, min_score: float | None) -> float:
    """The score from which a passage is relevant: the setting, else what was measured of the reranker."""
    if min_score is not None:
        return min_score
    given, model = getattr(reranker, "threshold", None), getattr(reranker, "model", None)
    return THRESHOLDS.get(str(model), UNMEASURED).score if given is None else float(given)


def keep_relevant(
    reranker: BaseDocumentCompressor, documents: Sequence[Document], query: str, min_score: float | None
) -> list[Document]:
    """Rerank documents and keep the relevant ones; a document without a score is kept.

    Args:
        reranker: Any compressor that writes `metadata["relevance_score"]`.
        documents: The documents.
        query: What they should answer.
        min_score: The lowest score of a relevant one; None: see `relevance_threshold`.
    """
    least = relevance_threshold(reranker, min_score)
    return drop_irrelevant(reranker.compress_documents(documents, query), least)


def drop_irrelevant(ranked: Sequence[Document], least: float) -> list[Document]:
    """Keep ranked documents that score at least `least`, or have no score."""
    scores = [relevance_score(document) for document in ranked]
    return [one for one, score in zip(ranked, scores, strict=True) if score is None or score >= least]


def describe_nearest(ranked: Sequence[Document]) -> list[NearestPassage]:
    """Describe the best of the passages that were not relevant enough, for an abstention."""
    return [
        {
            "source": document_source(one),
            "score": round(relevance_score(one) or 0.0, 4),
            "text": one.page_content,
        }
        for one in ranked[:_NEAREST]
    ]


def interleave_rankings(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """Merge rankings: the first document of each, then the second of each; each text once."""
    rows = zip_longest(*rankings)
    return merge_copies(
        _by_key(document for row in rows for document in row if document is not None).values()
    )


def fuse_rankings(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """Merge rankings by reciprocal rank fusion; each text once."""
    keys = [[document_key(document) for document in ranking] for ranking in rankings]
    documents = _by_key(chain.from_iterable(rankings))
    return merge_copies(documents[key] for key in reciprocal_rank_fusion(keys))


def _by_key(documents: Iterable[Document]) -> dict[str, Document]:
    """The documents by their key; of equal ones the first."""
    found: dict[str, Document] = {}
    for document in documents:
        found.setdefault(document_key(document), document)
    return found
