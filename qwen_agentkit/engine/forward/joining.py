"""Calls of many threads that wait for one model are computed together. Knows packed segments and threads.

A call adds its segments to those that wait and sends a job to the thread of the device. The first job that
runs computes all that wait, up to the budget, as one packed forward; the jobs of the others then find their
work done. So a call that is alone runs at once, a busy device makes its own batches, and neither a timer nor
a thread is needed.

Attention stays inside each segment, so a call gets the values that it would get alone, but for the last bits
of sums, which change with the size of a matrix product.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qwen_agentkit.engine.device_thread import run_on_device
from qwen_agentkit.engine.forward.attention import Segment
from qwen_agentkit.engine.forward.packed import caches_restored, forward, is_one_row
from qwen_agentkit.engine.model_config import Model

__all__ = ["JoinedForward"]

Rows = NDArray[np.float32]


@dataclass(eq=False)
class _Call:
    """What one caller wants computed, and its outcome."""

    heads: Sequence[Segment]
    segments: Sequence[Segment]
    finish: Callable[[Tensor], Rows]
    size: int
    """Tokens to run."""
    process: int = field(default_factory=os.getpid)
    given_up: bool = False
    rows: Rows | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is an outcome."""
        return self.rows is not None or self.error is not None

    @property
    def is_wanted(self) -> bool:
        """Whether its caller still waits. A forked process finds calls of threads that it does not have."""
        return not self.given_up and self.process == os.getpid()


class JoinedForward:
    """Runs a model for many threads. What waits at the same time shares a forward.

    Args:
        model: The model.
        device: Where it is. Only the thread of this device takes from those that wait.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._waiting: deque[_Call] = deque()  # its methods are atomic: no lock that a fork could keep

    def run(
        self,
        heads: Sequence[Segment],
        segments: Sequence[Segment],
        finish: Callable[[Tensor], Rows],
        budget: int,
        *,
        alone: bool = False,
    ) -> Rows:
        """Return what `finish` makes of the hidden states of `segments`, one row each.

        Args:
            heads: Beginnings that are still to be run, whose caches the segments read. They read no row.
            segments: What to read.
            finish: Gets the hidden states, (segments, hidden), in the thread of the device.
            budget: Most tokens of a forward that calls share.
            alone: Compute this call with no other.

        Raises:
            BaseException: Whatever the forward or `finish` raises for this call. The others go on.
        """
        call = _Call(heads, segments, finish, sum(len(one.tokens) for one in (*heads, *segments)))
        try:
            if alone:
                run_on_device(self._device, partial(self._run, [call], budget))
            else:
                self._waiting.append(call)
                run_on_device(self._device, partial(self._run_until_done, call, budget))
        finally:
            call.given_up = not call.done  # an interrupt
        if call.error is not None:
            try:
                raise call.error
            finally:
                del call  # it holds the error, which holds this frame
        return cast(Rows, call.rows)

    def _run_until_done(self, call: _Call, budget: int) -> None:
        while not call.done:
            taken = self._take(budget)
            try:
                self._run(taken, budget)
            except BaseException:  # an interrupt of this caller alone: the others are computed by their jobs
                call.given_up = True
                self._waiting.extendleft(one for one in reversed(taken) if not one.done)
                raise

    def _take(self, budget: int) -> list[_Call]:
        """Take those that came first, as many as the budget allows, but one at least."""
        taken: list[_Call] = []
        room = budget
        while self._waiting and (not taken or self._waiting[0].size <= room):
            call = self._waiting.popleft()
            if call.is_wanted:
                taken.append(call)
                room -= call.size
        return taken

    def _run(self, calls: Sequence[_Call], budget: int) -> None:
        """Compute calls together; when that fails, each alone, so that one fails for nobody else."""
        try:
            hidden = self._forward(calls, budget)
        except Exception as error:
            if len(calls) == 1:
                calls[0].error = error
            else:
                for call in calls:
                    self._run([call], budget)
            return
        parts = torch.split(hidden, [len(call.segments) for call in calls])
        for call, rows in zip(calls, parts, strict=True):
            try:
                call.rows = call.finish(rows)
            except Exception as error:
                call.error = error

    def _forward(self, calls: Sequence[_Call], budget: int) -> Tensor:
        """Return the hidden states of the segments of all calls."""
        heads = [segment for call in calls for segment in call.heads]
        segments = [segment for call in calls for segment in call.segments]
        together = [*heads, *segments]
        few = sum(call.size for call in calls) <= budget
        with caches_restored(heads):
            if not heads or (few and is_one_row(self._model, together)):
                return forward(self._model, together)
            forward(self._model, heads)
            return forward(self._model, segments)
