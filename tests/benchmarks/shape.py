"""A checkpoint of the shape of Qwen3-0.6B: seeded random bf16 weights, the real tokenizer.

Random weights say nothing about quality; arithmetic and memory traffic are those of the true model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from qwen_agentkit.prompts import RERANK_PREFIX, RERANK_SUFFIX
from tests import real_tokenizer

# The official reranker repository carries such a template for sentence-transformers. Jinja drops one
# final newline of a template, so the suffix is written as an expression.
CONTENT_OF = "{{{{ messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first }}}}"
RERANK_TEMPLATE = (
    f"{{{{ {RERANK_PREFIX!r} }}}}<Instruct>: {CONTENT_OF.format('system')}\n"
    f"<Query>: {CONTENT_OF.format('query')}\n<Document>: {CONTENT_OF.format('document')}"
    f"{{{{ {RERANK_SUFFIX!r} }}}}"
)


def folder() -> Path:
    """Folder of the checkpoint, made at the first call on a machine (about 1.2 GB)."""
    place = Path(tempfile.gettempdir()) / "qwen-agentkit-benchmark-0.6b"
    if (place / "tokenizer_config.json").exists():
        return place
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40960,
        rope_theta=1_000_000,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(place)
    tokenizer = real_tokenizer.build()
    tokenizer.chat_template = RERANK_TEMPLATE
    tokenizer.save_pretrained(place)
    return place
