"""Many answers at once: concurrent calls share each step of one model. Knows sequences and threads.

Whoever waits for a token has a step run for everyone who is writing; the others find their tokens ready. When
nobody reads, nothing is computed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import torch
from torch import Tensor

from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.decode.sequence import SequenceState
from qwen_agentkit.engine.forward import stock
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.forward.prefixes import PrefixStore, common
from qwen_agentkit.errors import OutOfMemoryError

__all__ = ["Scheduler", "scheduler"]

# Tokens that are written before their reader fetches them, while others are waited for.
_AHEAD = 16

# Prompt tokens of a newcomer in one step, so that answers being written do not stand still.
_POLITE = 256

# Seconds that a first prompt waits for others: of requests sent together, the first would be read alone.
_COMPANY = 0.001

# Tokens of an answer for which there is memory from the start; for more, all before them is copied.
_ROOM = 256

# Tokens that make it worth waiting until another sequence has computed a prefix.
_WORTH_WAITING = 32


@dataclass(frozen=True)
class _Work:
    """What one sequence does in a step."""

    sequence: SequenceState
    tokens: list[int]
    read: int  # rows of logits wanted; 0 while a prompt is not at its end


class Scheduler:
    """Runs the sequences of one model, and keeps what they computed for later prompts.

    Args:
        prefix_bytes: Most memory for keys and values of finished sequences.
    """

    def __init__(self, prefix_bytes: int) -> None:
        self.prefixes = PrefixStore(prefix_bytes)
        self._turn = threading.Condition()
        self._active: list[SequenceState] = []
        self._left: list[SequenceState] = []  # not read any more, maybe still in a step
        self._batch: list[SequenceState] = []  # in the step that runs, or that an error ended
        self._stepping = False

    @property
    def bytes(self) -> int:
        """Memory for keys and values that is given back when it is needed."""
        left = [sequence.cache for sequence in self._left]
        return self.prefixes.bytes + sum(cache.bytes for cache in left if isinstance(cache, KVCache))

    def run(self, loaded: Loaded, sequence: SequenceState) -> Generator[int]:
        """Yield the tokens of a sequence as they are written; closing it stops the work within a step."""
        with self._turn:
            self._active = [*self._active, sequence]
        try:
            while (token := self._next(loaded, sequence)) is not None:
                yield token
        finally:
            self._leave(sequence)

    def _next(self, loaded: Loaded, sequence: SequenceState) -> int | None:
        while True:
            with self._turn:
                while self._stepping and not (sequence.ready or sequence.finished):
                    self._turn.wait()
                if sequence.ready:
                    return sequence.ready.popleft()
                if sequence.error:
                    raise sequence.error
                if sequence.finished or sequence.cancelled.is_set():
                    return None
                self._stepping = True
            try:
                loaded.compute(partial(self._step, loaded))
            except BaseException as error:  # an interrupt may have come at any point of the step
                batch, self._batch = self._batch, []
                for one in batch:
                    one.fail(error)
                raise
            finally:
                with self._turn:
                    self._stepping = False
                    self._turn.notify_all()

    def _leave(self, sequence: SequenceState) -> None:
        """Take a sequence out; never waits, because a garbage collection inside a step may come here."""
        sequence.finished = True
        with self._turn:
            self._active = [one for one in self._active if one is not sequence]
            if sequence.cache and not sequence.error:
                self._left.append(sequence)

    def _keep(self, done: Sequence[SequenceState]) -> None:
        """Keep what sequences that are done have computed, where there is memory for it."""
        for sequence in done:
            cache, sequence.cache = sequence.cache, None
            if isinstance(cache, KVCache) and not sequence.error:
                try:
                    self.prefixes.put(sequence.tokens[: cache.length], cache)
                except Exception as error:
                    if not _is_out_of_memory(error):
                        raise
                    self.prefixes.clear()

    def _step(self, loaded: Loaded) -> None:
        if len(self._active) == 1 and self._active[0].cache is None:
            time.sleep(_COMPANY)
        with self._turn:
            left, self._left = self._left, []
            self._batch = batch = [one for one in self._active if _wants_more(one)]
        self._keep(left)
        for sequence in batch:
            if sequence.cache is None:
                self._admit(loaded, sequence)
        works = _plan(loaded, [one for one in batch if one.cache is not None and not one.finished])
        for together in [works] if loaded.packed else [[work] for work in works]:
            self._run(loaded, together)
        self._keep([one for one in batch if one.finished])
        self._batch = []

    def _admit(self, loaded: Loaded, sequence: SequenceState) -> None:
        """Open a newcomer's cache; when there is no memory for it, it fails alone."""
        try:
            try:
                self._open(loaded, sequence)
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
                self.prefixes.clear()
                self._open(loaded, sequence)
        except Exception as error:
            sequence.fail(_said(error, loaded, sequence))

    def _open(self, loaded: Loaded, sequence: SequenceState) -> None:
        """Give a newcomer its cache, with the longest beginning of its tokens that anyone has computed."""
        if not loaded.packed:
            sequence.cache = stock.StockCache(loaded.model.config)
            return
        known = sequence.tokens[:-1]  # the last one is run in any case: its logits are wanted
        stored = self.prefixes.longest(known)
        best = None
        for other in self._active:
            if not isinstance(other.cache, KVCache):
                continue
            shared = common(other.tokens, known)
            if shared > max(stored, other.cache.length) + _WORTH_WAITING and _wants_more(other):
                return  # it is about to compute what this one needs
            if min(shared, other.cache.length) > stored:
                stored, best = min(shared, other.cache.length), other.cache
        room = min(len(sequence.tokens) + _ROOM, sequence.most)
        found = best.copy(stored, room) if best else self.prefixes.take(known, room)
        cache = found or KVCache(loaded.model.config, loaded.dtype, loaded.device)
        cache.reserve(room)
        sequence.cache = cache
        sequence.cached_tokens = min(cache.length, sequence.prompt_length)

    def _run(self, loaded: Loaded, works: Sequence[_Work]) -> None:
        """Run a step; when it fails, each sequence alone, so that one cannot end the others."""
        if not works:
            return
        before = [work.sequence.cache.length if work.sequence.cache else 0 for work in works]
        try:
            logits = _logits(loaded, works)
        except Exception as error:  # memory, or anything torch raises: it belongs to one sequence
            for work, length in zip(works, before, strict=True):
                if work.sequence.cache:
                    work.sequence.cache.truncate(length)
            if len(works) > 1:
                for work in works:
                    self._run(loaded, [work])
                return
            if loaded.packed and self.prefixes.bytes and _is_out_of_memory(error):
                self.prefixes.clear()
                self._run(loaded, works)
                return
            works[0].sequence.fail(_said(error, loaded, works[0].sequence))
            return
        with torch.inference_mode():
            start = 0
            for work in works:
                if work.read:
                    _absorb(work.sequence, logits[start : start + work.read])
                start += work.read


