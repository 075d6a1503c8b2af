"""The decoder of Qwen2, Qwen3 and the hybrids, dense and MoE, over a packed row. Knows torch modules.

Weights are those of stock transformers, and so are the numbers, to rounding. What is between the matrix
products passes over memory less often than there, the last layer finishes only the positions that are read,
and modules are looked up once, not at every step: for one row that takes as long as the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.engine.device_thread import raise_if_cancelled
from qwen_agentkit.engine.forward.attention import Segment
from qwen_agentkit.engine.forward.layers import Attention, Norm, make_mlp
from qwen_agentkit.engine.forward.linear_attention import LinearAttention
from qwen_agentkit.engine.forward.streams import StreamLayer
from qwen_agentkit.engine.model_config import Model

__all__ = ["Decoder", "pack_decoder"]


def pack_decoder(model: Model) -> None:
    """Let a `Decoder` be the `forward` of a model's own; the last thing to be done to its layers."""
    decoder: Any = model.base_model
    decoder.forward = Decoder(decoder)


class Decoder:
    """The decoder of a model, for packed rows.

    Attributes:
        device: where its weights are.
    """

    def __init__(self, decoder: Any) -> None:
        self.device: torch.device = decoder.embed_tokens.weight.device
        self._embed: Callable[[Tensor], Tensor] = decoder.embed_tokens.forward
        self._rotary: Callable[..., tuple[Tensor, Tensor]] = decoder.rotary_emb.forward
        streams = hasattr(decoder, "hyper_connection_mixer")
        self._streams = int(decoder.config.hc_count) if streams else 1
        self._layers: list[Callable[..., Tensor]] = [
            StreamLayer(layer, number, self._rotary) if streams else _Layer(layer, number)
            for number, layer in enumerate(decoder.layers)
        ]
        self._finish: Callable[[Tensor], Tensor] = (
            decoder.hyper_connection_mixer.forward if streams else Norm(decoder.norm)
        )

    def __call__(self, input_ids: Tensor, position_ids: Tensor, segments: Sequence[Segment]) -> Tensor:
        """Run a row of segments.

        Args:
            input_ids: of its tokens, (1, T).
            position_ids: of each in its sequence, (1, T).
            segments: that it is made of.

        Returns:
            The hidden states that are read, after the final norm, (1, rows, hidden).
        """
        rows = self._embed(input_ids)
        cos, sin = (table[0, :, None] for table in self._rotary(rows, position_ids))
        sin[..., : sin.shape[-1] // 2].neg_()
        if self._streams > 1:
            rows = rows.repeat(1, 1, self._streams)
        last = len(self._layers) - 1
        lengths = [len(segment.tokens) for segment in segments]
        caches = [segment.layers(last + 1) for segment in segments]
        for number, layer in enumerate(self._layers):
            raise_if_cancelled()
            read = _read_positions(segments, rows.device) if number == last else None
            seen = [of_layers[number] for of_layers in caches]
            rows = layer(rows, cos, sin, input_ids, lengths=lengths, caches=seen, read=read)
        return self._finish(rows)[:, : sum(segment.read for segment in segments)]


class _Layer:
    def __init__(self, layer: Any, number: int) -> None:
        self._before = Norm(layer.input_layernorm)
        linear = hasattr(layer, "linear_attn")
        self._mix: Callable[..., Tensor] = (
            LinearAttention(layer.linear_attn, number) if linear else Attention(layer.self_attn)
        )
        self._between = Norm(layer.post_attention_layernorm)
        self._mlp = make_mlp(layer.mlp)

    def __call__(
        self,
        rows: Tensor,
        cos: Tensor,
        sin: Tensor,
        _: Tensor,
        *,
        lengths: Sequence[int],
        caches: Sequence[Any],
        read: Tensor | None,
    ) -> Tensor:
        """Run the layer on (1, T, hidden); where `read` is given, only these rows are finished."""
        mixed = self._mix(self._before(rows), cos, sin, lengths=lengths, caches=caches)
        if read is not None:
            rows, mixed = rows[:, read], mixed[:, read]
        rows = rows + mixed
        return rows + self._mlp(self._between(rows))


def _read_positions(segments: Sequence[Segment], device: torch.device) -> Tensor:
    """Return the places in the row that are read. If none is, return one place: a norm needs a row."""
    positions: list[int] = []
    end = 0
    for segment in segments:
        end += len(segment.tokens)
        positions.extend(range(end - segment.read, end))
    return torch.tensor(positions or [0], dtype=torch.long, device=device)
