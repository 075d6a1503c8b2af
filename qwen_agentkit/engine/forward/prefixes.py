"""Keys and values of earlier prompts, kept for prompts with the same prefix. Knows token ids and caches."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.engine.forward.kv import KVCache

__all__ = ["PrefixStore", "SharedPrefixes", "common_length"]

Tokens = Sequence[int] | NDArray[np.int64]

# Computing a shorter prefix again takes less time than storing it.
_SHORTEST = 8


def common_length(left: Tokens, right: Tokens) -> int:
    """Return the length of the longest common prefix of two sequences."""
    length = min(len(left), len(right))
    differ = np.asarray(left[:length]) != np.asarray(right[:length])
    return int(differ.argmax()) if differ.any() else length


class PrefixStore:
    """Stores sequences with their keys and values; the least recently used ones are dropped first.

    Attributes:
        limit: Most bytes to store.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: list[tuple[NDArray[np.int64], KVCache]] = []  # least recently used first

    @property
    def bytes(self) -> int:
        """Memory of all stored keys and values, in bytes."""
        return sum(cache.bytes for _, cache in self._entries)

    def longest(self, tokens: Sequence[int]) -> int:
        """Return the length of the longest prefix of `tokens` that `take` would give."""
        return max(self._usable(tokens), default=0)

    def _usable(self, tokens: Sequence[int]) -> list[int]:
        """How much of each entry a prompt can continue."""
        return [cache.usable(common_length(held, tokens)) for held, cache in self._entries]

    def take(self, tokens: Sequence[int], capacity: int = 0) -> KVCache | None:
        """Return a cache with the longest stored prefix of `tokens`, for the caller to change; None if none.

        If it has to be copied, the copy has room for `capacity` tokens.
        """
        found = self._usable(tokens)
        length = max(found, default=0)
        if length < _SHORTEST:
            return None
        entry = self._entries.pop(found.index(length))
        if length == len(entry[0]):
            return entry[1]  # the caller continues where it ended, so nothing is copied
        self._entries.append(entry)
        return entry[1].copy(length, capacity)

    def put(self, tokens: Sequence[int], cache: KVCache) -> None:
        """Store a cache and its tokens; the caller must not use the cache any more."""
        if len(tokens) < _SHORTEST:
            return
        ids = np.asarray(tokens, dtype=np.int64)
        self._entries = [entry for entry in self._entries if common_length(entry[0], ids) < len(entry[0])]
        self._entries.append((ids, cache))
        for _, held in self._entries if self.bytes > self.limit else ():
            held.shrink()  # room to grow saves copying, while there is memory for it
        while self._entries and self.bytes > self.limit:
            self._entries.pop(0)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()


class SharedPrefixes:
    """Stores whole prefixes that many sequences read and none changes; drops the least recently used first.

    Args:
        limit: Most bytes to store.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[int, ...], KVCache] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tokens: Sequence[int]) -> KVCache | None:
        """Return the cache of exactly these tokens, for reading only."""
        with self._lock:
            key = tuple(tokens)
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, tokens: Sequence[int], cache: KVCache) -> None:
        """Store a cache, which nobody may change from now on."""
        with self._lock:
            self._held[tuple(tokens)] = cache
            while self._held and sum(held.bytes for held in self._held.values()) > self._limit:
                self._held.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._held.clear()
