"""Weights in oneDNN's layout give what plain linear layers give, for one row and for many."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qwen_agentkit.engine.weights import linear
from qwen_agentkit.engine.weights.kernels import can_pack


@pytest.mark.parametrize("bf16_is_fast", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 8, 191, 192, 300])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_packed_weights_multiply_like_plain_ones(
    monkeypatch: pytest.MonkeyPatch, bf16_is_fast: bool, bias: bool, rows: int, dtype: torch.dtype
) -> None:
    if not can_pack(dtype):
        pytest.skip(f"oneDNN has no layout for {dtype} on this processor")
    monkeypatch.setattr(linear, "bf16_is_fast", lambda: bf16_is_fast)
    torch.manual_seed(0)
    plain = nn.Linear(96, 64, bias=bias, dtype=dtype)
    model = nn.Sequential(plain, nn.Identity())
    linear.pack_linears(model)
    assert model[0] is not plain
    data = torch.randn(1, rows, 96, dtype=dtype)
    with torch.inference_mode():
        wanted = nn.functional.linear(data.double(), plain.weight.double())
        wanted = wanted if plain.bias is None else wanted + plain.bias.double()
        got = model(data)
    assert got.dtype == dtype
    # One rounding to the eight bits of bf16 as in the plain layer, or to the 24 of fp32 in each sum.
    close = (2**-8, 2**-9) if dtype == torch.bfloat16 else (1e-5, 1e-5)
    torch.testing.assert_close(got.double(), wanted, rtol=close[0], atol=close[1])
