"""Keys and values of one token sequence, in preallocated memory. Knows tensors and lengths, no tokens.

Layers without attention keep states instead, which are in `states`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from qwen_agentkit.engine.forward.states import States, StepStates
from qwen_agentkit.engine.model_config import Config

__all__ = ["KVCache", "LayerCache", "LayerView", "token_bytes"]


def token_bytes(config: Config, dtype: torch.dtype) -> int:
    """Return the bytes of the keys and values of one token in all layers that store them."""
    return 2 * sum(_attending(config)) * _heads(config) * _head_dim(config) * dtype.itemsize


def _attending(config: Config) -> list[bool]:
    """Return of each layer whether it attends to keys and values; the others keep a state."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    return [kind != "linear_attention" for kind in kinds]


def _heads(config: Config) -> int:
    """Return the heads of keys and values; the keys by which Qwen4 chooses blocks of tokens take more."""
    index = getattr(config, "indexer_head_dim", None) or 0
    return int(config.num_key_value_heads) + -(-index // _head_dim(config))


def _head_dim(config: Config) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


class LayerCache(NamedTuple):
    """Views of one layer of a cache, for one step.

    Attributes:
        room: Place for the new keys and values, (key or value, heads, new, head dimension).
        keys: Keys of the past and of `room`, (heads, tokens, head dimension).
        values: Values, like `keys`.
    """

    room: Tensor
    keys: Tensor
    values: Tensor


LayerView: TypeAlias = LayerCache | StepStates
"""What a layer reads and writes in one step."""


class KVCache:
    """The keys and values of one sequence in all layers, in one tensor that grows by doubling.

    The cache of transformers concatenates, which copies everything at every decoding step. Hybrid models also
    have states, so a sequence of theirs can only be cut where states are held.

    Attributes:
        length: Tokens stored so far, the same in all layers.
    """

    def __init__(self, config: Config, dtype: torch.dtype, device: torch.device) -> None:
        text = config.get_text_config()
        self._attending = _attending(text)
        shape = (sum(self._attending), 2, _heads(text), 0, _head_dim(text))
        # (layers, key or value, key/value heads, capacity in tokens, head dimension)
        self._slab = torch.empty(shape, dtype=dtype, device=device)
        self._states = None if all(self._attending) else States()
        self.length = 0

    @property
    def bytes(self) -> int:
        """Memory of the cache, in bytes."""
        return self._slab.nbytes + self.state_bytes

    @property
    def state_bytes(self) -> int:
        """Memory of the states of hybrid models, in bytes."""
        return self._states.bytes if self._states else 0

    @property
    def is_cuttable(self) -> bool:
        """Whether it can be cut anywhere: it has keys and values alone."""
        return self._states is None

    def keep_states_at(self, lengths: Iterable[int]) -> None:
        """Make the cache of a hybrid model cuttable at these lengths, once they are reached."""
        if self._states:
            self._states.keep_at(lengths)

    def usable(self, length: int) -> int:
        """Return the greatest length, up to this one, to which the cache can be cut now."""
        length = min(length, self.length)
        return self._states.nearest(length) if self._states else length

    def usable_later(self, length: int) -> int:
        """Return the greatest length, up to this one, to which it can be cut once that is reached."""
        return self._states.coming(length) if self._states else length

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` tokens in all, and keep what is stored."""
        layers, two, heads, held, dim = self._slab.shape
        if capacity <= held:
            return
        grown = self._slab.new_empty(layers, two, heads, max(capacity, 2 * held), dim)
        grown[..., : self.length, :] = self._slab[..., : self.length, :]
        self._slab = grown

    def copy(self, length: int, capacity: int = 0) -> KVCache:
        """Return a cache with memory of its own, the first `length` tokens, and room for `capacity`.

        Ask `usable` for the length.
        """
        other = copy.copy(self)
        layers, two, heads, _, dim = self._slab.shape
        other._slab = self._slab.new_empty(layers, two, heads, max(length, capacity), dim)
        other._slab[..., :length, :] = self._slab[..., :length, :]
        other._states = self._states.copy(length) if self._states else None
        other.length = length
        return other

    def shrink(self) -> None:
        """Free the room for more tokens if it is over an eighth of what is stored, and most states."""
        if self._slab.shape[3] > self.length + self.length // 8:
            self._slab = self._slab[..., : self.length, :].clone()
        if self._states:
            self._states.thin(self.length)

    def truncate(self, length: int) -> None:
        """Drop everything after the first `length` tokens, or after those that are `usable` of them."""
        self.length = self.usable(length)
        if self._states:
            self._states.truncate(self.length)

    def extend(self, new: int, tried: int = 0) -> None:
        """Add `new` tokens, which have to be written into the views that `layers` gives.

        The cache can be truncated to where it ends now, and to before the last `tried` of the new tokens.
        """
        start = self.length
        self.reserve(start + new)
        self.length += new
        if self._states:
            self._states.begin(start, self.length, tried)

    def layers(self, new: int) -> list[LayerView]:
        """Return views of all layers, with the last `new` tokens as their room.

        Slicing all layers at once takes a tenth of the time of slicing one after the other.
        """
        room = self._slab[:, :, :, self.length - new : self.length].unbind()
        keys, values = self._slab[:, :, :, : self.length].unbind(1)
        caches = [LayerCache(*views) for views in zip(room, keys.unbind(), values.unbind(), strict=True)]
        if not self._states:
            return [*caches]
        step, attention = self._states.step(self.length - new, self.length), iter(caches)
        return [next(attention) if attends else step for attends in self._attending]
