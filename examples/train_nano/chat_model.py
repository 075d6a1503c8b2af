"""The shape of nano-chat, and a forward pass that also shows the attention of chosen heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen3Config, Qwen3ForCausalLM

WIDTH, HEAD = 272, 64
THETA = 1e12  # a large base: many pairs turn so slowly that contents can be compared over a thousand tokens


def config(vocabulary: int, im_end: int, pad: int) -> Qwen3Config:
    """Five layers, 272 wide."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=HEAD,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        attention_dropout=0.0,
        use_cache=True,
        bos_token_id=None,
        eos_token_id=im_end,
        pad_token_id=pad,
    )


def rotary() -> Tensor:
    """The angle by which each pair turns a token."""
    return THETA ** (-torch.arange(0, HEAD, 2, dtype=torch.float32) / HEAD)


@dataclass
class Watch:
    """A head whose attention is wanted.

    For each (row, query) pair, rows ascending, the log probabilities over the keys.
    """

    layer: int
    head: int
    batch: Tensor
    query: Tensor


def _norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def forward(model: Qwen3ForCausalLM, ids: Tensor, watches: list[Watch]) -> tuple[Tensor, list[Tensor]]:
    """Last hidden states (normalized) and the attention of the watched heads; rows are padded on the right.

    The same sums as transformers' own forward, but padding needs no mask here, and single attention rows
    can be had.
    """
    length = ids.shape[1]
    body = model.model
    x = body.embed_tokens(ids)
    angle = torch.arange(length, dtype=torch.float32)[:, None] * rotary()[None]
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)

    def turn(t: Tensor) -> Tensor:
        return t * cos + torch.cat([-t[..., HEAD // 2 :], t[..., : HEAD // 2]], -1) * sin

    seen: list[Tensor] = [ids] * len(watches)
    for number, layer in enumerate(body.layers):
        a = layer.self_attn
        h = _norm(x, layer.input_layernorm.weight)
        shape = (*ids.shape, -1, HEAD)
        q = turn(_norm(a.q_proj(h).view(shape), a.q_norm.weight).transpose(1, 2))
        k = turn(_norm(a.k_proj(h).view(shape), a.k_norm.weight).transpose(1, 2))
        v = a.v_proj(h).view(shape).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + a.o_proj(out.transpose(1, 2).reshape(*ids.shape, -1))
        h = _norm(x, layer.post_attention_layernorm.weight)
        x = x + layer.mlp.down_proj(F.silu(layer.mlp.gate_proj(h)) * layer.mlp.up_proj(h))
        for index, watch in enumerate(watches):
            if watch.layer == number and len(watch.batch):
                # Row by row: gathering the keys of every query would move far more memory than the sums need.
                counts = torch.bincount(watch.batch, minlength=len(ids)).tolist()
                parts = zip(range(len(ids)), watch.query.split(counts), strict=True)
                scores = torch.cat(
                    [q[b, watch.head, at] @ k[b, watch.head].T for b, at in parts]
                ) / math.sqrt(HEAD)
                future = torch.arange(length)[None] > watch.query[:, None]
                seen[index] = scores.masked_fill(future, -1e4).log_softmax(-1)
    return _norm(x, body.norm.weight), seen
