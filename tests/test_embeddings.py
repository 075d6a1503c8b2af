"""`QwenEmbeddings` gives the vectors of the stock model, and fulfils LangChain's contract."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from transformers import AutoModel, AutoTokenizer

from qwen_agentkit import QwenEmbeddings
from qwen_agentkit.errors import InputError, InputTooLongError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, embedding_query

TEXTS = [
    "The library opens at nine.",
    "تفتح المكتبة في التاسعة صباحًا.",
    "图书馆九点开门。",
    "",
    "x " * 300,
    "line one\nline two\n\n    indented code",
]


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return QwenEmbeddings

    @property
    def embedding_model_params(self) -> dict:
        return {"model": "nano"}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return QwenEmbeddings

    @property
    def embedding_model_params(self) -> dict:
        return {"model": "nano"}


@pytest.fixture(scope="module")
def tiny(tiny_qwen3_dir: Path) -> QwenEmbeddings:
    return QwenEmbeddings(model=str(tiny_qwen3_dir), dtype="float32", device="cpu")


def stock_vectors(folder: Path, texts: list[str]) -> np.ndarray:
    """The model card's method: left padding, last token, length one."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = "<|endoftext|>"
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer([text + "<|endoftext|>" for text in texts], padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state[:, -1]
    return torch.nn.functional.normalize(hidden, dim=-1).numpy()


def test_documents_equal_the_stock_model(tiny: QwenEmbeddings, tiny_qwen3_dir: Path) -> None:
    np.testing.assert_allclose(tiny.embed_array(TEXTS), stock_vectors(tiny_qwen3_dir, TEXTS), atol=1e-5)


def test_a_query_carries_the_instruction(tiny: QwenEmbeddings, tiny_qwen3_dir: Path) -> None:
    expected = stock_vectors(tiny_qwen3_dir, [embedding_query(DEFAULT_INSTRUCTION, "gravity?")])[0]
    np.testing.assert_allclose(tiny.embed_query("gravity?"), expected, atol=1e-5)
    assert not np.allclose(tiny.embed_query("gravity?"), tiny.embed_documents(["gravity?"])[0], atol=1e-3)


def test_another_instruction_shares_the_weights(tiny: QwenEmbeddings, tiny_qwen3_dir: Path) -> None:
    other = tiny.with_instruction("Find the clause of the contract")
    assert other._loaded is tiny._loaded
    expected = stock_vectors(tiny_qwen3_dir, ["Instruct: Find the clause of the contract\nQuery:rent"])[0]
    np.testing.assert_allclose(other.embed_query("rent"), expected, atol=1e-5)
    bare = tiny.with_instruction("")
    np.testing.assert_allclose(bare.embed_query("rent"), bare.embed_documents(["rent"])[0], atol=1e-6)


def test_fewer_dimensions_are_a_cut_of_length_one(tiny: QwenEmbeddings) -> None:
    full = tiny.embed_array(TEXTS)
    short = tiny.model_copy(update={"dimensions": 24}).embed_array(TEXTS)
    cut = full[:, :24] / np.linalg.norm(full[:, :24], axis=1, keepdims=True)
    np.testing.assert_allclose(short, cut, atol=1e-6)


def test_more_dimensions_than_there_are_is_an_error(tiny: QwenEmbeddings) -> None:
    with pytest.raises(InputError, match="65 is more than the 64"):
        tiny.model_copy(update={"dimensions": 65}).embed_query("x")


def test_order_and_repetition_do_not_matter(tiny: QwenEmbeddings) -> None:
    shuffled = [TEXTS[2], TEXTS[0], TEXTS[2], TEXTS[4]]
    vectors = tiny.embed_array(TEXTS)
    np.testing.assert_allclose(tiny.embed_array(shuffled), vectors[[2, 0, 2, 4]], atol=1e-5)


def test_nothing_in_nothing_out(tiny: QwenEmbeddings) -> None:
    assert tiny.embed_array([]).shape == (0, 64)
    assert tiny.embed_documents([]) == []


def test_a_long_text_keeps_its_final_token_and_warns(tiny: QwenEmbeddings, tiny_qwen3_dir: Path) -> None:
    short = tiny.model_copy(update={"max_length": 8})
    with pytest.warns(UserWarning, match=r"1 of 2 texts are longer than max_length=8"):
        vectors = short.embed_array(["one two three four five six seven eight nine ten", "short"])
    ids = tiny._loaded.encode_data(["one two three four five six seven eight nine ten"])[0][:7]
    expected = stock_vectors(tiny_qwen3_dir, [tiny._loaded.tokenizer.decode(ids)])
    np.testing.assert_allclose(vectors[0], expected[0], atol=1e-5)


def test_a_query_is_never_cut(tiny: QwenEmbeddings) -> None:
    with pytest.raises(InputTooLongError, match="at most 2047 fit"):
        tiny.embed_query("why " * 3000)


def test_what_is_no_text_is_named(tiny: QwenEmbeddings) -> None:
    with pytest.raises(InputError, match="Text 1 is None"):
        tiny.embed_documents(["fine", None])  # type: ignore[list-item]


def test_async_equals_sync(tiny: QwenEmbeddings) -> None:
    async def both() -> tuple[list[float], list[list[float]]]:
        return await asyncio.gather(tiny.aembed_query("q"), tiny.aembed_documents(["d"]))

    query, documents = asyncio.run(both())
    np.testing.assert_allclose(query, tiny.embed_query("q"), atol=1e-6)
    np.testing.assert_allclose(documents, tiny.embed_documents(["d"]), atol=1e-6)


def test_the_fingerprint_tells_models_and_sizes_apart(tiny: QwenEmbeddings, save_random_model) -> None:
    other = QwenEmbeddings(model=str(save_random_model(seed=9)))
    assert tiny.fingerprint["dimensions"] == 64
    assert tiny.fingerprint["revision"] != other.fingerprint["revision"]
    assert tiny.with_instruction("other").fingerprint == tiny.fingerprint


def test_a_misspelt_setting_fails() -> None:
    with pytest.raises(ValueError, match="dimension"):
        QwenEmbeddings(dimension=64)  # type: ignore[call-arg]
