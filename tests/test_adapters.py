"""LoRA adapters: the merged weights, the three model classes, and what does not fit."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint import adapters
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.errors import MissingExtraError, ModelNotFoundError, ModelUnsupportedError
from tests.conftest import bundled
from tests.weights import weights_of

MakeAdapter = Callable[..., Path]
TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module")
def make_adapter(tmp_path_factory: pytest.TempPathFactory) -> MakeAdapter:
    """Save an adapter with random weights for a checkpoint."""

    def make(base: Path, *, named: str = "", head: bool = True, **changes: object) -> Path:
        kind = AutoModelForCausalLM if head else AutoModel
        settings = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, **changes}
        torch.manual_seed(7)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks the model in words of transformers 4
            model = get_peft_model(kind.from_pretrained(base, dtype="float32"), LoraConfig(**settings))
        for name, weight in model.named_parameters():
            if ".lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
        folder = tmp_path_factory.mktemp("adapter")
        model.save_pretrained(folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = named
        (folder / "adapter_config.json").write_text(json.dumps(config))
        return folder

    return make


@pytest.fixture(scope="module")
def tiny_adapter(make_adapter: MakeAdapter, tiny_qwen3_dir: Path) -> Path:
    return make_adapter(tiny_qwen3_dir)


def test_the_merged_weight_is_the_sum_of_the_papers_formula(tiny_qwen3_dir: Path, tiny_adapter: Path) -> None:
    plain, merged = load(str(tiny_qwen3_dir)), load(str(tiny_qwen3_dir), adapter=str(tiny_adapter))
    assert merged is not plain
    assert merged is load(str(tiny_qwen3_dir), adapter=str(tiny_adapter))
    parts = load_file(tiny_adapter / "adapter_model.safetensors")
    changed = set()
    changed_weights = weights_of(merged.model)
    for name, weight in weights_of(plain.model).items():
        down = parts.get(f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight")
        expected = weight
        if down is not None:
            up = parts[f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight"]
            expected = weight + 8 / 4 * up @ down
            changed.add(name.split(".")[-2])
        assert torch.allclose(changed_weights[name], expected, atol=1e-5), name
    assert changed == set(TARGETS)


def test_a_chat_changes_with_it(tiny_qwen3_dir: Path, tiny_adapter: Path) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), temperature=0, max_tokens=12)
    plain = llm.invoke("Hello")
    tuned = llm.invoke("Hello", adapter=str(tiny_adapter))
    assert (tuned.content, tuned.additional_kwargs) != (plain.content, plain.additional_kwargs)
    again = llm.invoke("Hello")
    assert (again.content, again.additional_kwargs) == (plain.content, plain.additional_kwargs)


@pytest.mark.parametrize("head", [True, False], ids=["of a language model", "of a bare model"])
def test_embeddings_and_their_fingerprint_change_with_it(make_adapter: MakeAdapter, head: bool) -> None:
    base = bundled("nano-embedding")
    adapter = make_adapter(base, head=head)
    plain, tuned = QwenEmbeddings(model="nano"), QwenEmbeddings(model="nano", adapter=str(adapter))
    texts = ["The library opens at nine."]
    assert float((plain.embed_array(texts) @ tuned.embed_array(texts).T)[0, 0]) < 0.99
    print_of = tuned.fingerprint
    assert print_of["model"] == f"nano-embedding+{adapter.name}"
    assert str(print_of["revision"]).startswith(f"{plain.fingerprint['revision']}+")


def test_an_adapter_of_a_bare_model_fits_one_with_a_head(
    make_adapter: MakeAdapter, tiny_qwen3_dir: Path
) -> None:
    with_head, bare = (make_adapter(tiny_qwen3_dir, head=head) for head in (True, False))
    first, second = (load(str(tiny_qwen3_dir), adapter=str(folder)).model for folder in (with_head, bare))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(weights_of(first)[name], weights_of(second)[name])


def test_a_retrained_adapter_has_another_revision(make_adapter: MakeAdapter, tmp_path: Path) -> None:
    adapter = make_adapter(bundled("nano-embedding"))
    before = QwenEmbeddings(model="nano", adapter=str(adapter)).fingerprint
    copy = tmp_path / adapter.name
    shutil.copytree(adapter, copy)
    weights = copy / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    after = QwenEmbeddings(model="nano", adapter=str(copy)).fingerprint
    assert after["model"] == before["model"]
    assert after["revision"] != before["revision"]


def test_scores_change_with_it(make_adapter: MakeAdapter) -> None:
    adapter = make_adapter(bundled("nano-reranker"))
    pairs = [("When does it open?", "It opens at nine."), ("When does it open?", "Bananas are yellow.")]
    plain, tuned = QwenReranker(model="nano"), QwenReranker(model="nano", adapter=str(adapter))
    assert not np.allclose(plain.score(pairs), tuned.score(pairs), atol=1e-3)


@pytest.mark.parametrize(
    ("trained_on", "base"),
    [("Qwen/Qwen3-8B", "Qwen/Qwen3-4B"), ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-Embedding-0.6B")],
)
def test_another_base_model_is_refused_by_its_name(
    make_adapter, tiny_qwen3_dir, trained_on: str, base: str
) -> None:
    adapter = make_adapter(tiny_qwen3_dir, named=trained_on)
    with pytest.raises(ModelUnsupportedError, match=f"trained on '{trained_on}', not on '{base}'"):
        adapters.find_adapter(str(adapter), base)


def test_the_same_base_model_under_other_owners_is_taken(make_adapter, tiny_qwen3_dir: Path) -> None:
    adapter = make_adapter(tiny_qwen3_dir, named="unsloth/qwen3-8b-unsloth-bnb-4bit")
    assert adapters.find_adapter(str(adapter), "Qwen/Qwen3-8B").name == adapter.name


def test_another_base_model_is_refused_by_its_shapes(tiny_adapter: Path, save_random_model) -> None:
    wider = save_random_model(seed=31, hidden_size=96)
    with pytest.raises(ModelUnsupportedError, match="does not fit this model"):
        load(str(wider), adapter=str(tiny_adapter))
    shorter = save_random_model(seed=32, num_hidden_layers=2)
    with pytest.raises(ModelUnsupportedError, match="without a counterpart, such as"):
        load(str(shorter), adapter=str(tiny_adapter))
    longer = save_random_model(seed=33, num_hidden_layers=4)
    with pytest.raises(ModelUnsupportedError, match="without a counterpart, such as"):
        load(str(longer), adapter=str(tiny_adapter))


def test_other_things_than_lora_in_safetensors_are_refused(
    tiny_qwen3_dir: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    model = str(tiny_qwen3_dir)
    with pytest.raises(ModelUnsupportedError, match="expected a LoRA adapter"):
        load(model, adapter=model)
    pickled, prompt = tmp_path / "pickled", tmp_path / "prompt"
    shutil.copytree(tiny_adapter, pickled)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelUnsupportedError, match="can run code"):
        load(model, adapter=str(pickled))
    shutil.copytree(tiny_adapter, prompt)
    (prompt / "adapter_config.json").write_text('{"peft_type": "PROMPT_TUNING"}')
    with pytest.raises(ModelUnsupportedError, match="'PROMPT_TUNING'; expected LORA"):
        load(model, adapter=str(prompt))
    with pytest.raises(ModelNotFoundError):
        load(model, adapter="./nowhere")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("adapter_config.json", "{"),
        ("adapter_config.json", "[1]"),
        ("adapter_model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    ],
)
def test_damaged_files_are_named(
    tiny_qwen3_dir: Path, make_adapter, tmp_path, file: str, content: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(make_adapter(tiny_qwen3_dir), folder)
    (folder / file).write_text(content)
    with pytest.raises(ModelUnsupportedError, match=f"{file} of the adapter .* Download it again"):
        load(str(tiny_qwen3_dir), adapter=str(folder))


def test_without_peft_the_extra_is_named(
    tiny_adapter: Path, save_random_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_random_model(seed=34)
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"qwen-agentkit\[lora\]"):
        load(str(folder), adapter=str(tiny_adapter))


@pytest.mark.parametrize("kind", [ChatQwen, QwenEmbeddings, QwenReranker])
def test_a_server_has_its_own_adapters(kind: type) -> None:
    with pytest.raises(ValueError, match="adapter='mine'"):  # pydantic's own, around ours
        kind(model="Qwen/Qwen3-8B", adapter="mine", base_url="http://server.test/v1")
