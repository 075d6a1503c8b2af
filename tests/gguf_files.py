"""GGUF files of small checkpoints, laid out as llama.cpp's converter lays out Qwen3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

# llama.cpp's kinds of tokens.
_NORMAL, _UNUSED, _CONTROL, _USER = 1, 5, 3, 4


def write_gguf(
    folder: Path,
    target: Path,
    kind: str = "F32",
    *,
    architecture: str = "qwen3",
    splits: str = "qwen2",
    extra: dict[str, np.ndarray] | None = None,
    without: str | None = None,
    embeds: bool = False,
) -> Path:
    """Write a qwen3 checkpoint as one GGUF file.

    Args:
        folder: The checkpoint.
        target: The file.
        kind: A type of `gguf.GGMLQuantizationType` for the matrices, such as "Q8_0"; the rest stays F32.
        architecture: What the file says it is.
        splits: How it says that texts are split.
        extra: Tensors to add.
        without: Tensors to leave out, by the start of their names.
        embeds: Whether it is an embedder: every text gets a final <|endoftext|>, whose vector is the text's.
    """
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    writer = gguf.GGUFWriter(target, architecture)
    writer.add_name(folder.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_tokenizer(writer, folder, config.vocab_size, splits, embeds)
    if embeds:
        writer.add_pooling_type(gguf.PoolingType.LAST)
    mixes = hasattr(config, "num_experts")
    if mixes:
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    kinds = gguf.MODEL_ARCH
    names = gguf.get_tensor_name_map(kinds.QWEN3MOE if mixes else kinds.QWEN3, config.num_hidden_layers)
    wanted = gguf.GGMLQuantizationType[kind]
    for name, weight in _apart(model.state_dict()):
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        base, _, end = name.rpartition(".")
        array = weight.numpy()
        block = gguf.GGML_QUANT_SIZES[wanted][0]
        use = wanted if array.ndim > 1 and array.shape[-1] % block == 0 else gguf.GGMLQuantizationType.F32
        called = f"{names.get_name(base)}.{end}"
        if without is None or not called.startswith(without):
            writer.add_tensor(called, np.ascontiguousarray(gguf.quantize(array, use)), raw_dtype=use)
    for called, array in (extra or {}).items():
        writer.add_tensor(called, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _apart(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Take gates and projections of experts apart, as llama.cpp has them."""
    for name, weight in weights.items():
        if name.endswith(".gate_up_proj"):
            for part, half in zip(("gate_proj", "up_proj"), weight.chunk(2, 1), strict=True):
                yield f"{name.removesuffix('gate_up_proj')}{part}.weight", half
        else:
            yield (f"{name}.weight" if name.endswith(".experts.down_proj") else name), weight


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path, size: int, splits: str, embeds: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    kinds = [
        (_CONTROL if added[i].special else _USER) if i in added else _NORMAL if i in by_id else _UNUSED
        for i in range(size)
    ]
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splits)
    writer.add_token_list([by_id.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>") if embeds else tokenizer.eos_token_id
    writer.add_eos_token_id(end)
    writer.add_add_eos_token(embeds)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
