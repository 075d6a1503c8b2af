"""The trained prompt of Qwen3-Reranker as token ids, in two parts: up to the document, and from it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qwen_agentkit.engine.checkpoint.tokens import encode
from qwen_agentkit.engine.checkpoint.vocabulary import Vocabulary
from qwen_agentkit.errors import InputTooLongError
from qwen_agentkit.prompts import RERANK_PREFIX, RERANK_SUFFIX, rerank_document, rerank_head

__all__ = ["prompt_heads", "prompt_tails"]


def prompt_heads(
    loaded: Vocabulary, queries: Sequence[str], instruction: str, limit: int
) -> dict[str, list[int]]:
    """Return the tokens of each query's prompt up to the document.

    Args:
        loaded: The checkpoint.
        queries: The queries, each once.
        instruction: What makes a document relevant.
        limit: Most tokens of a whole prompt.

    Raises:
        InputTooLongError: A query leaves no room for a document.
    """
    encoded = encode(loaded, [rerank_head(instruction, query) for query in queries], limit)
    prefix, suffix = loaded.encode_prompt(RERANK_PREFIX), loaded.encode_prompt(RERANK_SUFFIX)
    for query, ids in zip(queries, encoded, strict=True):
        taken = len(prefix) + len(ids) + len(suffix)
        if taken >= limit:
            raise InputTooLongError(
                f"The query {query[:60]!r} and the instruction take {taken} of {limit} tokens, "
                "which leaves no room for a document. Shorten the query, or raise max_length."
            )
    return {query: prefix + ids for query, ids in zip(queries, encoded, strict=True)}


def prompt_tails(
    loaded: Vocabulary,
    pairs: Sequence[tuple[str, str]],
    heads: Mapping[str, list[int]],
    limit: int,
    *,
    may_cut: bool,
) -> tuple[list[list[int]], set[int]]:
    """Return the tokens of each document with the suffix, and the indices of documents that were cut.

    Args:
        loaded: The checkpoint.
        pairs: Queries and documents.
        heads: What `prompt_heads` returned for the queries.
        limit: Most tokens of a whole prompt.
        may_cut: Whether longer documents are cut; otherwise they are an error.

    Raises:
        InputTooLongError: A document is too long and may not be cut.
    """
    suffix = loaded.encode_prompt(RERANK_SUFFIX)
    encoded = encode(loaded, [rerank_document(text) for _, text in pairs], limit)
    tails, cut = [], set()
    for index, ((query, text), ids) in enumerate(zip(pairs, encoded, strict=True)):
        room = limit - len(heads[query]) - len(suffix)
        if len(ids) > room:
            if not may_cut:
                raise InputTooLongError(
                    f"The document {text[:60]!r}... is longer than the {room} tokens that fit. "
                    "Split it, raise max_length, or set truncate=True to leave its end out."
                )
            cut.add(index)
        tails.append(ids[:room] + suffix)
    return tails, cut
