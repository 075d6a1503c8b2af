"""Checkpoints of seeded random weights: the shape of Qwen3-0.6B in bf16, and a tiny one to try things with.

Random weights say nothing about quality; arithmetic and memory traffic are those of the true model.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    END_OF_TEXT,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    embedding_query,
)
from tests import real_tokenizer

# The official reranker repository carries such a template for sentence-transformers. Jinja drops one
# final newline of a template, so the suffix is written as an expression.
CONTENT_OF = "{{{{ messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first }}}}"
RERANK_TEMPLATE = (
    f"{{{{ {RERANK_PREFIX!r} }}}}<Instruct>: {CONTENT_OF.format('system')}\n"
    f"<Query>: {CONTENT_OF.format('query')}\n<Document>: {CONTENT_OF.format('document')}"
    f"{{{{ {RERANK_SUFFIX!r} }}}}"
)

SIZES: dict[str, dict[str, Any]] = {
    "0.6b": {
        "vocab_size": 151936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
    },
    "tiny": {
        "vocab_size": 46080,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 40960,
    },
}


def folder(size: str = "0.6b", *, layers: int | None = None) -> Path:
    """Folder of a reranker, made at the first call on a machine (about 1.2 GB at 0.6b).

    Args:
        size: a key of `SIZES`.
        layers: instead of all.
    """
    place = _place(size if layers is None else f"{size}-{layers}-layers")
    if not (place / "tokenizer_config.json").exists():
        torch.manual_seed(0)
        changes = {} if layers is None else {"num_hidden_layers": layers}
        shape = {**SIZES[size], **changes}
        config = Qwen3Config(**shape, rope_theta=1_000_000, tie_word_embeddings=True)
        Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(place)
        tokenizer = _tokenizer(size)
        tokenizer.chat_template = RERANK_TEMPLATE
        tokenizer.save_pretrained(place)
    return place


# What hybrids have beside the sizes of their layers.
_LINEAR = {"linear_num_key_heads": 16, "linear_num_value_heads": 16}

HYBRIDS: dict[str, dict[str, Any]] = {
    "0.6b": {
        **SIZES["0.6b"],
        **_LINEAR,
        "intermediate_size": 3584,
        "num_hidden_layers": 24,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 256,
    },
    "tiny": {**SIZES["tiny"], **_LINEAR, "num_hidden_layers": 4},
}
"""Shapes of hybrids, by the `SIZES` that are near: the first is Qwen3.5-0.8B's, with Qwen3's vocabulary."""


def hybrid(size: str = "0.6b") -> Path:
    """Folder of a hybrid chat checkpoint, made at the first call on a machine (about 1.4 GB at 0.6b)."""
    place = _place(f"{size}-hybrid")
    if not (place / "tokenizer_config.json").exists():
        torch.manual_seed(0)
        config = Qwen3_5TextConfig(**HYBRIDS[size], tie_word_embeddings=True)
        Qwen3_5ForCausalLM(config).to(torch.bfloat16).save_pretrained(place)
        tokenizer = _tokenizer(size)
        tokenizer.chat_template = RERANK_TEMPLATE
        tokenizer.save_pretrained(place)
    return place


def chat(size: str = "0.6b") -> Path:
    """Folder of a chat checkpoint with the same weights, and the template of the bundled one."""
    place, weights = _place(f"{size}-chat"), folder(size)
    template = nano_folder("nano-chat")
    assert template is not None
    if not place.exists():
        place.mkdir()
        for file in weights.iterdir():
            (place / file.name).symlink_to(file)
        (place / "chat_template.jinja").unlink()
        (place / "chat_template.jinja").write_bytes((template / "chat_template.jinja").read_bytes())
    return place


def embedder(size: str = "0.6b") -> Path:
    """Folder of an embedder with the same weights, in the layout of the official repository.

    Its tokenizer ends every text with `END_OF_TEXT`, and its modules say to sentence-transformers that it
    reads plain text: from a bare Qwen3 folder that would wrap every text as a turn of a chat.
    """
    place, weights = _place(f"{size}-embedder"), folder(size)
    if (place / "tokenizer_config.json").exists():
        return place
    place.mkdir(exist_ok=True)
    for name in ("model.safetensors", "config.json"):
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(weights / name)
    for name, content in _modules(size).items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(json.dumps(content), encoding="utf-8")
    tokenizer = _tokenizer(size)
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {END_OF_TEXT}", special_tokens=[(END_OF_TEXT, end)]
    )
    tokenizer.save_pretrained(place)
    return place


def _place(name: str) -> Path:
    # The number is another one when a shape changes: a folder of the old shape may still be there.
    return Path(tempfile.gettempdir()) / f"qwen-agentkit-benchmark-2-{name}"


def _tokenizer(size: str) -> PreTrainedTokenizerFast:
    """The real one, which takes seconds to build, or for a tiny model the nano retrievers'."""
    if size != "tiny":
        return real_tokenizer.build()
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(nano_folder("nano-reranker"))
    return tokenizer


def _modules(size: str) -> dict[str, Any]:
    kinds = {
        "": "sentence_transformers.base.modules.transformer.Transformer",
        "1_Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "2_Normalize": "sentence_transformers.base.modules.normalize.Normalize",
    }
    return {
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(kinds.items())
        ],
        "sentence_bert_config.json": {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
        },
        "1_Pooling/config.json": {
            "embedding_dimension": SIZES[size]["hidden_size"],
            "pooling_mode": "lasttoken",
            "include_prompt": True,
        },
        "2_Normalize/config.json": {
            "module_input_name": "sentence_embedding",
            "module_output_name": "sentence_embedding",
        },
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {"query": embedding_query(DEFAULT_INSTRUCTION, ""), "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
