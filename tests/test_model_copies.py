"""Copies of the model classes share weights, and pickled ones load them again."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker


def test_a_deep_copy_shares_the_weights(tiny_qwen3_dir: Path) -> None:
    embeddings, reranker = (kind(model=str(tiny_qwen3_dir)) for kind in (QwenEmbeddings, QwenReranker))
    vector, scores = embeddings.embed_query("when"), reranker.score([("when", "at nine")])
    copied, ranking = copy.deepcopy(embeddings), copy.deepcopy(reranker)
    assert copied._backend.loaded is embeddings._backend.loaded
    assert ranking._backend.loaded is reranker._backend.loaded
    assert copied == embeddings
    assert (copied.embed_query("when"), ranking.score([("when", "at nine")])) == (vector, scores)


def test_a_deep_copy_of_a_chat_model_has_settings_of_its_own(tiny_qwen3_dir: Path) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), stop=["."], max_tokens=4, temperature=0, thinking=False)
    answer = llm.invoke("Hello")
    copied = copy.deepcopy(llm)
    copied.stop.append("!")
    assert llm.stop == ["."]
    assert copied._load() is llm._load()
    assert copy.deepcopy(llm).invoke("Hello").content == answer.content


def test_pickled_models_load_their_weights_again(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    embeddings = QwenEmbeddings(model=str(tiny_qwen3_dir), dimensions=16, cache=tmp_path)
    reranker = QwenReranker(model=str(tiny_qwen3_dir), top_n=2)
    llm = ChatQwen(model=str(tiny_qwen3_dir), max_tokens=4, temperature=0, thinking=False, api_key="secret")
    before = (
        embeddings.embed_query("when"),
        reranker.score([("when", "at nine")]),
        llm.invoke("Hello").content,
    )
    again = [pickle.loads(pickle.dumps(model)) for model in (embeddings, reranker, llm)]
    assert [model.model_dump() for model in again] == [
        model.model_dump() for model in (embeddings, reranker, llm)
    ]
    assert not again[2]._held
    after = (
        again[0].embed_query("when"),
        again[1].score([("when", "at nine")]),
        again[2].invoke("Hello").content,
    )
    assert after == before


@pytest.mark.parametrize("kind", [QwenEmbeddings, QwenReranker, ChatQwen])
def test_settings_for_local_weights_are_refused_with_a_server(kind: type) -> None:
    with pytest.raises(ValueError, match=r"dtype='float32' applies to a model in this process.*Leave it out"):
        kind(base_url="http://localhost:1/v1", dtype="float32")
    with pytest.raises(ValueError, match="dtyp"):
        kind(dtyp="float32")
    kind(base_url="http://localhost:1/v1", dtype=None, timeout=3)
