"""Keys and values of earlier prompts, kept for prompts that begin alike. Knows token ids and slabs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.engine.forward.kv import KVCache

__all__ = ["PrefixStore", "SharedPrefixes", "common"]

Tokens = Sequence[int] | NDArray[np.int64]

# Shorter prefixes are recomputed in less time than they are looked after.
_SHORTEST = 8


def common(left: Tokens, right: Tokens) -> int:
    """Tokens that two sequences begin with alike."""
    length = min(len(left), len(right))
    differ = np.asarray(left[:length]) != np.asarray(right[:length])
    return int(differ.argmax()) if differ.any() else length


class PrefixStore:
    """Remembers sequences with their keys and values, the least recently used forgotten first.

    Attributes:
        limit: Most bytes to hold.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: list[tuple[NDArray[np.int64], KVCache]] = []  # least recently used first

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(cache.bytes for _, cache in self._entries)

    def longest(self, tokens: Sequence[int]) -> int:
        """Tokens of the longest stored beginning of `tokens`."""
        return max((common(held, tokens) for held, _ in self._entries), default=0)

    def take(self, tokens: Sequence[int], capacity: int = 0) -> KVCache | None:
        """Return a cache of the caller's own that holds the longest stored beginning of `tokens`.

        Where it has to be copied, the copy has room for `capacity` tokens.
        """
        found = [common(held, tokens) for held, _ in self._entries]
        length = max(found, default=0)
        if length < _SHORTEST:
            return None
        entry = self._entries.pop(found.index(length))
        if length == len(entry[0]):
            return entry[1]  # the caller goes on where it ended: nothing to copy
        self._entries.append(entry)
        return entry[1].copy(length, capacity)

    def put(self, tokens: Sequence[int], cache: KVCache) -> None:
        """Remember a cache and the tokens it holds; the cache is the store's from now on."""
        if len(tokens) < _SHORTEST:
            return
        ids = np.asarray(tokens, dtype=np.int64)
        self._entries = [entry for entry in self._entries if common(entry[0], ids) < len(entry[0])]
        self._entries.append((ids, cache))
        for _, held in self._entries if self.bytes > self.limit else ():
            held.shrink()  # room to grow saves copying, while there is memory for it
        while self._entries and self.bytes > self.limit:
            self._entries.pop(0)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class SharedPrefixes:
    """Remembers whole prefixes that many sequences read and none changes, the least recently used forgotten.

    Args:
        limit: Most bytes to hold.
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
        """Remember a cache, which nobody may change from now on."""
        with self._lock:
            self._held[tuple(tokens)] = cache
            while self._held and sum(held.bytes for held in self._held.values()) > self._limit:
                self._held.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
