"""GGUF files by torch: the same model, tokenizer and template as the checkpoint they were made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint import gguf_files
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.errors import MissingExtraError, ModelNotFoundError, ModelUnsupportedError
from tests.conftest import bundled
from tests.gguf_files import write_gguf
from tests.weights import weights_of

# Composed and decomposed letters, digits, scripts, and tokens spelled out.
TEXT = "Wörld e\u0301 12345  ١٢٣ متى القارب؟ 你好，世 ＡＢ \n\n\t x<think></think><tool_call><|im_end|>"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    for name, kind in (
        *(("nano-chat", "F32"), ("nano-embedding", "F32"), ("nano-embedding", "Q8_0")),
        ("nano-reranker", "F16"),
    ):
        write_gguf(bundled(name), folder / f"{name}-{kind}.gguf", kind)
    return folder


def test_the_tokenizer_is_the_checkpoints(files: Path, nano_chat_dir: Path) -> None:
    mine, true = load(str(files / "nano-chat-F32.gguf"), chat=True), load(str(nano_chat_dir), chat=True)
    assert mine.encode_prompt(TEXT) == true.encode_prompt(TEXT)
    assert mine.encode_data([TEXT]) == true.encode_data([TEXT])
    assert mine.tokenizer.chat_template == true.tokenizer.chat_template
    assert mine.tokenizer.eos_token_id == true.tokenizer.eos_token_id
    assert mine.tokenizer.decode(mine.encode_data([TEXT])[0]) == true.tokenizer.decode(
        true.encode_data([TEXT])[0]
    )


def test_the_weights_are_the_checkpoints(files: Path, nano_chat_dir: Path) -> None:
    mine, true = load(str(files / "nano-chat-F32.gguf"), chat=True), load(str(nano_chat_dir), chat=True)
    ours, theirs = weights_of(mine.model), weights_of(true.model)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert mine.context == true.context


def test_a_chat_is_the_same(files: Path) -> None:
    [mine, true] = [
        ChatQwen(model=model, engine="torch", temperature=0, max_tokens=40).invoke(
            "When does the library open?", thinking=True
        )
        for model in (str(files / "nano-chat-F32.gguf"), "nano")
    ]
    assert mine.additional_kwargs == true.additional_kwargs
    assert mine.usage_metadata == true.usage_metadata


def test_embeddings_are_the_same_up_to_the_rounding_of_the_file(files: Path) -> None:
    texts = ["The library opens at nine.", "متى يغادر القارب؟"]
    true = QwenEmbeddings(model="nano").embed_array(texts)
    for kind, least in (("F32", 0.99999), ("Q8_0", 0.999)):
        file = str(files / f"nano-embedding-{kind}.gguf")
        mine = QwenEmbeddings(model=file, engine="torch").embed_array(texts)
        assert np.all((mine * true).sum(axis=1) > least)


def test_scores_are_the_same(files: Path) -> None:
    pairs = [("When does it open?", "It opens at nine."), ("When does it open?", "Bananas are yellow.")]
    mine = QwenReranker(model=str(files / "nano-reranker-F16.gguf"), engine="torch").score(pairs)
    assert mine == pytest.approx(QwenReranker(model="nano").score(pairs), abs=2e-3)


def test_the_fingerprint_names_the_file_and_its_content(files: Path, tmp_path: Path) -> None:
    made = QwenEmbeddings(model=str(files / "nano-embedding-Q8_0.gguf"), engine="torch").fingerprint
    assert made["model"] == "nano-embedding-Q8_0.gguf"
    other = tmp_path / "nano-embedding-Q8_0.gguf"
    shutil.copy(files / "nano-embedding-F32.gguf", other)
    assert QwenEmbeddings(model=str(other), engine="torch").fingerprint["revision"] != made["revision"]


def test_any_width_of_a_head_and_untied_weights(save_random_model, tmp_path: Path) -> None:
    folder = save_random_model(seed=21, tie_word_embeddings=False)
    file = write_gguf(folder, tmp_path / "tiny.gguf")
    mine, true = load(str(file)).model, load(str(folder)).model
    assert torch.equal(mine.get_parameter("lm_head.weight"), true.get_parameter("lm_head.weight"))


def test_another_architecture_is_refused(save_random_model, tmp_path: Path) -> None:
    file = write_gguf(save_random_model(seed=22), tmp_path / "llama.gguf", architecture="llama")
    with pytest.raises(ModelUnsupportedError, match=r"'llama'.*qwen2 and qwen3"):
        ChatQwen(model=str(file), engine="torch").invoke("Hello")


def test_a_tokenizer_of_another_kind_is_refused(save_random_model, tmp_path: Path) -> None:
    file = write_gguf(save_random_model(seed=23), tmp_path / "odd.gguf", splits="llama-bpe")
    with pytest.raises(ModelUnsupportedError, match="does not split texts as Qwen does"):
        load(str(file))


def test_a_ranker_for_llama_cpp_is_refused(save_random_model, tmp_path: Path) -> None:
    extra = {"cls.output.weight": np.zeros((2, 64), dtype=np.float32)}
    file = write_gguf(save_random_model(seed=24), tmp_path / "ranker.gguf", extra=extra)
    with pytest.raises(ModelUnsupportedError, match="llama-server --reranking"):
        QwenReranker(model=str(file), engine="torch").score([("a", "b")])


def test_a_quantisation_that_is_not_read_is_named(save_random_model, tmp_path: Path) -> None:
    file = write_gguf(save_random_model(seed=26), tmp_path / "five.gguf", kind="Q5_0")
    with pytest.raises(ModelUnsupportedError, match=r"has a quantization.*Q8_0.*llama.cpp"):
        load(str(file))


def test_missing_weights_are_refused(save_random_model, tmp_path: Path) -> None:
    file = write_gguf(save_random_model(seed=25), tmp_path / "part.gguf", without="blk.1.")
    with pytest.raises(ModelUnsupportedError, match=r"lacks \d+ of the weights"):
        load(str(file))


def test_damage_and_absence_are_named(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (files / "nano-embedding-Q8_0.gguf").read_bytes()
    for name, content in (("none.gguf", b"no gguf at all"), ("cut.gguf", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelUnsupportedError, match="not a readable GGUF file"):
            load(str(tmp_path / name))
    with pytest.raises(ModelNotFoundError, match="no such folder or GGUF file"):
        load("nowhere/model.gguf")
    monkeypatch.setattr(gguf_files, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"qwen-agentkit\[gguf\]"):
        load(str(files / "nano-chat-F32.gguf"))
