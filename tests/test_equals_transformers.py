"""What this package reads of a checkpoint by itself equals what transformers reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.checkpoint.jinja import compile_template
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.checkpoint.models import build_model
from qwen_agentkit.engine.checkpoint.template import chat_template
from qwen_agentkit.engine.checkpoint.tokenizer import read_tokenizer
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.forward.rotary import Rotary
from qwen_agentkit.engine.model_config import ModelConfig, read_config
from qwen_agentkit.errors import ModelUnsupportedError
from tests import family_templates as families
from tests.conftest import bundled

NANO = ("nano-chat", "nano-embedding", "nano-reranker")
TEXT = "Wörld e\u0301 12345 ١٢٣ متى القارب؟ 你好，世 ＡＢ \n\n\t x<think></think><tool_call><|im_end|>"
TEMPLATES = [
    name for name in vars(families) if name.isupper() and not name.startswith("_") and name != "TYPE_CHECKING"
]
SHAPE = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen2_moe": ("Qwen2Moe", {**EXPERTS, "shared_expert_intermediate_size": 48, "mlp_only_layers": [1]}),
    "qwen3_moe": ("Qwen3Moe", {**EXPERTS, "decoder_sparse_step": 2, "norm_topk_prob": True}),
}


def save(name: str, folder: Path, **changes: Any) -> Any:
    """Save a random model with the tokenizer of nano-chat, and return the stock model."""
    family, sizes = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SHAPE, **sizes, **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    model.save_pretrained(folder, max_shard_size="100KB")  # in parts, with an index
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(bundled("nano-chat") / file, folder)
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_hidden_states_and_logits(name: str, tied: bool, tmp_path: Path) -> None:
    stock = save(name, tmp_path, tie_word_embeddings=tied)
    assert (tmp_path / "model.safetensors.index.json").exists()
    tokens = torch.randint(300, (70,), generator=torch.Generator().manual_seed(1)).tolist()
    loaded = load(str(tmp_path), dtype="float32", device="cpu", chat=True)
    assert isinstance(loaded.model.config, ModelConfig)
    with torch.inference_mode():
        expected = stock.base_model(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1:]
        hidden = forward(loaded.model, [Segment(tokens)])
        torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
        logits = loaded.model.lm_head(hidden)
        torch.testing.assert_close(logits, stock.lm_head(expected), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_head_is_the_table_of_the_embeddings(tied: bool, tmp_path: Path) -> None:
    save("qwen3", tmp_path, tie_word_embeddings=tied)
    model = build_model(identify(str(tmp_path), device="cpu"), head=True)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


def test_a_checkpoint_without_a_head_is_an_embedder(tmp_path: Path) -> None:
    AutoModel.from_config(transformers.Qwen3Config(**SHAPE)).save_pretrained(tmp_path)
    shutil.copy(bundled("nano-chat") / "tokenizer.json", tmp_path)
    stock = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    loaded = load(str(tmp_path), dtype="float32", device="cpu", head=False)
    with torch.inference_mode():
        expected = stock(input_ids=torch.tensor([[1, 2, 3]])).last_hidden_state[0, -1:]
    torch.testing.assert_close(forward(loaded.model, [Segment([1, 2, 3])]), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ModelUnsupportedError, match=r"lacks 1 of the weights .* 'lm_head\.weight'"):
        load(str(tmp_path), dtype="float32", device="cpu")


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 1e6},
        {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 2048},
        {
            **{
                "rope_type": "yarn",
                "rope_theta": 1e4,
                "factor": 2.5,
                "original_max_position_embeddings": 512,
            },
            **{"beta_fast": 16, "beta_slow": 2, "attention_factor": 1.1},
        },
        {
            **{"rope_type": "yarn", "rope_theta": 1e4, "factor": 8, "original_max_position_embeddings": 512},
            **{"mscale": 0.7, "mscale_all_dim": 1.2, "truncate": False},
        },
    ],
)
def test_positions(rope: dict[str, Any]) -> None:
    from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

    config = transformers.Qwen3Config(head_dim=64, max_position_embeddings=8192, rope_parameters=dict(rope))
    stock = Qwen3RotaryEmbedding(config)
    rows, positions = torch.zeros(1, 5, 8), torch.tensor([[0, 1, 77, 4095, 8191]])
    ours = Rotary(rope, 64, torch.device("cpu"))(rows, positions)
    for mine, theirs in zip(ours, stock(rows, positions), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("qwen2", {}),
        ("qwen3", {"rope_scaling": {"type": "yarn", "factor": 2.0}, "rope_theta": 5e6}),
        ("qwen3", {"use_sliding_window": True, "max_window_layers": 2}),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 3, "torch_dtype": "bfloat16"}),
        ("qwen2_moe", {"use_sliding_window": True, "max_window_layers": 3}),
        ("qwen3_moe", {"head_dim": 32, "num_experts": 8}),
    ],
)
def test_settings_that_a_file_leaves_out(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **SHAPE, **changes}))
    ours, stock = read_config(tmp_path, "x", chat=True), AutoConfig.from_pretrained(tmp_path)
    assert isinstance(ours, ModelConfig)
    for name in ("hidden_size", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "dtype"):
        assert getattr(ours, name) == getattr(stock, name), name
    assert ours.head_dim == (getattr(stock, "head_dim", None) or 16)
    assert ours.rope_parameters.items() >= stock.rope_parameters.items()
    assert ours.layer_types == (getattr(stock, "layer_types", None) or ["full_attention"] * 4)


def test_unusual_settings_are_left_to_transformers(tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    rope = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    (tmp_path / "config.json").write_text(json.dumps({**config, "rope_parameters": rope}))
    stock = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    loaded = load(str(tmp_path), dtype="float32", device="cpu", chat=True)
    assert not isinstance(loaded.model.config, ModelConfig)
    with torch.inference_mode():
        expected = stock(input_ids=torch.tensor([[1, 2, 3]])).last_hidden_state[0, -1:]
    torch.testing.assert_close(forward(loaded.model, [Segment([1, 2, 3])]), expected, atol=1e-5, rtol=1e-5)


def test_a_weight_of_another_shape_is_named(tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 301}))
    with pytest.raises(ModelUnsupportedError, match=r"embed_tokens.* has the shape \(300, 64\).*\(301, 64\)"):
        load(str(tmp_path))


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    save("qwen3", tmp_path)
    part = min(tmp_path.glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ModelUnsupportedError, match=f"{part.name}' cannot be read"):
        load(str(tmp_path))


def test_token_ids_of_nano() -> None:
    for name in NANO:
        _check_tokens(bundled(name), AutoTokenizer.from_pretrained(bundled(name)))


def test_token_ids_of_qwen3(real_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    real_tokenizer.save_pretrained(tmp_path)
    _check_tokens(tmp_path, AutoTokenizer.from_pretrained(tmp_path))


def _check_tokens(folder: Path, stock: Any) -> None:
    ours = read_tokenizer(folder, "ours")
    ids = ours.encode(TEXT)
    assert ids == stock.encode(TEXT, add_special_tokens=False)
    assert ours.decode(ids) == stock.decode(ids)
    assert ours.eos_token_id == stock.eos_token_id
    assert len(ours) == len(stock)
    assert ours.chat_template == stock.chat_template
    assert {n: str(t) for n, t in ours.added_tokens_decoder.items()} == {
        n: str(t) for n, t in stock.added_tokens_decoder.items()
    }


CHATS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hello"}],
    [
        {"role": "system", "content": "Be <b>kind</b> & brief."},
        {"role": "user", "content": "متى؟"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"type": "function", "function": {"name": "look", "arguments": {"q": "ä<", "n": 1}}}
            ],
        },
        {"role": "tool", "content": '{"a": 1}'},
        {"role": "assistant", "content": "At 9.", "tool_calls": None},
        {"role": "user", "content": "And?"},
    ],
]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("thinking", [None, True, False])
def test_rendered_prompts(name: str, thinking: bool | None) -> None:
    stock = AutoTokenizer.from_pretrained(bundled("nano-chat"))
    stock.chat_template = getattr(families, name)
    loaded = load("nano-chat", chat=True)
    tokenizer = replace(loaded.tokenizer, chat_template=getattr(families, name))
    template = chat_template(replace(loaded, tokenizer=tokenizer))
    variables = {} if thinking is None else {"enable_thinking": thinking}
    for messages in CHATS:
        for tools in ([], [TOOL]):
            expected = stock.apply_chat_template(
                messages, tools=tools or None, add_generation_prompt=True, tokenize=False, **variables
            )
            assert template._render(messages, tools, variables) == expected


def test_what_templates_may_use() -> None:
    source = (
        "{%- for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ m | tojson }}{% endfor -%}"
        "{% generation %}answer{% endgeneration %}{{ dict(a=1) | tojson(indent=1) }}{{ eos_token }}"
        "{%- set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}{{ strftime_now('%Y') | length }}"
    )
    stock = AutoTokenizer.from_pretrained(bundled("nano-chat"))
    messages = [{"role": "user", "content": "<é>"}] * 3
    expected = stock.apply_chat_template(messages, chat_template=source, tokenize=False)
    ours = compile_template(source).render(messages=messages, **stock.special_tokens_map)
    assert ours == expected


def test_a_prompt_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from qwen_agentkit import ChatQwen
    from qwen_agentkit.engine.checkpoint.template import ChatTemplate

    llm, renders = ChatQwen(model="nano", max_tokens=1), []
    llm.invoke("Hello")  # the abilities of the template are found out here
    render = ChatTemplate._render
    monkeypatch.setattr(ChatTemplate, "_render", lambda *args: renders.append(1) or render(*args))
    llm.invoke("Hello")
    assert renders == [1]
