"""The texts reach the model as the token ids it was trained on, in the real vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    END_OF_TEXT,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    embedding_query,
    rerank_document,
    rerank_head,
)
from tests import real_tokenizer as real_tokenizer_module


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, Qwen3!", [9707, 11, 1207, 16948, 18, 0]),
        ("¡Hola, 世界! café 🚀", [39832, 68012, 11, 220, 99489, 0, 51950, 11162, 248, 222]),
        ("  alpha\tbeta\n\ngamma  ", [220, 8287, 2233, 1915, 271, 32214, 256]),
        ("<|im_start|>assistant\n", [151644, 77091, 198]),
        ("yes", [9693]),
        ("no", [2152]),
        (END_OF_TEXT, [151643]),
        (RERANK_SUFFIX, [151645, 198, 151644, 77091, 198, 151667, 271, 151668, 271]),
    ],
)
def test_known_ids(real_tokenizer: PreTrainedTokenizerFast, text: str, expected: list[int]) -> None:
    assert ids(real_tokenizer, text) == expected


def test_the_reranker_prefix_has_39_tokens(real_tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(ids(real_tokenizer, RERANK_PREFIX)) == 39


def test_a_query_carries_the_instruction_byte_for_byte() -> None:
    expected = (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
        "Query:What is the capital of China?"
    )
    assert embedding_query(DEFAULT_INSTRUCTION, "What is the capital of China?") == expected
    assert embedding_query("", "plain") == "plain"


@pytest.fixture(scope="module")
def backend() -> Tokenizer:
    return real_tokenizer_module.build().backend_tokenizer


@settings(max_examples=300, deadline=None)
@given(document=st.text(max_size=40))
@example(document="\n\nstarts with newlines")
@example(document="  two spaces")
@example(document="\u0301 combining mark first")
@example(document=": colon")
@example(document="العربية")
@example(document="中文")
@example(document="")
def test_head_and_document_tokenise_apart_as_together(backend: Tokenizer, document: str) -> None:
    head = rerank_head(DEFAULT_INSTRUCTION, "q")
    together = backend.encode(head + rerank_document(document), add_special_tokens=False).ids
    apart = [
        *backend.encode(head, add_special_tokens=False).ids,
        *backend.encode(rerank_document(document), add_special_tokens=False).ids,
    ]
    assert apart == together
