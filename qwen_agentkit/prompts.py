"""The prompts that Qwen3-Embedding and Qwen3-Reranker were trained on, byte for byte. Knows no tokens.

Source: the model cards and code of https://github.com/QwenLM/Qwen3-Embedding. One changed byte changes
every vector and score, so the tests pin the token ids as well.
"""

from __future__ import annotations

import re

from qwen_agentkit.errors import InputError

__all__ = [
    "DEFAULT_INSTRUCTION",
    "END_OF_TEXT",
    "RERANK_PREFIX",
    "RERANK_SUFFIX",
    "embedding_query",
    "query_prompt",
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


# A prompt that has a place for an instruction. gte-Qwen2 has a space at its end, Qwen3-Embedding has none.
_INSTRUCTED = re.compile(r"(Instruct: ).*(\nQuery: ?)", re.DOTALL)


def embedding_query(instruction: str, query: str) -> str:
    """Return what Qwen3-Embedding reads for a query; documents are read as they are.

    There is no space after `Query:`. An empty `instruction` leaves the query as it is.
    """
    return query_prompt(instruction, None) + query


def query_prompt(instruction: str | None, saved: str | None) -> str:
    """Return the text that an embedder reads before a query.

    Args:
        instruction: The caller's; "" for no prompt, None for the checkpoint's own.
        saved: The checkpoint's own prompt; None for Qwen3-Embedding's.

    Raises:
        InputError: The checkpoint's own prompt has no place for an instruction.
    """
    if instruction == "":
        return ""
    own = f"Instruct: {DEFAULT_INSTRUCTION}\nQuery:" if saved is None else saved
    if instruction is None:
        return own
    found = _INSTRUCTED.fullmatch(own)
    if found is None:
        raise InputError(
            f"instruction={instruction!r} has no place in the prompt {own!r} that this checkpoint reads "
            "before queries. Leave it out for that prompt, or pass '' for none."
        )
    return found[1] + instruction + found[2]


def rerank_head(instruction: str, query: str) -> str:
    """Return the part of a reranker prompt, after the prefix, that all documents of one query share."""
    return f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>:"


def rerank_document(document: str) -> str:
    """Return the part that follows `rerank_head`.

    The tokenizer always splits between the colon and the space, so head and document can be tokenized
    separately.
    """
    return f" {document}"
