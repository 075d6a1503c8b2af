"""The thread that computes, one for each device. Knows threads and cores, no models.

torch's operations on a CPU are run by a team of workers that belongs to the calling thread. When all teams of
a process have more threads than there are CPUs, GNU OpenMP sends workers to sleep after every operation, and
a step of many small operations takes 1.3 to 1.5 times as long. Servers call from many threads, so nothing of
a model is computed in the caller's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

__all__ = ["compute", "stop_if_unwanted"]

T = TypeVar("T")


class _Unwanted(BaseException):
    """Ends work for which nobody waits any more."""


class _Work:
    """What one caller wants computed, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.context = copy_context()
        self.cores = torch.get_num_threads()  # a setting of the thread that asks
        self.unwanted = False
        self.result: Any = None
        self.error: BaseException | None = None
        # A bare lock, because an interrupt can leave the inner lock of an Event closed.
        self._running = threading.Lock()
        self._running.acquire()

    def wait(self) -> None:
        self._running.acquire()

    def run(self) -> None:
        if torch.get_num_threads() != self.cores:
            torch.set_num_threads(self.cores)
        _here.work = self
        try:
            stop_if_unwanted()
            self.result = self.context.run(self.function)
        except BaseException as error:  # raised where it is waited for
            self.error = error
        finally:
            _here.work = None
            self._running.release()


_here = threading.local()  # of a thread that computes: its device and its work
_queues: dict[str, SimpleQueue[_Work]] = {}
_starting = threading.Lock()


def compute(device: torch.device | str, function: Callable[[], T]) -> T:
    """Return what `function` returns or raises in the thread of a device, which does one thing at a time.

    Inside of other work for the device it runs at once. An interrupt while waiting ends the work at its next
    `stop_if_unwanted`, and is raised after that: nothing goes on unseen.
    """
    name = str(device)
    if getattr(_here, "device", None) == name:
        return function()
    queue = _queue(name)
    work = _Work(function)
    try:
        queue.put(work)
        work.wait()
    except BaseException:
        work.unwanted = True
        last = _Work(int)
        queue.put(last)
        last.wait()  # then the work before it has ended, if it ever began
        raise
    if work.error:
        try:
            raise work.error
        finally:
            del work  # which holds the error, which holds this frame
    result: T = work.result
    return result


def stop_if_unwanted() -> None:
    """End the work that calls this if its caller was interrupted; call it now and then in long work."""
    work = getattr(_here, "work", None)
    if work and work.unwanted:
        raise _Unwanted


def _queue(device: str) -> SimpleQueue[_Work]:
    """Where a device's thread finds its work; the first call starts it."""
    if device not in _queues:
        with _starting:
            if device not in _queues:
                queue: SimpleQueue[_Work] = SimpleQueue()
                arguments = (device, queue)
                threading.Thread(
                    target=_serve, args=arguments, name=f"qwen-agentkit {device}", daemon=True
                ).start()
                _queues[device] = queue
    return _queues[device]


def _serve(device: str, queue: SimpleQueue[_Work]) -> None:
    _here.device = device
    while True:
        work = queue.get()
        work.run()
        del work  # with all it holds, while waiting for the next


def _forget() -> None:
    """A process made by fork has no threads of its parent."""
    global _starting
    _queues.clear()
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
