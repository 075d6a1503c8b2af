"""The threads that compute. Knows devices and cores, no models.

torch's operations on a CPU are run by a team of workers that belongs to the calling thread. When all teams of
a process have more threads than there are CPUs, GNU OpenMP sends workers to sleep after every operation, and
a step of many small operations takes 1.3 to 1.5 times as long. Servers call from many threads, so nothing of
a model is computed in the caller's, but in one thread for each device. Work for a CPU that can be cut in
parts is spread over its cores: threads of one core each wait for each other once, not after every operation.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import torch

__all__ = ["compute", "spread", "stop_if_unwanted"]

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
_cores: dict[int, ThreadPoolExecutor] = {}  # threads of one core each, by their number
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


def spread(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Return what each function returns; called in the thread of a CPU, and run on a core each.

    The first error is raised when none runs any more.
    """
    cores = torch.get_num_threads()
    if cores == 1 or len(functions) == 1:
        return [function() for function in functions]
    work, failed = getattr(_here, "work", None), threading.Event()

    def run(function: Callable[[], T]) -> T | None:
        if failed.is_set():
            return None
        _here.device, _here.work = "cpu", work
        try:
            return function()
        except BaseException:
            failed.set()
            raise
        finally:
            _here.work = None

    futures = [_threads(cores).submit(run, function) for function in functions]
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        try:
            raise errors[0]
        finally:
            del errors, futures  # which hold the error, which holds this frame
    return [cast(T, future.result()) for future in futures]


def _threads(cores: int) -> ThreadPoolExecutor:
    if cores not in _cores:
        together = threading.Barrier(cores + 1)

        def on_one_core() -> None:
            torch.get_num_threads()  # the first look undoes what was set before it
            torch.set_num_threads(1)
            together.wait()

        _cores[cores] = ThreadPoolExecutor(cores, "qwen-agentkit core", initializer=on_one_core)
        for _ in range(cores):
            _cores[cores].submit(int)
        together.wait()
        # What a thread sets for itself is also what threads begin with that are started later.
        torch.set_num_threads(cores)
    return _cores[cores]


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
    _cores.clear()
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
