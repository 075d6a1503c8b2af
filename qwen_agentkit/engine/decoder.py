"""The decoder of Qwen2 and Qwen3, dense and MoE, over a packed row. Knows torch modules.

Modules and weights are those of stock transformers, and so are the numbers, to rounding. What is between
the matrix products passes over memory less often than there, and the last layer finishes only the positions
that are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qwen_agentkit.engine.attention import Segment, attend
from qwen_agentkit.engine.computing import stop_if_unwanted
from qwen_agentkit.engine.kv import LayerCache

__all__ = ["pack_decoder"]


def pack_decoder(model: PreTrainedModel) -> None:
    """Let the decoder of a model read packed rows.

    It is then called with `input_ids` and `position_ids`, (1, T), and the `segments` of the row, and gives
    the hidden states that are read, after the final norm, (1, rows, hidden).
    """
    decoder: Any = model.base_model
    decoder.forward = partial(_decode, decoder)


def _decode(decoder: Any, input_ids: Tensor, position_ids: Tensor, segments: Sequence[Segment]) -> Tensor:
    rows: Tensor = decoder.embed_tokens(input_ids)
    cos, sin = (table[0, :, None] for table in decoder.rotary_emb(rows, position_ids))
    sin[..., : sin.shape[-1] // 2].neg_()
    last = len(decoder.layers) - 1
    lengths = [len(segment.tokens) for segment in segments]
    caches = [segment.layers(last + 1) for segment in segments]
    for number, layer in enumerate(decoder.layers):
        stop_if_unwanted()
        normed = _norm(layer.input_layernorm, rows)
        seen = [of_layers[number] for of_layers in caches]
        attended = _attend(layer.self_attn, normed, cos, sin, lengths=lengths, caches=seen)
        if number == last:
            read = _read_positions(segments, rows.device)
            rows, attended = rows[:, read], attended[:, read]
        rows = rows + attended
        rows = rows + layer.mlp(_norm(layer.post_attention_layernorm, rows))
    return _norm(decoder.norm, rows)


def _attend(
    module: Any,
    rows: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    lengths: Sequence[int],
    caches: Sequence[LayerCache | None],
) -> Tensor:
    """The attention of a layer; `rows` and the result are (1, T, hidden)."""
    heads = (rows.shape[1], -1, module.head_dim)
    query, key, value = (
        project(rows).view(heads) for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    if hasattr(module, "q_norm"):  # Qwen3's; Qwen2 has none
        query, key = _norm(module.q_norm, query), _norm(module.k_norm, key)
    query, key, value = (
        states.transpose(0, 1) for states in (_rotate(query, cos, sin), _rotate(key, cos, sin), value)
    )
    out = attend(query, key, value, module.scaling, lengths=lengths, caches=caches)
    attended: Tensor = module.o_proj(out.flatten(1)[None])
    return attended


def _norm(module: Any, states: Tensor) -> Tensor:
    """RMSNorm, computed in fp32 like the stock one."""
    wide = states.float()  # fp32 is not copied
    scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
    scale.mul_(1 / states.shape[-1]).add_(module.variance_epsilon).rsqrt_()
    normed = wide * scale if wide is states else wide.mul_(scale).to(states.dtype)
    return normed.mul_(module.weight)


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of (T, heads, dim); halves are rotated, not pairs.

    `cos` and `sin` are (T, 1, dim), and `sin` has its sign changed in the first half.
    """
    half = states.shape[-1] // 2
    return torch.addcmul(states * cos, states.roll(half, -1), sin)


def _read_positions(segments: Sequence[Segment], device: torch.device) -> Tensor:
    positions: list[int] = []
    end = 0
    for segment in segments:
        end += len(segment.tokens)
        positions.extend(range(end - segment.read, end))
    return torch.tensor(positions, dtype=torch.long, device=device)
