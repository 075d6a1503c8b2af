"""Many answers at once: concurrent calls share each step of one model. Knows sequences and threads.

Each caller reads its own tokens. The first waiter runs one step for all active sequences; the other callers
find their tokens ready. When nobody reads, nothing is computed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.decode.sequence import SequenceState
from qwen_agentkit.engine.device_memory import free_memory, total_memory
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, compute_logits
from qwen_agentkit.engine.forward.prefixes import PrefixStore, common_length
from qwen_agentkit.errors import OutOfMemoryError

__all__ = ["Scheduler", "get_scheduler"]

# A sequence is left out of steps while its reader has so many tokens to fetch.
_MOST_READY = 16

# Prompt tokens in one step while answers are being generated, which would stand still for more.
_PROMPT_TOKENS = 256

# Seconds that the first of several requests sent together waits, so that their prompts share a step.
_WAIT_FOR_OTHERS = 0.001

# Tokens of an answer for which there is room from the start; making room later copies all before them.
_RESERVED_TOKENS = 256

# Tokens from which it is worth waiting until another sequence has computed a shared prefix.
_WORTH_WAITING = 32


@dataclass(frozen=True)
class _Task:
    """What one sequence does in a step."""

    sequence: SequenceState
    tokens: list[int]
    rows: int  # of logits to compute; 0 while the prompt is not read to its end


class Scheduler:
    """Runs the sequences of one model, and keeps their keys and values for later prompts.

    Args:
        prefix_bytes: Most memory for keys and values of finished sequences.
    """

    def __init__(self, prefix_bytes: int) -> None:
        self.prefixes = PrefixStore(prefix_bytes)
        self._changed = threading.Condition()
        self._active: list[SequenceState] = []
        self._abandoned: list[SequenceState] = []  # without a reader, but maybe still in a step
        self._batch: list[SequenceState] = []  # of the step that runs, or that an error ended
        self._stepping = False

    @property
    def bytes(self) -> int:
        """Memory of keys and values that is given back when it is needed."""
        caches = [sequence.cache for sequence in self._abandoned]
        return self.prefixes.bytes + sum(cache.bytes for cache in caches if cache)

    def run(self, loaded: Loaded, sequence: SequenceState) -> Generator[int]:
        """Yield the tokens of a sequence as they are generated; closing it stops the work within a step."""
        with self._changed:
            self._active = [*self._active, sequence]
        try:
            while (token := self._next_token(loaded, sequence)) is not None:
                yield token
        finally:
            self._remove(sequence)

    def _next_token(self, loaded: Loaded, sequence: SequenceState) -> int | None:
        """Return the next token of a sequence, None at its end; runs a step if no other reader does."""
        while True:
            with self._changed:
                while self._stepping and not (sequence.ready or sequence.finished):
                    self._changed.wait()
                if sequence.ready:
                    return sequence.ready.popleft()
                if sequence.error:
                    raise sequence.error
                if sequence.finished or sequence.cancelled.is_set():
                    return None
                self._stepping = True
            try:
                loaded.compute(partial(self._step, loaded))
            except BaseException as error:  # an interrupt may come at any point of the step
                batch, self._batch = self._batch, []
                for one in batch:
                    one.fail(error)
                raise
            finally:
                with self._changed:
                    self._stepping = False
                    self._changed.notify_all()

    def _remove(self, sequence: SequenceState) -> None:
        """Take a sequence out; never waits, because a garbage collection inside a step may call it."""
        sequence.finished = True
        with self._changed:
            self._active = [one for one in self._active if one is not sequence]
            if sequence.cache and not sequence.error:
                self._abandoned.append(sequence)

    def _step(self, loaded: Loaded) -> None:
        """Run one step for all sequences that want more tokens."""
        if len(self._active) == 1 and self._active[0].cache is None:
            time.sleep(_WAIT_FOR_OTHERS)
        with self._changed:
            abandoned, self._abandoned = self._abandoned, []
            self._batch = batch = [one for one in self._active if _needs_step(one)]
        self._store_prefixes(abandoned)
        for sequence in batch:
            if sequence.cache is None:
                self._admit(loaded, sequence)
        tasks = _plan(loaded, [one for one in batch if one.cache is not None and not one.finished])
        self._run_tasks(loaded, tasks)
        self._store_prefixes([one for one in batch if one.finished])
        self._batch = []

    def _store_prefixes(self, finished: Sequence[SequenceState]) -> None:
        """Keep the keys and values of finished sequences, if there is memory for them."""
        for sequence in finished:
            cache, sequence.cache = sequence.cache, None
            if cache and not sequence.error:
                try:
                    self.prefixes.put(sequence.tokens[: cache.length], cache)
                except Exception as error:
                    if not _is_out_of_memory(error):
                        raise
                    self.prefixes.clear()

    def _admit(self, loaded: Loaded, sequence: SequenceState) -> None:
        """Make the cache of a new sequence; if there is no memory for it, only this sequence fails."""
        try:
            try:
                self._make_cache(loaded, sequence)
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise
                self.prefixes.clear()
                self._make_cache(loaded, sequence)
        except Exception as error:
            sequence.fail(_translate_error(error, loaded, sequence))

    def _make_cache(self, loaded: Loaded, sequence: SequenceState) -> None:
        """Give a new sequence a cache with its longest prefix that is stored or that another one has.

        The sequence gets none yet if another one is about to compute a longer prefix of it.
        """
        known = sequence.tokens[:-1]  # the last token is run in any case, for its logits
        stored = self.prefixes.longest(known)
        best = None
        for other in self._active:
            if other.cache is None:
                continue
            shared = common_length(other.tokens, known)
            coming = other.cache.usable_later(shared)
            if coming > max(stored, other.cache.length) + _WORTH_WAITING and _needs_step(other):
                return
            if other.cache.usable(shared) > stored:
                stored, best = other.cache.usable(shared), other.cache
        capacity = min(len(sequence.tokens) + _RESERVED_TOKENS, sequence.max_length)
        found = best.copy(stored, capacity) if best else self.prefixes.take(known, capacity)
        cache = found or KVCache(loaded.model.config, loaded.dtype, loaded.device)
        cache.reserve(capacity)
        cache.keep_states_at(sequence.boundaries)
        sequence.cache = cache
        sequence.cached_tokens = min(cache.length, sequence.prompt_length)

    def _run_tasks(self, loaded: Loaded, tasks: Sequence[_Task]) -> None:
        """Run the tasks of a step; if that fails, each task alone, so that one cannot end the others."""
        if not tasks:
            return
        before = [task.sequence.cache.length if task.sequence.cache else 0 for task in tasks]
        try:
            rows = _compute_logits(loaded, tasks)
        except Exception as error:  # whatever torch raises belongs to one sequence
            for task, length in zip(tasks, before, strict=True):
                if task.sequence.cache:
                    task.sequence.cache.truncate(length)
            self._retry_tasks(loaded, tasks, error)
            return
        with torch.inference_mode():
            start = 0
            for task in tasks:
                if task.rows:
                    _append_sampled(task.sequence, rows[start : start + task.rows])
                start += task.rows

    def _retry_tasks(self, loaded: Loaded, tasks: Sequence[_Task], error: Exception) -> None:
        """Run the tasks of a failed step one by one; retry a single one with less to do, or let it fail."""
        if len(tasks) > 1:
            for task in tasks:
                self._run_tasks(loaded, [task])
        elif tasks[0].sequence.drafts and _is_out_of_memory(error):
            self._run_tasks(loaded, [_drop_drafts(tasks[0])])
        elif self.prefixes.bytes and _is_out_of_memory(error):
            self.prefixes.clear()
            self._run_tasks(loaded, tasks)
        else:
            tasks[0].sequence.fail(_translate_error(error, loaded, tasks[0].sequence))


def get_scheduler(loaded: Loaded) -> Scheduler:
    """Return the one scheduler of a model."""
    with _making:
        if loaded not in _schedulers:
            _schedulers[loaded] = Scheduler(total_memory(loaded.device) // 8)
        return _schedulers[loaded]


# A scheduler must not hold its model, or the model would never be freed: it is given the model in each call.
_schedulers: WeakKeyDictionary[Loaded, Scheduler] = WeakKeyDictionary()
_making = threading.Lock()


def _needs_step(sequence: SequenceState) -> bool:
    """Whether a sequence takes part in the next step; a cancelled one is finished."""
    if sequence.cancelled.is_set():
        sequence.finished = True
    return not sequence.finished and len(sequence.ready) < _MOST_READY


def _plan(loaded: Loaded, batch: Sequence[SequenceState]) -> list[_Task]:
    """Return the tasks of one step: every answer goes on, and prompts share the room, the oldest first."""
    answering = [one for one in batch if one.answering]
    reading = [one for one in batch if not one.answering]
    room = loaded.token_budget if not answering else _PROMPT_TOKENS
    tasks = []
    for sequence in answering:
        tokens = sequence.next_tokens(loaded.token_budget)
        tasks.append(_Task(sequence, tokens, 1 + len(sequence.drafts)))
    for sequence in reading:
        if room < 1:
            break
        pending = sequence.pending
        tokens = sequence.next_tokens(room)
        room -= len(tokens)
        tasks.append(_Task(sequence, tokens, 1 + len(sequence.drafts) if len(tokens) >= pending else 0))
    return tasks


def _drop_drafts(task: _Task) -> _Task:
    """Return the task without the tokens that it only tries: they save time, and cost memory."""
    known = task.tokens[: -len(task.sequence.drafts)]
    task.sequence.drafts = []
    return _Task(task.sequence, known, 1)


def _compute_logits(loaded: Loaded, tasks: Sequence[_Task]) -> Tensor:
    """Run the tokens of a step and return the wanted rows of logits, (rows, vocabulary), fp32."""
    segments = [Segment(task.tokens, task.sequence.cache, read=task.rows) for task in tasks]
    return compute_logits(loaded.model, segments)


def _append_sampled(sequence: SequenceState, logits: Tensor) -> None:
    """Let a sequence choose its tokens; an error of its guide ends this sequence only."""
    try:
        sequence.append_sampled(logits)
    except Exception as error:
        sequence.fail(error)


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU allocator has no exception class of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _translate_error(error: Exception, loaded: Loaded, sequence: SequenceState) -> Exception:
    """Return the error to raise for an error of torch: one that says what to do if memory ran out."""
    if not _is_out_of_memory(error):
        return error
    failed = OutOfMemoryError(
        f"No memory for token {len(sequence.tokens)} of this answer on {loaded.device} "
        f"({free_memory(loaded.device) / 1e9:.1f} GB free). Lower max_tokens, send fewer documents, "
        "run fewer calls at once, or choose a smaller checkpoint."
    )
    failed.__cause__ = error
    return failed
