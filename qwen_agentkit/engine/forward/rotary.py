"""Rotary positions, plain or stretched by YaRN. Knows numbers, no model.

RoPE: arXiv:2104.09864. YaRN: arXiv:2309.00071, sections 3.2 to 3.4. Both give the numbers of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Rotary"]


class Rotary(nn.Module):
    """The tables of cosines and sines by which queries and keys are turned.

    Args:
        parameters: `rope_parameters` of a configuration.
        dim: Dimension of a head.
        device: Where the frequencies are.
    """

    inv_freq: Tensor

    def __init__(self, parameters: Mapping[str, Any], dim: int, device: torch.device) -> None:
        super().__init__()
        frequencies, self.scaling = _frequencies(parameters, dim)
        self.register_buffer("inv_freq", frequencies.to(device), persistent=False)

    def forward(self, rows: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines in the number type of `rows`.

        Args:
            rows: Any states of the model.
            positions: Of each token in its sequence, (1, T).

        Returns:
            Both (1, T, dim).
        """
        angles = positions[..., None].float() * self.inv_freq
        angles = torch.cat((angles, angles), -1)
        return (angles.cos() * self.scaling).to(rows.dtype), (angles.sin() * self.scaling).to(rows.dtype)


def _frequencies(parameters: Mapping[str, Any], dim: int) -> tuple[Tensor, float]:
    """Return the frequencies of the angles, (dim / 2,) in fp32, and the factor on cosines and sines."""
    base = parameters["rope_theta"]
    wavelengths = base ** (torch.arange(0, dim, 2, dtype=torch.float) / dim)
    if parameters["rope_type"] == "default":
        return 1.0 / wavelengths, 1.0
    factor = parameters["factor"]
    kept = 1 - _ramp(*_corrected_range(parameters, dim, base), dim // 2)
    stretched = 1.0 / (factor * wavelengths) * (1 - kept) + 1.0 / wavelengths * kept
    return stretched, _attention_factor(parameters, factor)


def _corrected_range(parameters: Mapping[str, Any], dim: int, base: float) -> tuple[float, float]:
    """Return the dimensions between which YaRN goes over from kept to stretched frequencies."""
    native = parameters["original_max_position_embeddings"]

    def dimension(rotations: float) -> float:
        return (dim * math.log(native / (rotations * 2 * math.pi))) / (2 * math.log(base))

    low = dimension(parameters.get("beta_fast") or 32)
    high = dimension(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    return max(low, 0), min(high, dim - 1)


def _ramp(low: float, high: float, size: int) -> Tensor:
    """Return 0 up to `low`, 1 from `high` on, and a straight line between, (size,)."""
    span = high - low or 0.001
    return ((torch.arange(size, dtype=torch.float) - low) / span).clamp(0, 1)


def _attention_factor(parameters: Mapping[str, Any], factor: float) -> float:
    """Return YaRN's factor on cosines and sines, which takes the place of a temperature of the softmax."""
    given = parameters.get("attention_factor")
    if given is not None:
        return float(given)

    def scale(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    above, below = parameters.get("mscale"), parameters.get("mscale_all_dim")
    return scale(above) / scale(below) if above and below else scale(1.0)
