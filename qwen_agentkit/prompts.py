"""The texts Qwen3-Embedding and Qwen3-Reranker were trained on, byte for byte. Knows text, not tokens.

Source: the model cards and code of https://github.com/QwenLM/Qwen3-Embedding. One changed byte moves
every vector and score, so the tests pin the token ids as well.
"""

from __future__ import annotations

__all__ = [
    "DEFAULT_INSTRUCTION",
    "END_OF_TEXT",
    "RERANK_PREFIX",
    "RERANK_SUFFIX",
    "embedding_query",
    "rerank_document",
    "rerank_head",
]

DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

# The embedders read the hidden state of this token, appended to every text.
END_OF_TEXT = "<|endoftext|>"

RERANK_PREFIX = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
RERANK_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def embedding_query(instruction: str, query: str) -> str:
    """What the embedder reads for a query; documents are read as they are.

    There is no space after `Query:`. An empty `instruction` leaves the query as it is.
    """
    return f"Instruct: {instruction}\nQuery:{query}" if instruction else query


def rerank_head(instruction: str, query: str) -> str:
    """The part of a reranker prompt that all documents of one query share, after the prefix."""
    return f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>:"


def rerank_document(document: str) -> str:
    """The part that follows `rerank_head`.

    The pre-tokeniser always breaks between the colon and the space, so head and document can be
    tokenised apart.
    """
    return f" {document}"
