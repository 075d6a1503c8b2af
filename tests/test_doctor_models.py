"""`doctor --model` says which code runs a model, for each class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qwen_agentkit.cli.doctor import check_model
from qwen_agentkit.errors import ModelNotFoundError

CLASSES = ("ChatQwen", "QwenEmbeddings", "QwenReranker")


def ways(model: str | Path) -> list[str]:
    found = check_model(str(model))
    return [found[name] for name in CLASSES]


def changed(source: Path, folder: Path, **config: object) -> Path:
    """A copy of a checkpoint with other values in its config.json."""
    shutil.copytree(source, folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **config}))
    return folder


def test_qwen_runs_on_the_packed_engine(tiny_qwen3_dir: Path) -> None:
    assert ways(tiny_qwen3_dir) == ["packed engine"] * 3
    assert ways("nano-chat")[0] == "packed engine"
    assert ways("nano-embedding")[1] == "packed engine"


def test_other_families_run_through_sentence_transformers(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    bert = changed(tiny_qwen3_dir, tmp_path / "bert", model_type="bert", architectures=["BertModel"])
    chat, embeddings, reranker = ways(bert)
    assert chat == "no: it has no language model head"
    assert embeddings == "sentence-transformers"
    assert reranker == "no: it has no head that scores"
    head = ["BertForSequenceClassification"]
    ranker = changed(tiny_qwen3_dir, tmp_path / "ranker", model_type="bert", architectures=head)
    assert ways(ranker)[1:] == ["no: it is a cross-encoder", "sentence-transformers"]


def test_hybrid_chat_models_run_on_the_packed_engine_and_write_only(save_hybrid: Path) -> None:
    chat, *others = ways(save_hybrid)
    assert chat == "packed engine"
    assert all(way.startswith("no: ") for way in others)


@pytest.fixture
def save_hybrid(tmp_path: Path) -> Path:
    config = {"model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_model_that_is_not_here_is_not_downloaded() -> None:
    with pytest.raises(ModelNotFoundError, match="doctor downloads nothing"):
        check_model("nobody/no-such-model")
