"""Mixtures of experts: tokens grouped by expert, one product an expert, plain and quantized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextSparseMoeBlock

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.forward.layers import make_mlp
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.weights.linear import pack_linears
from tests.conftest import SaveModel
from tests.fakes.hybrids import save_hybrid
from tests.processors import needs_int4, needs_int8

FEWER_BITS = [pytest.param("int8", marks=needs_int8), pytest.param("int4", marks=needs_int4)]


@pytest.fixture
def block() -> Any:
    """A random layer of 16 experts, two a token, and one that reads every token."""
    torch.manual_seed(0)
    config = Qwen3NextConfig(
        hidden_size=64,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=48,
        num_experts=16,
        num_experts_per_tok=2,
        norm_topk_prob=True,
    )
    module = Qwen3NextSparseMoeBlock(config).eval().requires_grad_(False)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.2)
    return module


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("tokens", [0, 1, 2, 7, 100])
def test_equal_to_the_stock_block(block: Any, tokens: int, packed: bool) -> None:
    rows = torch.randn(1, tokens, 64)
    expected = block(rows) if tokens else rows
    if packed:
        pack_linears(block)
    torch.testing.assert_close(make_mlp(block)(rows), expected, atol=1e-5, rtol=1e-5)


def test_one_product_an_expert_and_none_for_others(block: Any) -> None:
    pack_linears(block)
    used: list[tuple[int, int]] = []

    def watch(number: int, product: nn.Module) -> None:
        inner = product.forward

        def count(rows: Tensor) -> Tensor:
            used.append((number, len(rows)))
            return inner(rows)

        product.forward = count  # type: ignore[method-assign]

    for number, product in enumerate(block.experts.down_proj):
        watch(number, product)
    rows = torch.randn(1, 1, 64).expand(1, 9, 64)  # all alike, so all choose the same two
    make_mlp(block)(rows)
    assert len(used) == 2
    assert {count for _, count in used} == {9}


def _bytes(loaded: Loaded) -> int:
    tensors = [*loaded.model.parameters(), *loaded.model.buffers()]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


@pytest.mark.parametrize("quantize", FEWER_BITS)
def test_quantized_experts_are_near_the_plain_ones_and_smaller(tmp_path: Path, quantize: str) -> None:
    torch.manual_seed(1)
    config = Qwen3MoeConfig(
        vocab_size=8192,
        hidden_size=128,
        intermediate_size=128,
        moe_intermediate_size=64,
        num_experts=8,
        num_experts_per_tok=2,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=True,
    )
    folder = save_hybrid("qwen3_5_moe_text", tmp_path)  # for its tokenizer
    (folder / "config.json").unlink()
    Qwen3MoeForCausalLM(config).save_pretrained(folder)
    plain = load(str(folder), device="cpu", dtype="float32", chat=True)
    rounded = load(str(folder), device="cpu", dtype="float32", chat=True, quantize=quantize)
    tokens = list(range(300, 340))
    ours, theirs = (forward(one.model, [Segment(tokens, read=40)]).clone() for one in (rounded, plain))
    error = (ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)
    assert 0 < error.mean() < (0.03 if quantize == "int8" else 0.2)
    assert _bytes(rounded) < _bytes(plain) / 2
    assert len(list(generate(rounded, tokens, Sampling(), max_tokens=5))) == 5


@pytest.mark.parametrize("quantize", FEWER_BITS)
@pytest.mark.parametrize("kind", ["qwen3_next", "qwen3_5_moe_text", "qwen4_exp_text"])
def test_quantized_hybrids_write(tmp_path: Path, kind: str, quantize: str) -> None:
    folder = save_hybrid(kind, tmp_path)
    plain = load(str(folder), device="cpu", dtype="float32", chat=True)
    rounded = load(str(folder), device="cpu", dtype="float32", chat=True, quantize=quantize)
    assert len(list(generate(rounded, list(range(300, 350)), Sampling(), max_tokens=20))) == 20
    assert _bytes(rounded) < _bytes(plain)


def test_experts_of_our_own_modules_are_packed_too(save_random_model: SaveModel) -> None:
    loaded = load(str(save_random_model("qwen3_moe")), device="cpu", dtype="float32")
    experts = loaded.model.model.layers[0].mlp.experts
    assert isinstance(experts.gate_up_proj, nn.ModuleList | nn.Parameter)
    assert len(experts.gate_up_proj) == 4
