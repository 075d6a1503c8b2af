"""The gated delta rule: a state that maps keys to values, faded and corrected by every token. Knows tensors.

S' = f S + k (b (v - f S^T k))^T, read by q^T S', with a fade f = exp(decay) and a strength b for each token:
Gated DeltaNet, arXiv:2412.06464. Many tokens are computed in chunks by matrix products, as its section 3.3
and arXiv:2406.06484 describe. All is fp32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["delta_rule", "delta_steps"]

# Tokens of a chunk. Longer ones save steps of the state, and cost a larger system of equations.
_CHUNK = 64


def delta_rule(
    query: Tensor, key: Tensor, value: Tensor, decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply the rule to the tokens of one sequence.

    Args:
        query: (tokens, heads, key dimension), like `key`.
        key: Of length one in each head.
        value: (tokens, heads, value dimension).
        decay: Logarithm of the fade before each token, (tokens, heads).
        beta: Strength of each correction, like `decay`.
        state: Before the first token, (heads, key dimension, value dimension).

    Returns:
        What the queries read, like `value`, and the state after the last token.
    """
    tokens, size = len(query), min(len(query), _CHUNK)
    more = -tokens % size  # of tokens that change nothing
    query, key, value = (
        pad(x.transpose(0, 1), (0, 0, 0, more)).reshape(x.shape[1], -1, size, x.shape[2])
        for x in (query, key, value)
    )
    decay, beta = (pad(x.t(), (0, more)).reshape(x.shape[1], -1, size) for x in (decay, beta))
    faded = decay.cumsum(-1)  # since the chunk began
    # The fade between two tokens of a chunk; later tokens are cut off twice, so that exp stays finite.
    between = (faded[..., :, None] - faded[..., None, :]).tril_().exp_().tril_()
    fade, last = faded.exp()[..., None], faded[..., -1:]
    strong = key * beta[..., None]
    corrections = torch.linalg.solve_triangular(
        strong @ key.mT * between,
        torch.cat((value * beta[..., None], strong * fade), -1),
        upper=False,
        unitriangular=True,
    )
    values, keys = corrections.split((value.shape[-1], key.shape[-1]), -1)
    inside = query @ key.mT * between
    query, written = query * fade, (key * (last - faded).exp()[..., None]).mT
    whole = last.exp()[..., None]
    out = torch.empty_like(value)
    for chunk in range(out.shape[1]):
        new = values[:, chunk] - keys[:, chunk] @ state
        out[:, chunk] = torch.baddbmm(query[:, chunk] @ state, inside[:, chunk], new)
        state = torch.baddbmm(state * whole[:, chunk], written[:, chunk], new)
    return out.flatten(1, 2)[:, :tokens].transpose(0, 1), state


def delta_steps(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    decay: Tensor,
    beta: Tensor,
    states: Sequence[Tensor],
    room: Sequence[Tensor | None],
) -> tuple[Tensor, list[Tensor]]:
    """Apply the rule to one token of each of several sequences; shapes as in `delta_rule`.

    Args:
        query: (sequences, heads, key dimension), like `key`.
        key: Of length one in each head.
        value: (sequences, heads, value dimension).
        decay: Logarithm of the fade, (sequences, heads).
        beta: Strength of the correction, like `decay`.
        states: Of each sequence.
        room: Memory for each new state; None for fresh memory.

    Returns:
        What the queries read, (sequences, heads, value dimension), and the state of each sequence.
    """
    fade, both = decay.exp()[..., None], torch.stack((key, query), 2)
    read = torch.stack([torch.bmm(two, state) for two, state in zip(both, states, strict=True)])
    known, asked = (read * fade[..., None]).unbind(2)
    new = (value - known) * beta[..., None]
    out = torch.addcmul(asked, (query * key).sum(-1, keepdim=True), new)
    after = [
        torch.mul(state, f[..., None], out=into).addcmul_(k[..., None], n[:, None])
        for state, f, k, n, into in zip(states, fade, key, new, room, strict=True)
    ]
    return out, after
