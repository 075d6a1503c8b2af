"""Attention to chosen blocks of tokens, as Qwen4 has it. Knows torch modules.

Tokens are read in blocks. A small index scores each complete block for each query by the mean of the block's
keys, and the query attends to the tokens of the best blocks and to those of the block that is not complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from qwen_agentkit.engine.forward.attention import attend_segment, with_past
from qwen_agentkit.engine.forward.layers import Attention, Norm, rotate

__all__ = ["SparseAttention"]

_Rotary = Callable[..., tuple[Tensor, Tensor]]


class SparseAttention(Attention):
    """Attention of a layer that has an index. Keys of the index are cached as further heads.

    Args:
        module: The attention of transformers.
        rotary: Gives cosines and sines of positions.
    """

    def __init__(self, module: Any, rotary: _Rotary) -> None:
        super().__init__(module)
        self._index = _Index(module.indexer, rotary)

    def __call__(
        self, rows: Tensor, cos: Tensor, sin: Tensor, *, lengths: Sequence[int], caches: Sequence[Any]
    ) -> Tensor:
        """The attention of a layer; `rows` and the result are (1, T, hidden)."""
        query, key, value, gate = self._prepare(rows[0], cos, sin)
        asked, known = self._index.project(rows[0], cos, sin)
        heads = -(-known.shape[-1] // self._dim)
        more = (
            pad(known, (0, heads * self._dim - known.shape[-1])).view(len(known), heads, -1).transpose(0, 1)
        )
        key, value = torch.cat((key, more)), torch.cat((value, torch.zeros_like(more)))
        out = torch.empty_like(query.transpose(0, 1))
        start = 0
        for length, cache in zip(lengths, caches, strict=True):
            part = slice(start, start + length)
            keys, values = with_past(cache, key[:, part], value[:, part])
            index = keys[self._groups :].transpose(0, 1).flatten(1)[:, : known.shape[-1]]
            out[part] = self._attend(
                query[:, part],
                keys[: self._groups],
                values[: self._groups],
                self._index.visible(asked[part], index),
            )
            start += length
        return self._finish(out, gate)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
        if visible is None:
            return attend_segment(query, keys, values, self._scaling)
        found = scaled_dot_product_attention(
            query[None],
            keys[None],
            values[None],
            attn_mask=visible[None, None],
            scale=self._scaling,
            enable_gqa=len(query) != len(keys),
        )
        return found[0].transpose(0, 1)


class _Index:
    def __init__(self, module: Any, rotary: _Rotary) -> None:
        self._rotary = rotary
        self._heads, self._dim = int(module.index_n_heads), int(module.index_head_dim)
        self._block, self._most = int(module.compress_ratio), int(module.block_topk)
        self._product: Callable[[Tensor], Tensor] = module.index_qk_proj.forward
        self._query_norm, self._key_norm = Norm(module.q_layernorm), Norm(module.k_layernorm)

    def project(self, rows: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries of the index, (T, heads, dim), and its keys, (T, dim)."""
        query, key = torch.split(self._product(rows), [self._heads * self._dim, self._dim], -1)
        return rotate(self._query_norm(torch.unflatten(query, -1, (self._heads, -1))), cos, sin), key

    def visible(self, query: Tensor, keys: Tensor) -> Tensor | None:
        """Return which tokens each query attends to, (new, past + new); None if to all before it.

        Args:
            query: Of the new tokens, (new, heads, dim).
            keys: Of all tokens, (past + new, dim).
        """
        new, total = len(query), len(keys)
        blocks = total // self._block
        if blocks <= self._most:
            return None
        pooled = self._pool(keys[: blocks * self._block]).float()
        scores = torch.relu(query.float().transpose(0, 1) @ pooled.t()).sum(0) / self._dim**0.5
        places = torch.arange(total - new, total, device=keys.device)
        seen = torch.arange(total, device=keys.device) <= places[:, None]
        # All queries whose last complete block is the same choose among the same blocks.
        for complete in range(max((total - new + 1) // self._block, self._most + 1), blocks + 1):
            first = max(complete * self._block - 1 - (total - new), 0)
            part = slice(first, min((complete + 1) * self._block - 1 - (total - new), new))
            chosen = scores[part, :complete].topk(self._most, -1).indices
            kept = torch.zeros(chosen.shape[0], complete, dtype=torch.bool, device=keys.device)
            kept.scatter_(1, chosen, True)
            seen[part, : complete * self._block] &= kept.repeat_interleave(self._block, 1)
        return seen

    def _pool(self, keys: Tensor) -> Tensor:
        """The keys of complete blocks: means, normed, at the position of a block's first token."""
        means = torch.unflatten(keys, 0, (-1, self._block)).float().mean(1).to(keys.dtype)
        places = torch.arange(0, len(keys), self._block, device=keys.device)[None]
        cos, sin = (table[0, :, None] for table in self._rotary(keys, places))
        sin[..., : sin.shape[-1] // 2].neg_()
        return rotate(self._key_norm(means)[:, None], cos, sin)[:, 0]
