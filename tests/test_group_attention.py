"""Short segments share the operations of their attention, and get what each gets alone."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.forward import attention
from qwen_agentkit.engine.forward.group_attention import grouped
from qwen_agentkit.engine.forward.kv import LayerCache

DIM = 16


def past_of(tokens: int, groups: int, dtype: torch.dtype) -> LayerCache | None:
    if not tokens:
        return None
    keys, values = (torch.randn(groups, tokens, DIM).to(dtype) for _ in "kv")
    return LayerCache(torch.empty(2, groups, 0, DIM, dtype=dtype), keys, values)


def attend(
    query: Tensor, key: Tensor, value: Tensor, lengths: list[int], caches: list[LayerCache | None]
) -> Tensor:
    return run_on_device(
        "cpu", lambda: attention.attend(query, key, value, 0.25, lengths=lengths, caches=caches).float()
    )


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.bfloat16, 0.04)])
def test_a_group_gets_what_each_gets_alone(dtype: torch.dtype, most: float) -> None:
    dice = random.Random(3)
    torch.manual_seed(3)
    for _ in range(60):
        groups, share = dice.choice([1, 2]), dice.choice([1, 2, 3])
        lengths = [dice.choice([1, 2, 3, 9, 17, 30, 64, 70]) for _ in range(dice.randint(1, 14))]
        some = [past_of(dice.choice([0, 1, 5, 40]), groups, dtype) for _ in range(2)]
        caches = [dice.choice(some) for _ in lengths] if dice.random() < 0.5 else [some[0]] * len(lengths)
        query = torch.randn(groups * share, sum(lengths), DIM).to(dtype)
        key, value = (torch.randn(groups, sum(lengths), DIM).to(dtype) for _ in "kv")
        together = attend(query, key, value, lengths, caches)
        start = 0
        for length, cache in zip(lengths, caches, strict=True):
            part = slice(start, start + length)
            alone = attend(query[:, part], key[:, part], value[:, part], [length], [cache])
            assert (together[part] - alone).abs().max() <= most, (lengths, length)
            start += length


def test_groups_read_one_past_and_are_small() -> None:
    past, other = past_of(8, 2, torch.float32), past_of(8, 2, torch.float32)
    assert list(grouped([5] * 4, [past] * 4, 2)) == [(0, 4)]
    assert list(grouped([5] * 4, [None] * 4, 2)) == [(0, 4)]
    assert list(grouped([5] * 6, [past] * 3 + [other] * 3, 2)) == [(0, 3), (3, 6)]
    assert list(grouped([5, 5, 5, 65, 5, 5, 5], [past] * 7, 2)) == [(0, 3), (3, 4), (4, 7)]
    # One long segment among short ones would fill up every other.
    assert list(grouped([2] * 6 + [60] + [2] * 3, [past] * 10, 2))[:2] == [(0, 6), (6, 7)]
    # Segments that put something into their cache, and single tokens, are by themselves.
    writing = LayerCache(torch.empty(2, 2, 5, DIM), torch.empty(2, 13, DIM), torch.empty(2, 13, DIM))
    assert list(grouped([5] * 3, [writing] * 3, 2)) == [(0, 1), (1, 2), (2, 3)]
    assert list(grouped([1] * 3, [past] * 3, 2)) == [(0, 1), (1, 2), (2, 3)]
    wide = past_of(4000, 2, torch.float32)
    sizes = [last - first for first, last in grouped([50] * 40, [wide] * 40, 16)]
    assert sum(sizes) == 40
    assert all(size == 1 or 16 * size * 50 * 4050 <= 1 << 21 for size in sizes)
