"""Every architecture loads, computes and chats as stock transformers does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from langchain_core.messages import AIMessage, HumanMessage
from transformers import AutoModelForCausalLM, AutoTokenizer

from qwen_agentkit.catalog import CHECKPOINTS, SamplingValues
from qwen_agentkit.chat.sampling import recommended
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.embeddings import QwenEmbeddings
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.checkpoint.template import ChatTemplate
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.errors import InputError, InputTooLongError, ModelUnsupportedError
from qwen_agentkit.rerankers import QwenReranker
from tests.conftest import bundled


def asked(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


SAMPLING = [
    ("qwen2", False, False, SamplingValues(0.7, 0.8, 20, repetition_penalty=1.05)),
    ("qwen3_moe", True, False, SamplingValues(0.6, 0.95, 20)),
    ("qwen3_next", False, False, SamplingValues(0.7, 0.8, 20)),
    ("qwen3_5_text", True, False, SamplingValues(1.0, 0.95, 20, presence_penalty=1.5)),
    ("qwen3_5_moe_text", False, False, SamplingValues(0.7, 0.8, 20, presence_penalty=1.5)),
    ("qwen3_5_text", True, True, SamplingValues(1.0, 0.95, 20)),
    ("qwen3_5_moe", False, True, SamplingValues(0.7, 0.8, 20, presence_penalty=1.5)),
    ("qwen4_exp_text", True, True, SamplingValues(1.0, 0.95, 20)),
]


@pytest.mark.parametrize(("kind", "thinking", "replays", "row"), SAMPLING)
def test_sampling_by_family_and_mode(kind: str, thinking: bool, replays: bool, row: SamplingValues) -> None:
    assert recommended(kind, thinking=thinking, usual=True, generation_config={}, replays=replays) == row


@pytest.mark.parametrize("greedy", [{"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.0}, {"do_sample": False}])
def test_no_file_makes_a_thought_greedy(greedy: dict[str, Any]) -> None:
    config = {"min_p": 0.5, **greedy}
    thought = recommended("qwen3", thinking=True, usual=True, generation_config=config)
    assert (thought.temperature, thought.top_p, thought.top_k) == (0.6, 0.95, 20)
    answer = recommended("qwen3", thinking=False, usual=True, generation_config={"temperature": 0.0})
    assert answer.temperature == 0.0


SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
}


LINEAR = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}


EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}


INDEX = {
    "hc_lowrank": 8,
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 16,
    "indexer_compress_ratio": 4,
}


EYES = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64}


# Names of the configuration and the model in transformers, the sizes, and whether an embedder may have it.
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", SHAPE, True),
    "qwen2_moe": ("Qwen2MoeConfig", "Qwen2MoeForCausalLM", {**SHAPE, **EXPERTS}, True),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SHAPE, True),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {**SHAPE, **EXPERTS}, True),
    "qwen3_next": ("Qwen3NextConfig", "Qwen3NextForCausalLM", {**SHAPE, **LINEAR, **EXPERTS}, False),
    "qwen3_5_text": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", {**SHAPE, **LINEAR}, False),
    "qwen3_5_moe_text": (
        "Qwen3_5MoeTextConfig",
        "Qwen3_5MoeForCausalLM",
        {**SHAPE, **LINEAR, **EXPERTS},
        False,
    ),
    "qwen4_exp_text": (
        "Qwen4ExpTextConfig",
        "Qwen4ExpForCausalLM",
        {**SHAPE, **LINEAR, **EXPERTS, **INDEX},
        False,
    ),
    "qwen3_5": ("Qwen3_5Config", "Qwen3_5ForConditionalGeneration", {**SHAPE, **LINEAR}, False),
    "qwen3_5_moe": (
        "Qwen3_5MoeConfig",
        "Qwen3_5MoeForConditionalGeneration",
        {**SHAPE, **LINEAR, **EXPERTS},
        False,
    ),
    "qwen4_exp": (
        "Qwen4ExpConfig",
        "Qwen4ExpForConditionalGeneration",
        {**SHAPE, **LINEAR, **EXPERTS, **INDEX},
        False,
    ),
    "qwen3_vl": ("Qwen3VLConfig", "Qwen3VLForConditionalGeneration", SHAPE, False),
}


LOADABLE = [name for name in ARCHITECTURES if name != "qwen3_vl"]


PACKED = [name for name in LOADABLE if ARCHITECTURES[name][3]]


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Save a random checkpoint of an architecture, once; returns its folder."""
    saved: dict[str, Path] = {}
    tokenizer = AutoTokenizer.from_pretrained(bundled("nano-chat"))

    def make(name: str) -> Path:
        if name not in saved:
            config_class, model_class, sizes, _ = ARCHITECTURES[name]
            shape = {"vocab_size": len(tokenizer), **sizes}
            if "Conditional" in model_class:
                eyes = {**EYES, "deepstack_visual_indexes": [0]} if name == "qwen3_vl" else EYES
                shape = {"text_config": shape, "vision_config": eyes}
            torch.manual_seed(0)
            model = getattr(transformers, model_class)(getattr(transformers, config_class)(**shape))
            with torch.no_grad():
                for weight in model.parameters():
                    if weight.dim() > 1:
                        weight.mul_(4)
            saved[name] = tmp_path_factory.mktemp(name)
            model.save_pretrained(saved[name])
            tokenizer.save_pretrained(saved[name])
        return saved[name]

    return make


