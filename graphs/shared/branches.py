"""Branches that run side by side: how what they bring together is kept, and which failures end the run.

Knows LangGraph's reducers, not what a branch does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from langchain_core.documents import Document

from qwen_agentkit.errors import RetrievalError, StoreError
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN
from qwen_agentkit.text.citations import document_source

__all__ = ["NOT_OF_ONE_BRANCH", "interleaved", "joined", "refuse_if_all_failed", "together"]

# The other branches meet them, too, and they stay until the user does something.
NOT_OF_ONE_BRANCH = (*NEVER_HIDDEN, StoreError)


def joined(known: list[Any], new: list[Any]) -> list[Any]:
    """Reducer of a list that every branch adds to; an empty one clears it."""
    return [*known, *new] if new else []


def together(known: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    """Reducer of the seconds of stages: branches took as long as the longest; `prepare` alone starts anew."""
    if set(new) == {"prepare"}:
        return new
    return {**known, **{name: max(seconds, known.get(name, 0.0)) for name, seconds in new.items()}}


def interleaved(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """The documents of several rankings, the first of each, then the second, each document once."""
    documents: dict[tuple[str, str], Document] = {}
    for places in zip_longest(*rankings):
        for document in places:
            if document is not None:
                documents.setdefault((document_source(document), document.page_content), document)
    return list(documents.values())


def refuse_if_all_failed(errors: Sequence[str]) -> None:
    """Refuse to go on when every branch has an error: nothing found would be an answer that is not true.

    Args:
        errors: of each branch; "" where there was none.

    Raises:
        RetrievalError: there are branches, and all of them failed.
    """
    if errors and all(errors):
        raise RetrievalError(
            f"All {len(errors)} searches failed, the first with {errors[0]}; expected documents of at least "
            "one. Try the retriever alone, with retriever.invoke(...)."
        )
