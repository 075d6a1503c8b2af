"""Random hybrid checkpoints of a few thousand weights, one of each architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer

from qwen_agentkit.catalog import nano_folder

_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 8,
}
_EXPERTS = {
    "num_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}
# Prompts longer than the budget are read sparsely. The index has longer heads than the attention.
_SPARSE = {
    "hc_count": 3,
    "hc_lowrank": 8,
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 24,
    "indexer_budget": 12,
    "indexer_compress_ratio": 4,
    "ple_layer_ids": [1, 3],
    "ngram_vocab_size_base": 64,
    "heads_per_ngram": 2,
    "split_ngram_parts": 1,
}

_CLASSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen3_next": ("Qwen3NextConfig", "Qwen3NextForCausalLM", _EXPERTS),
    "qwen3_5_text": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", {}),
    "qwen3_5_moe_text": ("Qwen3_5MoeTextConfig", "Qwen3_5MoeForCausalLM", _EXPERTS),
    "qwen4_exp_text": ("Qwen4ExpTextConfig", "Qwen4ExpForCausalLM", {**_EXPERTS, **_SPARSE}),
}

HYBRIDS = tuple(_CLASSES)


def save_hybrid(kind: str, folder: Path, **changes: Any) -> Path:
    """Save a checkpoint with nano-chat's tokenizer and template; returns its folder."""
    tokenizer = AutoTokenizer.from_pretrained(nano_folder("nano-chat"))
    config_class, model_class, sizes = _CLASSES[kind]
    shape = {
        **_SHAPE,
        **sizes,
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        **changes,
    }
    torch.manual_seed(1)
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**shape))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "conv1d" in name:
                weight.normal_(std=0.5)  # some start as zeros
            elif weight.dim() > 1:
                weight.mul_(3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
