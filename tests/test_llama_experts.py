"""Mixtures of experts as GGUF files: llama.cpp writes what the engine writes from the checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen3MoeConfig, Qwen3MoeForCausalLM

from qwen_agentkit import ChatQwen
from tests.conftest import bundled
from tests.gguf_files import write_gguf

QUESTIONS = ["Hello, who are you?", "متى تفتح المكتبة؟", "你好，世界"]


def test_experts_write_the_same_by_llama_cpp(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundled("nano-chat"))
    config = Qwen3MoeConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        moe_intermediate_size=32,
        num_experts=6,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
    )
    torch.manual_seed(7)
    model = Qwen3MoeForCausalLM(config)
    for weight in model.parameters():
        weight.data = weight.data * 4 if weight.dim() > 1 else weight.data
    folder = tmp_path / "experts"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = write_gguf(folder, tmp_path / "experts.gguf", architecture="qwen3moe")
    whole, mapped = (
        ChatQwen(model=str(model), temperature=0, max_tokens=24, device="cpu", **some)
        for model, some in ((folder, {"dtype": "float32"}), (file, {}))
    )
    told = [whole.invoke(text).text for text in QUESTIONS]
    assert all(told)
    assert [mapped.invoke(text).text for text in QUESTIONS] == told
