"""Replacing linear layers frees each before the next is made."""

from __future__ import annotations

import weakref

from torch import nn

from qwen_agentkit.engine.weights.replacing import find_joined, replace_linears


def test_old_layers_are_freed_one_after_the_other() -> None:
    model = nn.ModuleList(
        nn.ModuleDict({name: nn.Linear(8, 8) for name in ("gate_proj", "up_proj", "down_proj")})
        for _ in range(6)
    )
    old = [weakref.ref(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)]
    alive: list[int] = []

    def make(layers: list[nn.Linear]) -> nn.Module:
        alive.append(sum(weight() is not None for weight in old))
        return nn.Identity()

    replace_linears(model, make)
    assert len(alive) == 12
    assert alive[-1] <= 3


def test_what_is_kept_is_not_joined() -> None:
    model = nn.ModuleDict({name: nn.Linear(8, 8) for name in ("q_proj", "k_proj", "v_proj")})
    key = model["k_proj"]
    replace_linears(model, lambda layers: nn.Linear(8, 8 * len(layers)), keep=["k_proj"])
    assert model["k_proj"] is key
    assert find_joined(list(model.values())) is None
    assert find_joined([model["q_proj"], model["v_proj"]]) is not None