def scheduler(loaded: Loaded) -> Scheduler:
    """Return the one scheduler of a model."""
    with _making:
        if loaded not in _schedulers:
            _schedulers[loaded] = Scheduler(memory(loaded.device, total=True) // 8)
        return _schedulers[loaded]


# Values must not hold their keys, or no model would ever be freed: schedulers are given the model each time.
_schedulers: WeakKeyDictionary[Loaded, Scheduler] = WeakKeyDictionary()
_making = threading.Lock()


def memory(device: torch.device, *, total: bool = False) -> int:
    """Return the free (or the whole) memory for keys and values on a device, in bytes."""
    if device.type == "cuda":
        if total:
            return int(torch.cuda.mem_get_info(device)[1])
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # for reuse
        return int(torch.cuda.mem_get_info(device)[0]) + held
    machine, most = psutil.virtual_memory(), _container_memory()
    if total:
        return min(int(machine.total), most)
    return min(int(machine.available), most - int(psutil.Process().memory_info().rss))


def _container_memory() -> int:
    """Most bytes for the processes of this container, which psutil does not know."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text()
        return int(limit)
    except (OSError, ValueError):  # none, or "max"
        return sys.maxsize


def _wants_more(sequence: SequenceState) -> bool:
    if sequence.cancelled.is_set():
        sequence.finished = True
    return not sequence.finished and len(sequence.ready) < _AHEAD


def _plan(loaded: Loaded, batch: Sequence[SequenceState]) -> list[_Work]:
    """Share one step: every answer being written goes on, prompts take what room is left, oldest first."""
    writing = [one for one in batch if one.unread == 1]
    reading = [one for one in batch if one.unread > 1]
    room = loaded.token_budget if not writing else _POLITE
    works = []
    for sequence in writing:
        tokens = sequence.plan(loaded.token_budget)
        works.append(_Work(sequence, tokens, 1 + len(sequence.guesses)))
    for sequence in reading:
        if room < 1:
            break
        left = sequence.unread
        tokens = sequence.plan(room)
        room -= len(tokens)
        works.append(_Work(sequence, tokens, 1 + len(sequence.guesses) if len(tokens) >= left else 0))
    return works


def _logits(loaded: Loaded, works: Sequence[_Work]) -> Tensor:
    """Run the tokens of a step and return the wanted rows of logits, (rows, vocabulary), fp32."""
    with torch.inference_mode():
        segments, rows = [], []
        for work in works:
            cache = work.sequence.cache
            if isinstance(cache, stock.StockCache):
                rows.append(stock.forward(loaded.model, work.tokens, cache)[: work.read])
            else:
                segments.append(Segment(work.tokens, cache, read=work.read))
        hidden = forward(loaded.model, segments) if segments else torch.cat(rows)
        head = loaded.model.get_output_embeddings()
        logits: Tensor = head(hidden).float()
        return logits


def _absorb(sequence: SequenceState, logits: Tensor) -> None:
    try:
        sequence.absorb(logits)
    except Exception as error:  # of its guide: the others go on
        sequence.fail(error)


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator has no exception class of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _said(error: Exception, loaded: Loaded, sequence: SequenceState) -> Exception:
    """Name what ran out when memory did."""
    if not _is_out_of_memory(error):
        return error
    failed = OutOfMemoryError(
        f"No memory for token {len(sequence.tokens)} of this answer on {loaded.device} "
        f"({memory(loaded.device) / 1e9:.1f} GB free). Lower max_tokens, send fewer documents, "
        "run fewer calls at once, or choose a smaller checkpoint."
    )
    failed.__cause__ = error
    return failed
