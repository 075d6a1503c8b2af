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

from qwen_agentkit.errors import QwenAgentKitError, RetrievalError, RetrievalTimeoutError
from qwen_agentkit.graphs.shared.models import Retriever
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, DeadlineExceeded, run_with_deadline
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.documents import document_key

__all__ = [
    "fuse_rankings",
    "interleave_rankings",
    "keep_relevant",
    "relevance_score",
    "search_documents",
]


def search_documents(
    retriever: Retriever, query: str, limit: int, timeout: float | None = None, **settings: Any
) -> list[Document]:
    """Search with a deadline.

    Args:
        retriever: Any retriever or vector store.
        query: What to search for.
        limit: Maximum number of documents to return.
        timeout: Deadline in seconds; None: no deadline.
        **settings: Passed to the retriever, such as a filter.

    Returns:
        The documents in the retriever's order.

    Raises:
        RetrievalError: The retriever failed with an error that is not this package's.
        RetrievalTimeoutError: The search missed its deadline.
    """
    name = type(retriever).__name__
    if isinstance(retriever, VectorStore):
        retriever = retriever.as_retriever(search_kwargs={"k": limit})
    try:
        return run_with_deadline(timeout, partial(retriever.invoke, query, **settings))[:limit]
    except DeadlineExceeded as error:
        raise RetrievalTimeoutError(
            f"The search of {name} for {query[:80]!r} gave {error}; expected documents. Check that the store "
            "answers, or allow more time with search_timeout=."
        ) from error
    except (QwenAgentKitError, *ALWAYS_RAISED):
        raise
    except Exception as error:
        raise RetrievalError(
            f"The search of {name} for {query[:80]!r} failed with {type(error).__name__}: {error}; expected "
            "documents. Try the retriever alone, with retriever.invoke(...)."
        ) from error


def relevance_score(document: Document) -> float | None:
    """The reranker's score of a document, 0 to 1, or None if no reranker scored it."""
    score = document.metadata.get("relevance_score")
    return None if score is None else float(score)


def keep_relevant(
    reranker: BaseDocumentCompressor, documents: Sequence[Document], query: str, min_score: float
) -> list[Document]:
    """Rerank documents and keep those with at least `min_score`; a document without a score is kept."""
    ranked = reranker.compress_documents(documents, query)
    scores = [relevance_score(document) for document in ranked]
    return [
        document
        for document, score in zip(ranked, scores, strict=True)
        if score is None or score >= min_score
    ]


def interleave_rankings(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """Merge rankings: the first document of each, then the second of each; each document once."""
    rows = zip_longest(*rankings)
    return list(_by_key(document for row in rows for document in row if document is not None).values())


def fuse_rankings(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """Merge rankings by reciprocal rank fusion; each document once."""
    keys = [[document_key(document) for document in ranking] for ranking in rankings]
    documents = _by_key(chain.from_iterable(rankings))
    return [documents[key] for key in reciprocal_rank_fusion(keys)]


def _by_key(documents: Iterable[Document]) -> dict[str, Document]:
    """The documents by their key; of equal ones the first."""
    found: dict[str, Document] = {}
    for document in documents:
        found.setdefault(document_key(document), document)
    return found