@pytest.mark.parametrize("name", LOADABLE)
def test_architectures_load(save: Callable[[str], Path], name: str) -> None:
    loaded = load(str(save(name)), device="cpu", chat=True)
    assert loaded.context == 2048
    assert loaded.dtype == torch.float32
    assert ChatTemplate(loaded).has_soft_switch
    assert load(str(save(name)), device="cpu", chat=True) is loaded


@pytest.mark.parametrize("name", [name for name in LOADABLE if name not in PACKED])
def test_embedding_and_reranking_run_no_hybrids(save: Callable[[str], Path], name: str) -> None:
    _held = load(str(save(name)), device="cpu", chat=True)  # also when chat holds it already
    with pytest.raises(
        ModelUnsupportedError, match=f"hybrid architecture {name!r}, which only ChatQwen runs"
    ):
        load(str(save(name)), device="cpu")


def test_a_model_without_a_text_model_is_refused(save: Callable[[str], Path]) -> None:
    with pytest.raises(ModelUnsupportedError, match="'qwen3_vl', which reads images and has no text model"):
        load(str(save("qwen3_vl")), chat=True)


@pytest.mark.parametrize("name", LOADABLE)
def test_greedy_tokens_equal_stock_generate(save: Callable[[str], Path], name: str) -> None:
    loaded = load(str(save(name)), device="cpu", chat=True)
    stock = AutoModelForCausalLM.from_pretrained(save(name), dtype=torch.float32).eval()
    prompt = ChatTemplate(loaded).prompt([asked("What is the tallest mountain of all?")]).tokens
    ends = sorted(end_ids(loaded))
    told = stock.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False, eos_token_id=ends)
    assert list(generate(loaded, prompt, Sampling(), max_tokens=24)) == told[0, len(prompt) :].tolist()


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_5_text", "qwen3_5"])
def test_yarn_equals_stock(save: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    loaded = load(str(save(name)), device="cpu", chat=True, context_window=6144)
    assert loaded.context == 6144
    folder = tmp_path / "stretched"
    shutil.copytree(save(name), folder)
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    text["max_position_embeddings"] = 6144
    text["rope_parameters"] |= {
        "rope_type": "yarn",
        "factor": 3.0,
        "original_max_position_embeddings": 2048,
    }
    (folder / "config.json").write_text(json.dumps(config))
    prompt = list(range(100, 160))
    plain, stretched = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        for path in (save(name), folder)
    )
    with torch.inference_mode():
        expected, unstretched = (m(torch.tensor([prompt])).logits[0, -1] for m in (stretched, plain))
    told = stretched.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, 60:].tolist()
    seen = Logits()
    list(generate(loaded, prompt, Sampling(), max_tokens=1, guide=seen))
    torch.testing.assert_close(seen.first, expected, atol=2e-4, rtol=1e-4)
    assert not torch.allclose(expected, unstretched, atol=1e-2)
    assert list(generate(loaded, prompt, Sampling(), max_tokens=8)) == told


class Logits:
    """A guide that only looks."""

    first: torch.Tensor

    def start(self) -> list[int]:
        return []

    def after(self, token: int) -> list[int]:
        return []

    def mask(self, logits: torch.Tensor) -> None:
        self.first = logits.clone()


