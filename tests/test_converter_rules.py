"""The end of a text in GGUF files, by the rules of llama.cpp's converter for tokenizers."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from tests.conftest import bundled

gguf = pytest.importorskip("gguf")


def test_a_converted_embedder_appends_the_token_whose_state_is_the_vector() -> None:
    folder = bundled("nano-embedding")
    special = gguf.SpecialVocab(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer("text")["input_ids"][-1]
    assert tokenizer.convert_ids_to_tokens(end) == "<|endoftext|>"
    assert special.special_token_ids["eos"] == end
    assert special.add_special_token["eos"] is True


def test_a_converted_reranker_appends_nothing() -> None:
    special = gguf.SpecialVocab(bundled("nano-reranker"))
    assert not special.add_special_token.get("eos", False)