def test_a_window_within_the_context_is_a_limit(save: Callable[[str], Path]) -> None:
    whole = load(str(save("qwen3")), device="cpu")
    limited = load(str(save("qwen3")), device="cpu", context_window=512)
    assert (whole.context, limited.context) == (2048, 512)
    assert limited.model.config.rope_parameters == whole.model.config.rope_parameters


def test_a_window_out_of_reach(save: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"context_window=8193 is more than 4 times the 2048 tokens .* 8192"):
        load(str(save("qwen3")), context_window=8193)


def test_qwen3_is_stretched_as_its_card_says(save: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "card"
    shutil.copytree(save("qwen3"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40960}))
    rope = load(str(folder), device="cpu", context_window=131072).model.config.rope_parameters
    card = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    assert rope.items() >= card.items()
    limited = load(str(folder), device="cpu", context_window=40960)
    assert limited.model.config.rope_parameters["rope_type"] == "default"
    (folder / "config.json").write_text(
        json.dumps({**config, "max_position_embeddings": 131072, "rope_parameters": {**rope, **card}})
    )
    with pytest.raises(InputError, match="the 32768 tokens"):
        load(str(folder), device="cpu", context_window=131073)


def test_the_catalog_knows_the_families() -> None:
    rows = {row.name: row for row in CHECKPOINTS if row.role == "chat"}
    assert len(rows) == sum(row.role == "chat" for row in CHECKPOINTS)
    for name, row in rows.items():
        assert row.thinks == ("Instruct" not in name)
        long = any(mark in name for mark in ("2507", "Next", "Coder", "3.5", "3.6", "3.8"))
        assert row.context == (262144 if long else 32768)
    assert rows["Qwen/Qwen3.8-27B"].efforts == ("low", "medium", "xhigh")


def test_the_profile_comes_from_the_catalog() -> None:
    profile = ChatQwen(model="Qwen/Qwen3.8-27B").profile or {}
    assert profile["reasoning_effort_levels"] == ["low", "medium", "xhigh"]
    assert profile["reasoning_effort_default"] == "xhigh"
    assert (profile["reasoning_output"], profile["max_input_tokens"]) == (True, 262144)
    instruct = ChatQwen(model="Qwen/Qwen3-4B-Instruct-2507", context_window=8192).profile or {}
    assert (instruct["reasoning_output"], instruct["max_input_tokens"]) == (False, 8192)
    assert "reasoning_effort_levels" not in instruct


@pytest.mark.parametrize("name", ["qwen2_moe", "qwen3_next", "qwen3_5", "qwen4_exp"])
def test_every_architecture_chats(save: Callable[[str], Path], name: str) -> None:
    llm = ChatQwen(model=str(save(name)), device="cpu", thinking=False, temperature=0, max_tokens=5)
    usage = llm.invoke("Hello").usage_metadata
    assert usage is not None
    assert 1 <= usage["output_tokens"] <= 5


def test_settings_of_chat_reach_the_checkpoint(save: Callable[[str], Path]) -> None:
    llm = ChatQwen(model=str(save("qwen3")), device="cpu", max_tokens=1, context_window=200)
    thought = AIMessage("Hi.", additional_kwargs={"reasoning_content": "Hm, hm. " * 5})
    chat = [HumanMessage("Hello"), thought, HumanMessage("Bye")]
    dropped, kept = (llm.invoke(chat, keep_thoughts=keep).usage_metadata for keep in (None, True))
    assert dropped is not None
    assert kept is not None
    assert kept["input_tokens"] > dropped["input_tokens"]
    with pytest.raises(ModelUnsupportedError, match="reasoning_effort='low', but there is no such setting"):
        llm.invoke("Hello", reasoning_effort="low")
    with pytest.raises(InputTooLongError, match="context of 200 tokens"):
        llm.invoke("Hello " * 200)


def test_embedders_and_rerankers_refuse_hybrids(save: Callable[[str], Path]) -> None:
    folder = str(save("qwen3_next"))
    with pytest.raises(ModelUnsupportedError, match="only ChatQwen runs"):
        QwenEmbeddings(model=folder).embed_query("Hello")
    with pytest.raises(ModelUnsupportedError, match="only ChatQwen runs"):
        QwenReranker(model=folder).score([("Hello", "Hello")])
